"""The comb gives what the plain multiplication gives, at the edges too."""

from __future__ import annotations

from random import Random

import pytest

from yaosu import gm
from yaosu.gm.comb import Comb, multiple
from yaosu.gm.sm2 import CURVE, GX, GY, N, P, _xy

G = Comb(GX, GY, P)
DRAWN = Random(32918)
EDGES = [1, 2, 3, 255, 256, 2**31, 2**32, 2**32 + 1, 2**224, 2**255, N // 2, N - 2, N - 1]


@pytest.mark.parametrize("k", [*EDGES, *(1 + DRAWN.randrange(N - 1) for _ in range(8))])
def test_a_multiple_of_the_generator_is_the_plain_one(k: int) -> None:
    assert multiple((k, G)) == _xy(k * CURVE.G)


@pytest.mark.parametrize(("s", "t"), [(1, 1), (N - 1, 2), (2**32, 2**64), (5, N - 4)])
def test_a_sum_of_two_multiples_is_the_plain_one(s: int, t: int) -> None:
    q = 12_345_678_901_234_567_890 * CURVE.G
    assert multiple((s, G), (t, Comb(*_xy(q), P))) == _xy(s * CURVE.G + t * q)


def test_the_point_at_infinity_is_refused_not_guessed() -> None:
    with pytest.raises(ValueError, match=r".+"):
        multiple((0, G))
    with pytest.raises(ValueError, match=r".+"):
        multiple((7, G), (N - 7, G))


def test_signatures_by_many_keys_hold_and_only_for_their_own() -> None:
    pairs = [gm.new_keys() for _ in range(4)]
    for n, (private, public) in enumerate(pairs):
        signature = gm.sm2_sign(private, b"text")
        for m, (_, other) in enumerate(pairs):
            assert gm.sm2_verify(other, b"text", signature) is (n == m)
            assert gm.sm2_verify(public, b"texT", signature) is False


def test_the_generator_is_the_standards() -> None:
    assert multiple((1, G)) == (GX, GY)
