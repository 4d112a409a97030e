"""Models: the result of training, its file, and predictions."""
