"""Issue trace codes without storing them (decision D6, R-X8).

A code request stores prefix, key id and a range of sequence numbers. The code with number ``i`` is computed:

    prefix + 9 digits (a keyed permutation of i) + 4 digits (a keyed check field)

which is the 7 + 9 + 4 layout of the 20-digit code; for a GTIN the same 13 digits are the serial number (21).
Given a code and the key, the sequence number is computed back, so membership needs no table of codes.

How
---
``i`` in 0 … 999,999,999 is split into (left, right) with i = left · 31,250 + right, left < 32,000. Twelve
rounds of an alternating Feistel network add a pseudo-random function of one half to the other (modulo its
radix). Because 32,000 · 31,250 is exactly 10⁹ this is a permutation without cycle walking. The round
functions are independent random tables: entry k of round r is taken from BLAKE2b keyed with the issue key
and personalised by the prefix. The check field is A[left] + B[right] modulo 10,000 with two further tables,
taken after six rounds, so that six keyed rounds separate it from everything printed on the box.

What it is worth
----------------
* Unique by construction: a permutation has no collisions, and sequence numbers are given out once.
* Of the 10¹³ possible 13-digit endings of a prefix exactly 10⁹ pass the check (1 in 10,000), however many are
  issued; a random guess names one of n *issued* codes with probability n / 10¹³, at most 1/10,000.
* Without the key, the ending of one code tells nothing usable about another. The network is small (30 bits)
  and not a standardised cipher: the claim is unpredictability against people who see boxes, not against an
  attacker with a sizeable share of all codes of a prefix and much computing time. A code is no secret:
  copying a printed one is found by its movements, not here.
* Who has the key can make valid codes. Keys are derived from one master secret and never leave the server.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from yaosu.codes.identifiers.checksums import mod10_ok
from yaosu.codes.model import NotACode

COUNTER_SPACE = 1_000_000_000
"""Sequence numbers per prefix and key: 0 … 10⁹ − 1."""
CHECK_SPACE = 10_000
"""Values of the 4-digit check field."""
CHUNK = 1 << 16
"""Codes per chunk of `iter_codes`: small enough for the processor's cache."""

_LEFT, _RIGHT = 32_000, 31_250
_ROUNDS = 12
_TAP = 6  # the check field is taken after this many rounds
_PER_BLOCK = 16  # table entries of 32 bits in one 64-byte BLAKE2b block
_CHECK_LEFT, _CHECK_RIGHT = _ROUNDS, _ROUNDS + 1  # table numbers after the rounds
_U16 = np.uint16

Array16 = npt.NDArray[np.uint16]
Array32 = npt.NDArray[np.uint32]


class IssueRefusedError(ValueError):
    """A range or prefix that cannot be issued; ``problem`` is the coded reason."""

    def __init__(self, problem: NotACode) -> None:
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class IssueKey:
    """The secret under which codes are permuted; never shown, not even in a repr."""

    secret: bytes = field(repr=False)
    """32 bytes."""

    def __post_init__(self) -> None:
        if len(self.secret) != 32:
            raise IssueRefusedError(NotACode("issue_key_length", {"length": str(len(self.secret))}))


def derive(master: bytes, key_id: int) -> IssueKey:
    """The issue key with number ``key_id`` (0 … 2³²−1) of a master secret of 32 to 64 bytes."""
    if not 32 <= len(master) <= 64:
        raise IssueRefusedError(NotACode("issue_master_length", {"length": str(len(master))}))
    if not 0 <= key_id < 1 << 32:
        raise IssueRefusedError(NotACode("issue_key_id", {"key_id": str(key_id)}))
    return IssueKey(
        blake2b(key_id.to_bytes(4, "big"), key=master, digest_size=32, person=b"yaosu issue key").digest()
    )


@dataclass(frozen=True, slots=True)
class Range:
    """Consecutive sequence numbers of one prefix under one key: what a code request stores.

    Raises `IssueRefusedError` if the prefix cannot be issued or the numbers leave the counter space.
    """

    prefix: str
    """药品标识码 of 7 digits, or a GTIN-14: product and package level. Each level has its own."""
    key: IssueKey
    """Key of this prefix."""
    start: int
    """First sequence number."""
    count: int
    """How many numbers, at least 1."""

    def __post_init__(self) -> None:
        problem = check_prefix(self.prefix) or _check_numbers(self.start, self.count)
        if problem is not None:
            raise IssueRefusedError(problem)

    def __contains__(self, sequence: object) -> bool:
        """True if the sequence number lies in the range."""
        return isinstance(sequence, int) and self.start <= sequence < self.start + self.count


def check_prefix(prefix: str) -> NotACode | None:
    """What speaks against issuing under a prefix, or None.

    Seven digits not starting with 0 (00 and 01 open GS1 texts), or a GTIN-14 with a right check digit.
    """
    if not (prefix.isascii() and prefix.isdigit()) or len(prefix) not in (7, 14):
        return NotACode("issue_prefix_shape", {"prefix": prefix[:20]}, prefix[:200])
    if len(prefix) == 7 and prefix[0] == "0":
        return NotACode("issue_prefix_zero", {"prefix": prefix}, prefix)
    if len(prefix) == 14 and not mod10_ok(prefix):
        return NotACode("gtin_check_digit", {"value": prefix}, prefix)
    return None


