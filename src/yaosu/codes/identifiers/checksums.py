"""Check-digit arithmetic shared by several identifiers. Pure functions on ASCII digits."""

from __future__ import annotations

from functools import lru_cache


def mod10_digit(body: str) -> int:
    """GS1 mod-10 check digit for the digits ``body`` (without it): weights 3,1,3,1… from the right."""
    total = 0
    weight = 3
    for ch in reversed(body):
        total += (ord(ch) - 48) * weight
        weight = 4 - weight
    return -total % 10


@lru_cache(maxsize=65536)
def mod10_ok(digits: str) -> bool:
    """True if the last digit of ``digits`` is the GS1 mod-10 check digit of the others.

    Remembered, because the same few thousand GTINs are checked again for each of their boxes.
    """
    return mod10_digit(digits[:-1]) == ord(digits[-1]) - 48
