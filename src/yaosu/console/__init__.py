"""The pages of daily work."""
