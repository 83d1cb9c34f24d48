"""Rows of table `unit` as COPY text, built as blocks of bytes.

A million rows differ only in digits, so rows of equal width are laid out as one matrix: constants once, digits by
table. Within a part, rows go in the order of their codes, which halves the cost of the primary key's index
(measured: docs/benchmarks.md, `activate`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from yaosu.codes import Scheme
from yaosu.production.relation.keys import ENDING_BITS, ENDING_MASK, TEXT_BIT, KeySpace
from yaosu.production.relation.validate import Judged

COLUMNS = ("last_bill", "drug_id", "batch_id", "level", "code", "parent", "status", "holder", "qty", "since")
BLOCK_ROWS = 1 << 15
QTY_DIGITS = 9

U8 = npt.NDArray[np.uint8]
U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class RowFacts:
    """What all rows of one part share."""

    drug_id: int
    batch_id: int
    bill_id: int
    """Bill that activates: last event of what is inside another package."""
    last_bill: int
    """Last event of the outermost packages: the activation, or the stock-in posted with it."""
    status: str
    holder: int
    since: datetime


def _quads() -> U8:
    text = "".join(f"{n:04d}" for n in range(10_000)).encode("ascii")
    return np.frombuffer(text, dtype=np.uint8).reshape(10_000, 4).copy()


_QUADS = _quads()


class _Texts:
    """Writes 20-digit codes of keys into columns of a matrix."""

    def __init__(self, space: KeySpace) -> None:
        rows = [
            prefix.encode() if scheme is Scheme.CN20 else b"0000000"
            for prefix, scheme in zip(space.prefixes, space.schemes, strict=True)
        ]
        self._prefixes = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), 7)

    def put(self, out: U8, keys: U64) -> None:
        """`out`: (n, 20) view."""
        out[:, :7] = self._prefixes[(keys >> np.uint64(ENDING_BITS)).astype(np.int64)]
        ending = keys & np.uint64(ENDING_MASK)
        upper = ending // np.uint64(10**8)
        lower = (ending - upper * np.uint64(10**8)).astype(np.uint32)
        one = upper // np.uint64(10**4)
        out[:, 7] = one.astype(np.uint8) + np.uint8(48)
        out[:, 8:12] = _QUADS[(upper - one * np.uint64(10**4)).astype(np.int64)]
        middle = lower // np.uint32(10**4)
        out[:, 12:16] = _QUADS[middle]
        out[:, 16:20] = _QUADS[lower - middle * np.uint32(10**4)]


def escaped(text: str) -> bytes:
    """A value for COPY text."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").encode()


def blocks(judged: Judged, parts: dict[int, RowFacts]) -> Iterator[tuple[bytes, int]]:
    """COPY text of all units with the number of rows in it; `parts` by number of the file's part."""
    texts = _Texts(judged.file.space)
    for number, facts in parts.items():
        part = judged.file.parts[number]
        keys = judged.file.key[part.start : part.end]
        order = part.start + judged.file.space.order(keys)
        levels = judged.level[order]
        inside = judged.up[order] >= 0
        groups = [
            (level, is_inside, order[(levels == level) & (inside == is_inside)])
            for level in np.unique(levels).tolist()
            for is_inside in (False, True)
        ]
        # a level has a prefix of its own: the group with the lower codes first, so that the index grows at its end
        # and its pages stay full
        for level, is_inside, rows in sorted(
            (g for g in groups if len(g[2])), key=lambda g: str(judged.file.text(int(g[2][0])))
        ):
            for a in range(0, len(rows), BLOCK_ROWS):
                block = rows[a : a + BLOCK_ROWS]
                yield _block(judged, texts, facts, block, int(level), is_inside), len(block)


def _frame(facts: RowFacts, level: int, inside: bool) -> tuple[bytes, bytes, bytes]:
    """The constant text before the code, between parent and quantity, and after the quantity."""
    bill = facts.bill_id if inside else facts.last_bill
    before = f"{bill}\t{facts.drug_id}\t{facts.batch_id}\t{level}\t".encode()
    if inside:
        return before, b"\t\\N\t\\N\t", b"\t\\N\n"
    return before, f"\t{facts.status}\t{facts.holder}\t".encode(), f"\t{facts.since.isoformat()}\n".encode()


def _block(
    judged: Judged, texts: _Texts, facts: RowFacts, rows: npt.NDArray[np.int64], level: int, inside: bool
) -> bytes:
    keys = judged.file.key[rows]
    parents = judged.file.parent[rows] if inside else None
    if (keys & np.uint64(TEXT_BIT)).any() or (parents is not None and (parents & np.uint64(TEXT_BIT)).any()):
        return _plain(judged, facts, rows, level, inside)
    before, between, after = _frame(facts, level, inside)
    qty = b"\\N" if level == 1 else b"0" * QTY_DIGITS
    parent = b"0" * 20 if inside else b"\\N"
    row = before + b"0" * 20 + b"\t" + parent + between + qty + after
    out = np.empty((len(rows), len(row)), dtype=np.uint8)
    out[:] = np.frombuffer(row, dtype=np.uint8)
    at = len(before)
    texts.put(out[:, at : at + 20], keys)
    at += 21
    if parents is not None:
        texts.put(out[:, at : at + 20], parents)
    if level > 1:
        at += len(parent) + len(between)
        held = judged.qty[rows].astype(np.int64)
        for digit in range(QTY_DIGITS - 1, -1, -1):
            rest = held // 10
            out[:, at + digit] = (held - rest * 10 + 48).astype(np.uint8)
            held = rest
    return out.tobytes()


def _plain(judged: Judged, facts: RowFacts, rows: npt.NDArray[np.int64], level: int, inside: bool) -> bytes:
    """The same for codes that are not 20 digits: one by one."""
    before, between, after = _frame(facts, level, inside)
    text = judged.file.space.text
    out = []
    for i in rows.tolist():
        parent = escaped(text(int(judged.file.parent[i]))) if inside else b"\\N"
        qty = b"\\N" if level == 1 else b"%d" % int(judged.qty[i])
        out.append(before + escaped(text(int(judged.file.key[i]))) + b"\t" + parent + between + qty + after)
    return b"".join(out)
