"""Membership of codes in what was issued, by computation (D6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from yaosu.codes import issue
from yaosu.codes.issue import IssueKey, locate_many
from yaosu.production.relation.keys import ENDING_MASK, TEXT_BIT
from yaosu.production.relation.model import RelationFile

BLOCK = 1 << 16
"""Codes at a time: small enough for the processor's cache."""

Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def in_ranges(numbers: Longs, ranges: Sequence[tuple[int, int]]) -> Bools:
    """Which sequence numbers lie in one of the ranges (first, count), sorted by first; −1 never does."""
    if not ranges:
        return np.zeros(len(numbers), dtype=np.bool_)
    starts = np.array([r[0] for r in ranges], dtype=np.int64)
    ends = np.array([r[0] + r[1] for r in ranges], dtype=np.int64)
    at = np.searchsorted(starts, numbers, side="right") - 1
    out: Bools = (at >= 0) & (numbers < ends[np.maximum(at, 0)]) & (numbers >= 0)
    return out


def not_issued(
    file: RelationFile, at: Longs, prefix: str, key: IssueKey, ranges: Sequence[tuple[int, int]]
) -> Bools:
    """For the codes at these indices, all of one prefix: True where the code was never issued."""
    out = np.zeros(len(at), dtype=np.bool_)
    for a in range(0, len(at), BLOCK):
        keys = file.key[at[a : a + BLOCK]]
        if (keys & np.uint64(TEXT_BIT)).any():
            numbers = _by_text([file.space.text(k) for k in keys.tolist()], key)
        else:
            numbers = sequences(prefix, (keys & np.uint64(ENDING_MASK)).astype(np.int64), key)
        out[a : a + len(keys)] = ~in_ranges(numbers, ranges)
    return out


def sequences(prefix: str, endings: Longs, key: IssueKey) -> Longs:
    """Sequence numbers of 13-digit endings under a prefix; −1 where the check field is wrong."""
    if len(endings) < 512:
        return _by_text([f"{prefix}{e:013d}" for e in endings.tolist()], key)
    # the arrays are here already: going through a million texts would cost more than the arithmetic
    numbers, right = issue._backward(issue._tables(key, prefix), endings)
    out: Longs = np.where(right, numbers, -1)
    return out


def _by_text(codes: list[str], key: IssueKey) -> Longs:
    return np.array([-1 if n is None else n for n in locate_many(codes, key)], dtype=np.int64)


def one_number(number: int | None) -> Longs:
    """A single sequence number in the form that `in_ranges` takes; None becomes −1."""
    return np.array([-1 if number is None else number], dtype=np.int64)
