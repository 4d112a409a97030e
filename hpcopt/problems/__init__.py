"""Problems: the objective on one node's shard and everything a solver may ask of it, dense or sparse."""
