"""Quality management: periodic checks, self-check tables, controlled documents, clues (R-E1, R-E2, R-E5, R-E6)."""
