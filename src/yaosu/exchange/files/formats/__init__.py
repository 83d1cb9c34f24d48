"""Readers of files, pure: bytes in, bills out. Nothing here knows the database."""
