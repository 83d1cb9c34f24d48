"""Multiples of a point that is used again and again, out of tables of its multiples.

A number is cut into windows; each window's multiple stands in the table, so that a multiplication of 256 bits (about
400 point operations) is a sum of as many points as there are windows, without any doubling. Two multiplications are one
sum. Sums begin in pairs of plain points, whose divisions share one inversion (Montgomery's trick), and end in Jacobian
coordinates. Formulas: Explicit-Formulas Database, dbl-2001-b and madd-2004-hmv, for curves with a = -3; the result is
the compiled library's (tests/gm/test_multiples.py).

A key's table of window 5 has 832 points (about 150 kB) and costs as much as some thirty multiplications: it is for a
base that comes often.
"""

from __future__ import annotations

from collections.abc import Sequence

BITS = 256
PAIRING_MIN = 12
"""Sums of fewer points are not worth an inversion."""

Affine = tuple[int, int]
_Jacobian = tuple[int, int, int]


class Multiples:
    """The table of one base point of the curve y² = x³ - 3x + b over `p`, whose order is a prime of 256 bits."""

    __slots__ = ("p", "rows", "width")

    def __init__(self, x: int, y: int, p: int, width: int) -> None:
        self.p = p
        self.width = width
        bases: list[Affine] = []
        point: _Jacobian = (x, y, 1)
        # one window more takes the carry of signed digits
        for _ in range(-(-(BITS + 1) // width)):
            bases.append(_flat(point, p))
            for _ in range(width):
                point = _doubled(point, p)
        columns = [bases, [_flat(_doubled((*base, 1), p), p) for base in bases]]
        for _ in range(2, 1 << width - 1):
            columns.append(_paired(columns[-1], bases, p))
        self.rows: list[tuple[Affine, ...]] = list(zip(*columns, strict=True))
        """By window, the multiples 1 to 2^(width-1) of its base."""

    def points(self, number: int) -> list[Affine]:
        """Points whose sum is `number` (below 2²⁵⁶) times the base: digits go from -2^(width-1) to 2^(width-1)."""
        found = []
        width, p = self.width, self.p
        mask, half = (1 << width) - 1, 1 << width - 1
        carry = 0
        for row in self.rows:
            digit = (number & mask) + carry
            number >>= width
            if digit > half:
                digit -= mask + 1
                carry = 1
            else:
                carry = 0
            if digit > 0:
                found.append(row[digit - 1])
            elif digit:
                x, y = row[-digit - 1]
                found.append((x, p - y))
        return found


def total(points: Sequence[Affine], p: int) -> Affine:
    """The sum of points. ValueError: it is the point at infinity."""
    return _flat(_sum(points, p), p)


def has_x(points: Sequence[Affine], p: int, candidates: Sequence[int]) -> bool:
    """Whether the sum's x is one of `candidates` (below `p`); the point at infinity has none."""
    x, _, z = _sum(points, p)
    square = z * z % p
    return bool(z) and any(x == one * square % p for one in candidates)


def _sum(points: Sequence[Affine], p: int) -> _Jacobian:
    while len(points) >= PAIRING_MIN:
        half = len(points) // 2
        rest = points[2 * half :]
        try:
            points = [*_paired(points[:half], points[half : 2 * half], p), *rest]
        except ValueError:
            # a pair of one point, or of opposite ones: the general formulas know them
            break
    found: _Jacobian = (1, 1, 0)
    for point in points:
        found = _added(found, point, p)
    return found


def _paired(first: Sequence[Affine], second: Sequence[Affine], p: int) -> list[Affine]:
    """The sum of each pair, with one inversion for all. ValueError: the x of a pair are equal."""
    steps = []
    product = 1
    for (ax, _), (bx, _) in zip(first, second, strict=True):
        steps.append(product)
        product = product * (bx - ax) % p
    inverse = pow(product, -1, p)
    made: list[Affine] = []
    for n in range(len(steps) - 1, -1, -1):
        ax, ay = first[n]
        bx, by = second[n]
        slope = (by - ay) * (inverse * steps[n] % p) % p
        inverse = inverse * (bx - ax) % p
        x = (slope * slope - ax - bx) % p
        made.append((x, (slope * (ax - x) - ay) % p))
    made.reverse()
    return made


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
