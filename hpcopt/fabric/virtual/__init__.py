"""The virtual cluster: nodes as greenlets, what they do to each other as events, and what messages cost."""
