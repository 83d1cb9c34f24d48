"""协同平台: the coordination platform and its client (R-A1, R-A4, R-F2)."""
