"""Files of the incumbent and our own templates, in and out (R-I1, R-X10)."""
