"""Movements: the one write path, notices, receipt checks, quarantine."""
