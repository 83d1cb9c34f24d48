"""First step of reading a text: undo what keyboards, input methods, clipboards and spreadsheets do to it.

Only changes that cannot alter the meaning of a code are made here, and each leaves a note (a message code).
Everything is one pass over the text (``str.translate``), so that hostile input costs no more than its length.
"""

from __future__ import annotations

import re

from yaosu.codes.gs1 import GS

NOTE_FULL_WIDTH = "note_full_width"
NOTE_INVISIBLE = "note_invisible_removed"
NOTE_SPACES = "note_spaces_removed"
NOTE_SEPARATOR_WRITTEN = "note_separator_written"
NOTE_SPREADSHEET = "note_spreadsheet_wrapping"

_WIDE: dict[int, int | str] = {c: c - 0xFEE0 for c in range(0xFF01, 0xFF5F)}
# What a Chinese input method types for the key of the ASCII character on the right.
_WIDE.update(
    {
        0x3000: " ",
        0x3002: ".",
        0x3001: "/",
        0x3010: "[",
        0x3011: "]",
        0x300A: "<",
        0x300B: ">",
        0xFFE5: "$",
        0x00A5: "$",
        0x00B7: ".",
        0x2014: "-",
        0x2013: "-",
        0x2010: "-",
        0x2011: "-",
        0x2212: "-",
        0x201C: '"',
        0x201D: '"',
        0x2018: "'",
        0x2019: "'",
    }
)
# Pictures of control characters (as viewers print them) and exotic blanks.
_PICTURES: dict[int, str] = {
    0x241D: GS,
    0x241E: "\x1e",
    0x2404: "\x04",
    0x240D: " ",
    0x240A: " ",
    0x2409: " ",
}
_PICTURES.update(dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F), " "))
_CONTROLS = [c for c in (*range(0x20), 0x7F) if c not in (0x09, 0x0A, 0x0D, 0x1D, 0x1E, 0x04)]
_FORMATS = [0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
_GONE: dict[int, None] = dict.fromkeys((*_CONTROLS, *_FORMATS), None)

_SEPARATOR_WORDS = re.compile(
    r"<GS>|\{GS\}|\[GS\]|<FNC1>|\{FNC1\}|\[FNC1\]|\^\]|~1|~d029|\\x1d|\\u001d|\\F", re.IGNORECASE | re.ASCII
)
_OPENS_PLAIN = re.compile(r"[0-9A-Za-z\]]|\(\d", re.ASCII)
_EDGES = " \t\r\n\x1d\x1e\x04"


def clean(raw: str) -> tuple[str, list[str]]:
    """The text in ASCII form as far as that is unambiguous, without edges, and the notes on what was changed.

    Full-width and input-method punctuation becomes ASCII; zero-width, directional and control characters
    (other than separators and line ends) go; blanks, line ends and separators at both ends go without a note.
    """
    notes: list[str] = []
    text = raw
    if not text.isascii():
        if "…" in text or "——" in text:  # shift+6 and shift+hyphen under a Chinese input method
            text = text.replace("……", "^").replace("…", "^").replace("——", "_")
        text = text.translate(_WIDE)
        if text != raw:
            notes.append(NOTE_FULL_WIDTH)
        text = text.translate(_PICTURES)
    if not (text.isascii() and text.isprintable()):
        kept = text.translate(_GONE)
        # Scanners frame a code with STX/ETX or NUL; only what stood inside the text is worth a note.
        if kept.strip(_EDGES) not in text:
            notes.append(NOTE_INVISIBLE)
        text = kept
    return text.strip(_EDGES), notes


def unwrap_spreadsheet(text: str, notes: list[str]) -> str:
    """Take off what spreadsheets put around a text: ``'…``, ``"…"``, ``="…"``."""
    bare = text
    if text.startswith('="') and text.endswith('"') and len(text) > 3:
        bare = text[2:-1]
    elif _OPENS_PLAIN.match(text, 1):  # otherwise the quote may be a digit of a wrong keyboard layout
        if text[0] == text[-1] == '"':
            bare = text[1:-1]
        elif text[0] == "'":
            bare = text[1:].removesuffix("'")
    if bare is not text:
        notes.append(NOTE_SPREADSHEET)
    return bare.strip(" ")


def written_separators(text: str, notes: list[str]) -> str:
    """Turn written forms of the group separator (``<GS>``, ``{GS}``, ``^]``, ``~1``, ``\\x1d`` …) into GS."""
    if not any(mark in text for mark in "<{[^~\\"):
        return text
    changed = _SEPARATOR_WORDS.sub(GS, text)
    if changed != text:
        notes.append(NOTE_SEPARATOR_WRITTEN)
    return changed


def without_blanks(text: str, notes: list[str]) -> str:
    """Remove blanks and line ends inside the text: no part of a canonical code contains one."""
    if " " not in text and "\n" not in text and "\t" not in text and "\r" not in text:
        return text
    notes.append(NOTE_SPACES)
    return "".join(text.split(" ")).translate({9: None, 10: None, 13: None})