def _check_numbers(start: int, count: int) -> NotACode | None:
    if start < 0 or count < 1 or start + count > COUNTER_SPACE:
        params = {"start": str(start), "count": str(count), "space": str(COUNTER_SPACE)}
        return NotACode("issue_range", params)
    return None


# One code at a time: table entries are computed as needed, about 20 microseconds per code.


def _radix(table: int) -> int:
    """Values of a table: those of the half it is added to, or of the check field."""
    if table >= _ROUNDS:
        return CHECK_SPACE
    return _RIGHT if table % 2 else _LEFT


def _domain(table: int) -> int:
    """Entries of a table: the size of the half it is indexed by."""
    if table == _CHECK_RIGHT:
        return _RIGHT
    if table == _CHECK_LEFT:
        return _LEFT
    return _LEFT if table % 2 else _RIGHT


def _block(key: IssueKey, prefix: str, table: int, block: int) -> bytes:
    """64 pseudo-random bytes: 16 entries of one table."""
    message = b"%d:%d" % (table, block)
    return blake2b(
        message, key=key.secret, person=prefix.encode("ascii").ljust(16, b"\0"), digest_size=64
    ).digest()


def _entry(key: IssueKey, prefix: str, table: int, index: int) -> int:
    """One table entry. 32 random bits modulo at most 32,000: the bias is below 10⁻⁵."""
    block, slot = divmod(index, _PER_BLOCK)
    four = _block(key, prefix, table, block)[slot * 4 : slot * 4 + 4]
    return int.from_bytes(four, "little") % _radix(table)


def _ending(key: IssueKey, prefix: str, sequence: int) -> str:
    """The 13 digits of a sequence number."""
    left, right = divmod(sequence, _RIGHT)
    check = 0
    for r in range(_ROUNDS):
        if r == _TAP:
            check = _check_value(key, prefix, left, right)
        if r % 2:
            right = (right + _entry(key, prefix, r, left)) % _RIGHT
        else:
            left = (left + _entry(key, prefix, r, right)) % _LEFT
    return f"{left * _RIGHT + right:09d}{check:04d}"


def _check_value(key: IssueKey, prefix: str, left: int, right: int) -> int:
    return (_entry(key, prefix, _CHECK_LEFT, left) + _entry(key, prefix, _CHECK_RIGHT, right)) % CHECK_SPACE


def _sequence(key: IssueKey, prefix: str, ending: str) -> int | None:
    """The sequence number of 13 digits, or None if their check field is wrong."""
    left, right = divmod(int(ending[:9]), _RIGHT)
    for r in reversed(range(_ROUNDS)):
        if r % 2:
            right = (right - _entry(key, prefix, r, left)) % _RIGHT
        else:
            left = (left - _entry(key, prefix, r, right)) % _LEFT
        if r == _TAP and _check_value(key, prefix, left, right) != int(ending[9:]):
            return None
    return left * _RIGHT + right


def _head(prefix: str) -> str:
    """What stands before the 13 digits in the canonical code."""
    return prefix if len(prefix) == 7 else f"(01){prefix}(21)"


def split_own(code: str) -> tuple[str, str] | None:
    """Prefix and 13-digit ending of a canonical code that has our form, or None."""
    if len(code) == 20:
        prefix, ending = code[:7], code[7:]
    elif len(code) == 35 and code[:4] == "(01)" and code[18:22] == "(21)":
        prefix, ending = code[4:18], code[22:]
    else:
        return None
    digits = prefix + ending
    return (prefix, ending) if digits.isascii() and digits.isdigit() else None


def nth(issued: Range, i: int) -> str:
    """Canonical code with the ``i``-th number of a range (0 = first). Raises IndexError outside."""
    if not 0 <= i < issued.count:
        raise IndexError(i)
    return _head(issued.prefix) + _ending(issued.key, issued.prefix, issued.start + i)


def locate(code: str, key: IssueKey) -> int | None:
    """Sequence number of a canonical code in the counter space of its prefix, or None if the key did not
    make it.

    A number does not mean «issued»: compare it with the ranges of the code requests.
    """
    own = split_own(code)
    return None if own is None else _sequence(key, own[0], own[1])


# Many codes: whole tables and arrays.


