"""Multiples of a point that is used again and again: Lim and Lee's comb in Jacobian coordinates.

A table of 255 sums turns a multiplication of 256 bits (about 400 point operations) into 32 doublings and 32 additions,
and the sum of two such multiples needs the doublings only once. A key's table costs a few multiplications and 40 kB,
so it is for a base that comes often: the generator, and the keys of counterparts. Formulas: Explicit-Formulas Database,
dbl-2001-b and madd-2004-hmv, for curves with a = -3; the result is the compiled library's (tests/gm/test_comb.py).
"""

from __future__ import annotations

from collections.abc import Sequence

TEETH = 8
SPACING = 32
"""Bits between two teeth; together they cover 256."""
_WORD = (1 << SPACING) - 1

Affine = tuple[int, int]
_Jacobian = tuple[int, int, int]


class Comb:
    """The table of one base point of the curve y² = x³ - 3x + b over `p`, whose order is a prime of 256 bits."""

    __slots__ = ("p", "sums")

    def __init__(self, x: int, y: int, p: int) -> None:
        self.p = p
        sums: list[Affine | None] = [None] * (1 << TEETH)
        tooth: _Jacobian = (x, y, 1)
        for bit in range(TEETH):
            if bit:
                for _ in range(SPACING):
                    tooth = _doubled(tooth, p)
            one = 1 << bit
            flat = sums[one] = _flat(tooth, p)
            for below in range(1, one):
                known = sums[below]
                assert known is not None
                sums[one | below] = _flat(_added((*flat, 1), known, p), p)
        self.sums = sums


def multiple(*terms: tuple[int, Comb]) -> Affine:
    """The sum of each number (below 2²⁵⁶) times its base. ValueError: it is the point at infinity."""
    p = terms[0][1].p
    words = [(_words(number), comb.sums) for number, comb in terms]
    found: _Jacobian = (1, 1, 0)
    for column in range(SPACING - 1, -1, -1):
        found = _doubled(found, p)
        for parts, sums in words:
            at = 0
            for bit, word in enumerate(parts):
                at |= (word >> column & 1) << bit
            point = sums[at]
            if point is not None:
                found = _added(found, point, p)
    return _flat(found, p)


def _words(number: int) -> Sequence[int]:
    return [number >> (SPACING * tooth) & _WORD for tooth in range(TEETH)]


def _flat(point: _Jacobian, p: int) -> Affine:
    x, y, z = point
    if not z:
        raise ValueError("the point at infinity")
    inverse = pow(z, -1, p)
    square = inverse * inverse % p
    return x * square % p, y * square * inverse % p


def _doubled(point: _Jacobian, p: int) -> _Jacobian:
    x, y, z = point
    if not z:
        return point
    delta, gamma = z * z % p, y * y % p
    beta = x * gamma % p
    alpha = 3 * (x - delta) * (x + delta) % p
    made = (alpha * alpha - 8 * beta) % p
    return made, (alpha * (4 * beta - made) - 8 * gamma * gamma) % p, 2 * y * z % p


def _added(point: _Jacobian, flat: Affine, p: int) -> _Jacobian:
    x, y, z = point
    if not z:
        return (*flat, 1)
    square = z * z % p
    h = (flat[0] * square - x) % p
    r = (flat[1] * square * z - y) % p
    if not h:
        return _doubled(point, p) if not r else (1, 1, 0)
    hh = h * h % p
    hhh, v = h * hh % p, x * hh % p
    made = (r * r - hhh - 2 * v) % p
    return made, (r * (v - made) - y * hhh) % p, z * h % p
