"""Stops: recalled batches, locks and suspensions that the write path refuses (R-E4, R-X7, R-B5)."""
