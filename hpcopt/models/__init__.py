"""Models: what training leaves behind, as a file and as predictions."""
