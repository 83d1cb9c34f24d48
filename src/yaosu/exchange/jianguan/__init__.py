"""监管: the feed to supervision systems and its receiving side (R-F1, R-F2)."""
