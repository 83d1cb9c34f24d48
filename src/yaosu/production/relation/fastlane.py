"""Reads runs of equally shaped `<Code …/>` elements without parsing each one.

A production line writes the same element a million times with other digits. The first of a kind is taken apart
here and becomes a template: its bytes, with the digits of code, parent, layer and flag open. Further elements that
agree with a template in every other byte need no parser; they are compared eight bytes at a time, all at once.

This is an optimisation and decides nothing. The XML parser still sees the first element of every run, in place;
only when it reports that element as a `Code` inside a `Batch` are the ones directly behind it, which are
well-formed by comparison, taken from here. Whatever does not match goes to the parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from yaosu.production.relation.keys import NO_PARENT, KeySpace
from yaosu.production.relation.model import FLAG_NONE

U64 = npt.NDArray[np.uint64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

TEMPLATES_MAX = 12
RUN_MIN = 16
"""Shorter runs are not worth leaving the parser for."""
PAD = 512
"""Bytes of padding behind a chunk, so that a window of any template fits at its end."""
ELEMENT_MAX = PAD - 8

_ELEMENT = re.compile(
    rb"<(?:[A-Za-z]\w*:)?(?i:code)((?:\s+[A-Za-z]+=(?:\"[^\"<&]*\"|'[^'<&]*'))+)\s*/>\s*\Z", re.A
)
_ATTRIBUTE = re.compile(rb"([A-Za-z]+)=(?:\"([^\"<&]*)\"|'([^'<&]*)')", re.A)
_DIGITS20 = re.compile(rb"[1-9][0-9]{19}\Z")
_HIGH = np.uint64(0xF0F0F0F0F0F0F0F0)
_ZEROS = np.uint64(0x3030303030303030)
_SIXES = np.uint64(0x0606060606060606)


@dataclass(frozen=True, slots=True)
class Template:
    """One shape of element: `length` bytes up to the next `<`, open positions by name."""

    length: int
    literal: U64
    mask: U64
    code_at: int
    parent_at: int
    """−1: no parent, or an empty one."""
    layer_at: int
    flag_at: int
    """−1: no flag."""
    newlines: int

    @property
    def width(self) -> int:
        """Window in bytes: the length rounded up to whole words."""
        return len(self.mask) * 8

    def same_as(self, other: Template) -> bool:
        """Whether the two match the same elements."""
        return (
            self.length == other.length
            and self.mask.tobytes() == other.mask.tobytes()
            and self.literal.tobytes() == other.literal.tobytes()
        )


def newlines(data: bytes) -> int:
    """Line ends as an XML parser counts them: LF, CR LF and a lone CR."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def learn(element: bytes) -> Template | None:
    """The template of an element, or None when it is not of the plain kind that this lane takes."""
    matched = _ELEMENT.match(element) if len(element) <= ELEMENT_MAX else None
    if matched is None:
        return None
    places: dict[str, tuple[int, bytes]] = {}
    for attribute in _ATTRIBUTE.finditer(element, matched.start(1), matched.end(1)):
        name = attribute.group(1).decode("ascii").lower()
        group = 2 if attribute.group(2) is not None else 3
        if name in places or name not in {"curcode", "parentcode", "packlayer", "flag"}:
            return None
        places[name] = (attribute.start(group), attribute.group(group))
    code, layer = places.get("curcode"), places.get("packlayer")
    if code is None or layer is None or not _DIGITS20.match(code[1]) or layer[1] not in _LAYERS:
        return None
    parent, flag = places.get("parentcode"), places.get("flag")
    if parent is not None and parent[1] and not _DIGITS20.match(parent[1]):
        return None
    if flag is not None and flag[1] not in {b"0", b"2"}:
        return None
    words = -(-len(element) // 8)
    open_mask = bytearray(b"\xff" * len(element) + b"\0" * (words * 8 - len(element)))
    for at, size in ((code[0], 20), (layer[0], 1)):
        open_mask[at : at + size] = bytes(size)
    if parent is not None and parent[1]:
        open_mask[parent[0] : parent[0] + 20] = bytes(20)
    if flag is not None:
        open_mask[flag[0]] = 0
    mask = np.frombuffer(bytes(open_mask), dtype="<u8")
    literal = np.frombuffer(element.ljust(words * 8, b"\0"), dtype="<u8") & mask
    return Template(
        len(element),
        literal,
        mask,
        code[0],
        parent[0] if parent is not None and parent[1] else -1,
        layer[0],
        flag[0] if flag is not None else -1,
        newlines(element),
    )


_LAYERS = frozenset(b"123456789"[i : i + 1] for i in range(9))


def _word(rows: U8, at: int) -> U64:
    out: U64 = np.ascontiguousarray(rows[:, at : at + 8]).view("<u8")[:, 0]
    return out


def _digits(word: U64) -> Bools:
    ok: Bools = ((word & _HIGH) == _ZEROS) & (((word + _SIXES) & _HIGH) == _ZEROS)
    return ok


def _eight(word: U64) -> U64:
    """The number of eight ASCII digits, first digit in the lowest byte."""
    v = word - _ZEROS
    v = v * np.uint64(10) + (v >> np.uint64(8))
    low = (v & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
    high = ((v >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
    out: U64 = (low + high) >> np.uint64(32)
    return out


def _twenty(rows: U8, at: int) -> tuple[U64, U64, Bools]:
    """Prefix, ending and validity of the 20-character column at `at`."""
    first, second, last = _word(rows, at), _word(rows, at + 8), _word(rows, at + 12)
    ok = _digits(first) & _digits(second) & _digits(last)
    head = _eight(first)
    prefix = head // np.uint64(10)
    ending = (head - prefix * np.uint64(10)) * np.uint64(10**12)
    ending += _eight(second) * np.uint64(10**4) + _eight(last) % np.uint64(10**4)
    # a leading zero opens SSCC and GS1 texts too: the careful reader decides those
    return prefix, ending, ok & (prefix >= np.uint64(1_000_000))


class Matched:
    """What the lane understood of a chunk: per span, whether it matched, and its values."""

    def __init__(self, spans: int) -> None:
        self.hit = np.zeros(spans, dtype=np.bool_)
        self.key = np.zeros(spans, dtype=np.uint64)
        self.parent = np.full(spans, NO_PARENT, dtype=np.uint64)
        self.layer = np.zeros(spans, dtype=np.uint8)
        self.flag = np.full(spans, FLAG_NONE, dtype=np.uint8)
        self.newlines = np.zeros(spans, dtype=np.uint32)

    def runs(self) -> list[tuple[int, int]]:
        """Ranges of at least `RUN_MIN` matched spans in a row."""
        edges = np.flatnonzero(np.diff(np.concatenate(([0], self.hit.view(np.int8), [0]))))
        return [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= RUN_MIN]


class FastLane:
    """Templates of one file, and the matching of chunks against them."""

    def __init__(self, space: KeySpace) -> None:
        self._space = space
        self.templates: list[Template] = []

    def match(self, buffer: U8, starts: Ints, lengths: Ints) -> Matched:
        """Match the spans at `starts` (each begins with `<`) of a padded buffer. Raises TooManyError."""
        found = Matched(len(starts))
        for template in self.templates:
            self._apply(template, buffer, starts, lengths, found)
        tried = 0
        while len(self.templates) < TEMPLATES_MAX and tried < 8:
            rest = np.flatnonzero(~found.hit)
            if len(rest) < RUN_MIN:
                break
            at = int(rest[len(rest) * tried // 8])
            span = buffer[starts[at] : starts[at] + lengths[at]].tobytes()
            fresh = learn(span)
            tried += 1
            if fresh is not None and not any(fresh.same_as(t) for t in self.templates):
                self.templates.append(fresh)
                self._apply(fresh, buffer, starts, lengths, found)
        return found

    def _apply(self, template: Template, buffer: U8, starts: Ints, lengths: Ints, found: Matched) -> None:
        index = np.flatnonzero((lengths == template.length) & ~found.hit)
        if len(index) == 0:
            return
        windows = np.lib.stride_tricks.sliding_window_view(buffer, template.width)
        rows: U8 = windows[starts[index]]
        words = rows.view("<u8")
        ok: Bools = ((words & template.mask) == template.literal).all(axis=1)
        prefix, ending, fine = _twenty(rows, template.code_at)
        ok &= fine
        layer = rows[:, template.layer_at] - np.uint8(48)
        ok &= (layer >= 1) & (layer <= 9)
        if template.flag_at >= 0:
            flag = rows[:, template.flag_at] - np.uint8(48)
            ok &= (flag == 0) | (flag == 2)
        if template.parent_at >= 0:
            up_prefix, up_ending, fine = _twenty(rows, template.parent_at)
            ok &= fine
        keep = index[ok]
        if len(keep) == 0:
            return
        found.key[keep] = self._space.keys_of(prefix[ok], ending[ok])
        if template.parent_at >= 0:
            found.parent[keep] = self._space.keys_of(up_prefix[ok], up_ending[ok])
        found.layer[keep] = layer[ok]
        if template.flag_at >= 0:
            found.flag[keep] = flag[ok]
        found.newlines[keep] = template.newlines
        found.hit[keep] = True
