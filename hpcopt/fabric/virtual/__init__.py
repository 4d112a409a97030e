"""The virtual cluster: nodes are greenlets, their interactions are events, and messages cost virtual time."""
