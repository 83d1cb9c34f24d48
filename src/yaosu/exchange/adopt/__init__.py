"""Goods whose codes live in another trace system, taken in so that they can be handled here (R-A4, R-B9)."""
