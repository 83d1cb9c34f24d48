"""Tables give what the plain multiplication gives, at the edges too."""

from __future__ import annotations

from random import Random

import pytest

from yaosu import gm
from yaosu.gm.multiples import Multiples, has_x, total
from yaosu.gm.sm2 import CURVE, GX, GY, TABLE_AFTER, N, P, _xy

G = Multiples(GX, GY, P, 6)
DRAWN = Random(32918)
EDGES = [1, 2, 3, 255, 256, 2**31, 2**32, 2**32 + 1, 2**224, 2**255, N // 2, N - 2, N - 1]


@pytest.mark.parametrize("k", [*EDGES, *(1 + DRAWN.randrange(N - 1) for _ in range(8)), 2**256 - 1])
@pytest.mark.parametrize("width", [3, 5, 6])
def test_a_multiple_of_the_generator_is_the_plain_one(k: int, width: int) -> None:
    table = G if width == 6 else Multiples(GX, GY, P, width)
    assert total(table.points(k), P) == _xy(k % N * CURVE.G)


@pytest.mark.parametrize(
    ("s", "t"), [(1, 1), (N - 1, 2), (2**32, 2**64), (5, N - 4), *((3**n, 7**n) for n in (40, 80))]
)
def test_a_sum_of_two_multiples_is_the_plain_one(s: int, t: int) -> None:
    q = 12_345_678_901_234_567_890 * CURVE.G
    points = G.points(s) + Multiples(*_xy(q), P, 5).points(t)
    x, y = _xy(s * CURVE.G + t * q)
    assert total(points, P) == (x, y)
    assert has_x(points, P, [1, x])
    assert not has_x(points, P, [1, y])
    assert not has_x(points, P, [])


def test_equal_and_opposite_points_in_one_sum_are_right() -> None:
    # many of one point: pairs meet that the plain formula cannot add
    points = G.points(7) * 30
    assert total(points, P) == _xy(210 * CURVE.G)
    opposite = [(x, P - y) for x, y in points]
    assert not has_x(points + opposite, P, [GX, 0, 1])
    with pytest.raises(ValueError, match=r".+"):
        total(points + opposite, P)


def test_the_point_at_infinity_is_refused_not_guessed() -> None:
    with pytest.raises(ValueError, match=r".+"):
        total(G.points(0), P)
    with pytest.raises(ValueError, match=r".+"):
        total(G.points(7) + G.points(N - 7), P)


def test_a_key_verifies_alike_before_and_after_it_has_a_table() -> None:
    private, public = gm.new_keys()
    for n in range(TABLE_AFTER + 3):
        text = b"text %d" % n
        signature = gm.sm2_sign(private, text)
        assert gm.sm2_verify(public, text, signature) is True
        assert gm.sm2_verify(public, text + b"x", signature) is False
        assert gm.sm2_verify(b"\x04" + public, text, signature) is True


def test_signatures_by_many_keys_hold_and_only_for_their_own() -> None:
    pairs = [gm.new_keys() for _ in range(4)]
    for n, (private, public) in enumerate(pairs):
        signature = gm.sm2_sign(private, b"text")
        for m, (_, other) in enumerate(pairs):
            assert gm.sm2_verify(other, b"text", signature) is (n == m)
            assert gm.sm2_verify(public, b"texT", signature) is False


def test_the_generator_is_the_standards() -> None:
    assert total(G.points(1), P) == (GX, GY)
