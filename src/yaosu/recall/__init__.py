"""Recall: orders, publication, fan-out, acknowledgements, letters and reports; locks (R-E4, R-X7)."""