@lru_cache(maxsize=24)
def _tables(key: IssueKey, prefix: str) -> tuple[Array16, ...]:
    """All tables of a key and prefix (0.9 MB, some 30 ms to make)."""
    tables = []
    for table in range(_ROUNDS + 2):
        size = _domain(table)
        blocks = -(-size // _PER_BLOCK)
        stream = b"".join(_block(key, prefix, table, block) for block in range(blocks))
        entries = np.frombuffer(stream, dtype="<u4")[:size] % np.uint32(_radix(table))
        tables.append(entries.astype(_U16))
    return tuple(tables)


def _add(a: Array16, b: Array16, radix: int) -> Array16:
    """(a + b) mod radix for operands below radix ≤ 32,767: the wrapped difference is the larger one, so min
    picks."""
    total = a + b
    result: Array16 = np.minimum(total, total - _U16(radix))
    return result


def _subtract(a: Array16, b: Array16, radix: int) -> Array16:
    """(a − b) mod radix, likewise."""
    difference = a - b
    result: Array16 = np.minimum(difference, difference + _U16(radix))
    return result


def _forward(tables: tuple[Array16, ...], sequences: Array32) -> tuple[Array32, Array16]:
    """Permuted numbers and check fields of sequence numbers."""
    high = sequences // np.uint32(_RIGHT)
    left = high.astype(_U16)
    right = (sequences - high * np.uint32(_RIGHT)).astype(_U16)
    check = left
    for r in range(_ROUNDS):
        if r == _TAP:
            check = _add(tables[_CHECK_LEFT].take(left), tables[_CHECK_RIGHT].take(right), CHECK_SPACE)
        if r % 2:
            right = _add(right, tables[r].take(left), _RIGHT)
        else:
            left = _add(left, tables[r].take(right), _LEFT)
    return left.astype(np.uint32) * np.uint32(_RIGHT) + right, check


def _quads() -> Array32:
    """The 4 ASCII digits of 0 … 9999 as one 32-bit word each."""
    text = "".join(f"{n:04d}" for n in range(10_000)).encode("ascii")
    return np.frombuffer(text, dtype=np.uint32).copy()


_QUADS = _quads()


def iter_codes(prefix: str, key: IssueKey, start: int, count: int) -> Iterator[bytes]:
    """Codes ``start`` … ``start + count − 1`` of a prefix as chunks of lines, each code followed by a line
    feed.

    The same codes as `nth` gives, in the same order. Memory is bounded by one chunk. Raises
    `IssueRefusedError`.
    """
    issued = Range(prefix, key, start, count)
    return _chunks(issued)


def _chunks(issued: Range) -> Iterator[bytes]:
    tables = _tables(issued.key, issued.prefix)
    head = _head(issued.prefix).encode("ascii")
    at = len(head)
    line = np.dtype(
        {
            "names": ["one", "high", "low", "check"],
            "formats": ["u1", "u4", "u4", "u4"],
            "offsets": [at, at + 1, at + 5, at + 9],
            "itemsize": at + 14,
        }
    )
    size = min(CHUNK, issued.count)
    # Prefix and line feed never change: they are laid down once, each chunk writes the 13 digits between
    # them.
    lines = np.frombuffer(bytearray((head + b"0" * 13 + b"\n") * size), dtype=line)
    for offset in range(0, issued.count, size):
        n = min(size, issued.count - offset)
        first = issued.start + offset
        number, check = _forward(tables, np.arange(first, first + n, dtype=np.uint32))
        upper = number // np.uint32(10_000)
        one = upper // np.uint32(10_000)
        part = lines[:n]
        part["one"] = one.astype(np.uint8) + np.uint8(48)
        part["high"] = _QUADS.take(upper - one * np.uint32(10_000))
        part["low"] = _QUADS.take(number - upper * np.uint32(10_000))
        part["check"] = _QUADS.take(check)
        yield part.tobytes()


def locate_many(codes: Sequence[str], key: IssueKey) -> list[int | None]:
    """`locate` for many codes, in their order; arrays are used for every prefix that occurs often."""
    found: list[int | None] = [None] * len(codes)
    by_prefix: dict[str, list[tuple[int, str]]] = {}
    for i, code in enumerate(codes):
        own = split_own(code)
        if own is not None:
            by_prefix.setdefault(own[0], []).append((i, own[1]))
    for prefix, places in by_prefix.items():
        if len(places) < 512:  # making the tables would cost more
            for i, ending in places:
                found[i] = _sequence(key, prefix, ending)
            continue
        endings = np.array([int(ending) for _, ending in places], dtype=np.int64)
        sequences, right = _backward(_tables(key, prefix), endings)
        for (i, _), sequence, ok in zip(places, sequences.tolist(), right.tolist(), strict=True):
            if ok:
                found[i] = sequence
    return found


def _backward(
    tables: tuple[Array16, ...], endings: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Sequence numbers of 13-digit endings, and whether their check fields are right."""
    number = endings // CHECK_SPACE
    given = (endings - number * CHECK_SPACE).astype(_U16)
    left = (number // _RIGHT).astype(_U16)
    right = (number % _RIGHT).astype(_U16)
    ok = np.zeros(len(endings), dtype=np.bool_)
    for r in reversed(range(_ROUNDS)):
        if r % 2:
            right = _subtract(right, tables[r].take(left), _RIGHT)
        else:
            left = _subtract(left, tables[r].take(right), _LEFT)
        if r == _TAP:
            ok = _add(tables[_CHECK_LEFT].take(left), tables[_CHECK_RIGHT].take(right), CHECK_SPACE) == given
    return left.astype(np.int64) * _RIGHT + right, ok
