"""Enterprise-defined trace codes, recognised by a registered pattern.

A pattern is a small regular expression. Because it runs on whatever a scanner sends, only a subset without
catastrophic cases is accepted: literals, classes, one level of plain groups, alternatives outside
repetition, and at most three repetitions of variable length, none inside another. With texts of at most 100
characters the worst case stays in the order of 100,000 steps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from yaosu.codes.model import CANONICAL_LENGTH_MAX, NotACode, Scheme, TraceCode

PATTERN_LENGTH_MAX = 200
REPEAT_MAX = 100
VARIABLE_REPEATS_MAX = 3
_ISSUER = re.compile(r"[a-z][a-z0-9_-]{1,19}")
_RESERVED = frozenset(["http", "https", "sscc", "urn"])
_ESCAPES_ALLOWED = frozenset("dwDWsS.-+*?()[]{}|^$/\\_")
_COUNT = re.compile(r"\{(\d{1,4})(?:(,)(\d{0,4}))?\}")


@dataclass(frozen=True, slots=True)
class CustomPattern:
    """One registered pattern of one issuer.

    Named groups ``serial`` and ``batch`` are taken as such; without a ``serial`` group the whole text is the
    serial. Raises ValueError with a message code if the pattern or the issuer key is not acceptable: check
    user input with `check_pattern` and `check_issuer` first.
    """

    issuer: str
    """Key of the issuer: 2–20 lower-case letters, digits, ``-`` or ``_``, starting with a letter."""
    name: str
    """Name shown to people."""
    regex: str
    """Pattern for the whole text (anchored at both ends)."""
    normalise: Literal["upper", "none"] = "none"
    """``upper``: the issuer's codes have no lower-case letters, so capitals are made of them before
    matching."""

    def __post_init__(self) -> None:
        problem = check_issuer(self.issuer) or check_pattern(self.regex)
        if problem is not None:
            raise ValueError(problem.code)


@lru_cache(maxsize=1024)
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.ASCII)


def check_issuer(issuer: str) -> NotACode | None:
    """What is wrong with an issuer key, or None."""
    if _ISSUER.fullmatch(issuer) is None or issuer in _RESERVED:
        return NotACode("pattern_issuer", {"issuer": issuer[:40]}, issuer[:200])
    return None


def check_pattern(regex: str) -> NotACode | None:
    """What is wrong with a pattern, or None if it is safe to run on hostile text."""

    def refuse(code: str, **params: str | int) -> NotACode:
        return NotACode(code, {k: str(v) for k, v in params.items()}, regex[:200])

    if not regex:
        return refuse("pattern_empty")
    if len(regex) > PATTERN_LENGTH_MAX:
        return refuse("pattern_too_long", length=len(regex), max=PATTERN_LENGTH_MAX)
    if not (regex.isascii() and regex.isprintable()):
        return refuse("pattern_characters")
    at = _unsafe_at(regex)
    if at is not None:
        return refuse("pattern_unsafe", position=at + 1, part=regex[at : at + 10])
    try:
        compiled = _compiled(regex)
    except (re.error, OverflowError, RecursionError) as error:
        return refuse("pattern_syntax", reason=str(error)[:100])
    if compiled.fullmatch(""):
        return refuse("pattern_matches_empty")
    if any(compiled.fullmatch(probe) for probe in _FOREIGN_PROBES):
        return refuse("pattern_matches_standard")
    return None


_FOREIGN_PROBES = (
    "8" + "0123456789" * 2,
    "83857930000879766660",
    "00000000000000000000",
    "6924561884074",
    "06924561884071",
    "(01)06924561884071(21)ABC123",
    "010692456188407121ABC123",
    "https://id.example.com/01/06924561884071/21/ABC123",
)
"""Standard codes and retail barcodes: a pattern that also takes one of these would shadow what the box
says."""


def _unsafe_at(regex: str) -> int | None:
    """Position of the first construct outside the safe subset, or None."""
    pos, end = 0, len(regex)
    group_start = -1  # position of the open group, -1 outside
    group_varies = False  # the open or just closed group holds a repetition or an alternative
    variable = 0
    repeatable = False
    after_group = False
    while pos < end:
        ch = regex[pos]
        if ch == "\\":
            if pos + 1 >= end or regex[pos + 1] not in _ESCAPES_ALLOWED:
                return pos
            pos, repeatable, after_group = pos + 2, True, False
        elif ch == "[":
            close = _class_end(regex, pos)
            if close < 0:
                return pos
            pos, repeatable, after_group = close + 1, True, False
        elif ch == "(":
            opened = re.compile(r"\((?:\?:|\?P<[a-z]{1,20}>)?(?!\?)").match(regex, pos)
            if group_start >= 0 or opened is None:
                return pos
            group_start, group_varies = pos, False
            pos, repeatable, after_group = opened.end(), False, False
        elif ch == ")":
            if group_start < 0:
                return pos
            group_start = -1
            pos, repeatable, after_group = pos + 1, True, True
        elif ch == "|":
            group_varies = True
            pos, repeatable, after_group = pos + 1, False, False
        elif ch in "*+?{":
            if not repeatable or (after_group and group_varies):
                return pos
            if ch == "{":
                count = _COUNT.match(regex, pos)
                if count is None:
                    return pos
                low = int(count[1])
                high = (int(count[3]) if count[3] else REPEAT_MAX + low) if count[2] else low
                if low > REPEAT_MAX or high < low or (count[3] and high > REPEAT_MAX):
                    return pos
                varies, step = high != low, count.end()
            else:
                varies, step = True, pos + 1
            variable += varies
            if variable > VARIABLE_REPEATS_MAX:
                return pos
            group_varies = group_varies or group_start >= 0
            pos, repeatable, after_group = step, False, False
        elif ch in "]}^$":
            return pos
        else:
            pos, repeatable, after_group = pos + 1, True, False
    return group_start if group_start >= 0 else None


def _class_end(regex: str, pos: int) -> int:
    """Position of the ``]`` that closes the class opened at ``pos``, or -1. Nested ``[`` is not allowed."""
    i = pos + 1
    if i < len(regex) and regex[i] == "^":
        i += 1
    first = i
    while i < len(regex):
        if regex[i] == "\\":
            i += 2
            continue
        if regex[i] == "[":
            return -1
        if regex[i] == "]":
            return i if i > first else -1
        i += 1
    return -1


def match_custom(
    text: str, customs: Sequence[CustomPattern], notes: tuple[str, ...], raw: str
) -> TraceCode | NotACode | None:
    """The code that the registered patterns make of the text; None if none fits; ambiguous if two issuers
    fit."""
    if len(text) > CANONICAL_LENGTH_MAX:
        return None
    found: dict[str, TraceCode] = {}
    for pattern in customs:
        shaped = text.upper() if pattern.normalise == "upper" else text
        canonical = f"{pattern.issuer}:{shaped}"
        match = _compiled(pattern.regex).fullmatch(shaped)
        if match is None or len(canonical) > CANONICAL_LENGTH_MAX:
            continue
        groups = match.groupdict()
        extra = (*notes, "note_upper_cased") if shaped != text else notes
        serial = groups.get("serial") or shaped
        found.setdefault(
            canonical,
            TraceCode(
                canonical, Scheme.CUSTOM, pattern.issuer, serial, groups.get("batch") or None, notes=extra
            ),
        )
    if len(found) > 1:
        return NotACode("code_ambiguous", {"readings": " | ".join(sorted(found))}, raw)
    return next(iter(found.values()), None)
