"""Measures a cluster for the virtual one: its kernels, the code around them, its network (`fabric/calibration.py`)."""
