"""Element strings whose group separator got lost on the way: list every reading, take one only if it is
alone.

Many scanners in keyboard mode drop the control character GS. ``(10)A21B`` + ``(21)C`` then arrives as one
run of characters. The reader below tries every place at which one of the identifiers of a medicine box could
start.

When is a reading taken?

* The string reads strictly and names a trace code: that reading conforms to the standard and is taken. If
  another reading exists in which a separator was lost, a note says so. If that other reading splits off a
  checked date *and* completes batch and expiry, it is about as credible as the first: the text is refused as
  ambiguous. (For a random 20-digit serial number this happens less than once in 20,000.)
* The string does not read strictly, or lacks the serial number: exactly one reading with a trace code → taken
  with a note; several → refused, naming them.
"""

from __future__ import annotations

from collections.abc import Iterator

from yaosu.codes.gs1 import (
    AI_TABLE,
    ELEMENTS_LENGTH_MAX,
    GS,
    ElementProblem,
    Elements,
    ai_at,
    bracketed,
    check_value,
    read_elements,
    trace_code,
)
from yaosu.codes.model import NotACode, TraceCode

NOTE_LOST = "note_separator_lost"
NOTE_MAYBE_LOST = "note_separator_maybe_lost"

BOX_AIS = ("10", "11", "17", "21")
"""Identifiers assumed to follow a lost separator: those that 药品追溯码 in GS1 form carry besides (01)."""

READINGS_MAX = 8
"""More readings than this are not looked for; the answer is «ambiguous» from the second on."""
STEPS_MAX = 300
"""Bound on the search. A text that needs more steps is hostile and counts as ambiguous."""

_DATES = frozenset(["11", "17"])


class _Search:
    """Depth-first search over all readings of one text, bounded in steps and results."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.steps = 0

    def readings(
        self, pos: int, seen: Elements, lost: tuple[str, ...]
    ) -> Iterator[tuple[Elements, tuple[str, ...]]]:
        """Readings of the text from ``pos`` on, with the identifiers that were split off without a
        separator."""
        text = self.text
        while pos < len(text) and text[pos] == GS:
            pos += 1
        if pos >= len(text):
            yield seen, lost
            return
        self.steps += 1
        ai = ai_at(text, pos)
        if ai is None or ai in seen or self.steps > STEPS_MAX:
            return
        spec = AI_TABLE[ai]
        start = pos + len(ai)
        gs = text.find(GS, start)
        stop = gs if gs >= 0 else len(text)
        if spec.predefined:
            ends = [start + spec.length_max]
        else:
            ends = [stop]
            longest = min(start + spec.length_max, stop - 3)
            ends += [
                i for i in range(start + max(1, spec.length_min), longest + 1) if text[i : i + 2] in BOX_AIS
            ]
        for end in ends:
            value = text[start:end]
            if end > stop or check_value(ai, value) is not None:
                continue
            split = not spec.predefined and end < stop
            yield from self.readings(
                end, {**seen, ai: value}, (*lost, text[end : end + 2]) if split else lost
            )


def _lost_readings(text: str) -> tuple[list[tuple[Elements, tuple[str, ...]]], bool]:
    """Readings with at least one lost separator that name a GTIN and a serial number; and «search was cut
    off»."""
    search = _Search(text)
    found: list[tuple[Elements, tuple[str, ...]]] = []
    for elements, lost in search.readings(0, {}, ()):
        if lost and "01" in elements and "21" in elements:
            found.append((elements, lost))
            if len(found) >= READINGS_MAX:
                return found, True
    return found, search.steps > STEPS_MAX


def read(text: str, raw: str, notes: tuple[str, ...] = ()) -> TraceCode | NotACode:
    """The trace code of a raw element string, separators present or lost; or why there is none."""
    strict = read_elements(text)
    code = strict.at(raw) if isinstance(strict, ElementProblem) else trace_code(strict, raw, notes)
    if isinstance(code, TraceCode) and isinstance(strict, dict):
        if "00" in strict or not _could_hide_an_element(strict):
            return code
        others, _ = _lost_readings(text)
        if not others:
            return code
        for elements, lost in others:
            completes = {"10", "17"} <= elements.keys() and not {"10", "17"} <= strict.keys()
            if completes and not _DATES.isdisjoint(lost):
                return _ambiguous([strict, elements], raw)
        return code._replace(notes=(*code.notes, NOTE_MAYBE_LOST))
    if isinstance(strict, dict) and "01" in strict and "21" in strict:
        return code  # read completely; what is wrong is not a separator
    if len(text) > ELEMENTS_LENGTH_MAX or not text.startswith(("01", "10", "11", "17", "21", "24", "71")):
        return code
    others, cut_off = _lost_readings(text)
    if len(others) == 1 and not cut_off:
        return trace_code(others[0][0], raw, (*notes, NOTE_LOST))
    if others:
        return _ambiguous([elements for elements, _ in others], raw)
    return code


def _could_hide_an_element(elements: Elements) -> bool:
    """Quick exclusion: no value of variable length contains an identifier of a box that is not there yet."""
    missing = [ai for ai in BOX_AIS if ai not in elements]
    if not missing:
        return False
    for ai, value in elements.items():
        if not AI_TABLE[ai].predefined and any(value.find(m, 1) > 0 for m in missing):
            return True
    return False


def _ambiguous(readings: list[Elements], raw: str) -> NotACode:
    listed = " | ".join(bracketed(elements) for elements in readings[:READINGS_MAX])
    return NotACode("code_gs1_separator_lost", {"readings": listed, "count": str(len(readings))}, raw)
