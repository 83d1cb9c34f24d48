"""Read one scanned, typed or filed text as a trace code, or say why it is none (issue room «codes», R-I2,
R-X1).

`parse` is total: it answers every ``str`` with a value, never raises, and takes time linear in at most
4,096 characters. It never guesses: a repair is made only where a single reading is left, and leaves a note.

Order of reading

1.  exactly 20 ASCII digits (the fast path; see `digits.digits20` for leading 00 and 01);
2.  GS1 symbols announced by the scanner (AIM prefix ``]d2 ]C1 ]Q3 ]e0 ]J1``);
3.  cleaning (width, invisible characters, spreadsheet wrapping), then printed GS1 ``(01)…``, URLs, element
    strings;
4.  digits with blanks, hyphens or dots between groups;
5.  registered patterns of enterprise-defined codes;
6.  wrong keyboard layouts, each kept only if it alone makes a confirmed code;
7.  the reason why not.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.codes import clean, digital_link, explain, gs1, gs1_lost, keyboard
from yaosu.codes.cn20 import cn20, is_cn20
from yaosu.codes.custom import CustomPattern, check_issuer, match_custom
from yaosu.codes.digits import digits20
from yaosu.codes.identifiers.checksums import mod10_ok
from yaosu.codes.model import CANONICAL_LENGTH_MAX, RAW_LENGTH_MAX, NotACode, Scheme, TraceCode

_AIM_GS1 = frozenset(["]d2", "]C1", "]Q3", "]e0", "]e1", "]e2", "]J1"])
"""AIM prefixes by which a scanner says: FNC1 stood in first position, the content is GS1."""
_AIM_GS1_SWAPPED = {prefix.swapcase(): prefix for prefix in ("]d2", "]C1", "]Q3", "]J1")}
"""The same typed with caps lock on. (``]E0`` is missing: it is the prefix of EAN-13.)"""
_LEAVES_ROOM_FOR_CUSTOM = frozenset(["code_url_without_code", "code_scientific_notation"])
"""Reasons that a registered pattern overrules: the text is not clearly meant as a standard form."""
_DIGIT_JOINTS = str.maketrans("", "", " -._/\t\r\n")
NOTE_CASE_SWAPPED = "note_case_swapped"
NOTE_JOINTS = "note_separators_removed"
NOTE_LABEL = "note_label_words"
NOTE_SYMBOL = "note_symbol_says_gs1"

_new = tuple.__new__
_CN20 = Scheme.CN20
_ROUNDED = ("note_maybe_rounded",)


def parse(raw: str, customs: Sequence[CustomPattern] = ()) -> TraceCode | NotACode:
    """The trace code that ``raw`` is, or why it is none.

    ``customs`` are the registered patterns of enterprise-defined codes; standard forms always win over them.
    """
    if len(raw) == 20 and raw.isascii() and raw.isdigit():
        if raw[0] != "0":
            notes = () if raw[15:] != "00000" else _ROUNDED
            return _new(TraceCode, (raw, _CN20, raw[:7], raw[7:], None, None, None, notes))
        return digits20(raw)
    if len(raw) <= gs1.ELEMENTS_LENGTH_MAX and raw.isascii() and "<" not in raw:
        # Clean GS1 forms, the mass of scans after the 20 digits. What fails here is read again with all care.
        code: TraceCode | NotACode | None = None
        if raw[:3] in _AIM_GS1:
            code = gs1_lost.read(raw[3:], raw)
        elif raw[:2] == "01" and len(raw) > 20:
            code = gs1_lost.read(raw, raw)
        elif raw[:4] == "(01)" and raw[18:19] == "(":
            elements = gs1.read_bracketed(raw)
            if isinstance(elements, dict):
                code = gs1.trace_code(elements, raw)
        if isinstance(code, TraceCode):
            return code
    return _slowly(raw, customs)


def parse_canonical(text: str) -> TraceCode | NotACode:
    """Read a text that must already be canonical (our own key), without any repair.

    The inverse of ``TraceCode.text``; batch and dates are not part of it. Enterprise-defined codes are
    checked for their issuer key only, because the patterns may have changed since.
    """
    if is_cn20(text):
        return cn20(text)
    if len(text) <= CANONICAL_LENGTH_MAX:
        if text[:4] == "(01)" and text[18:22] == "(21)":
            return _canonical(gs1.read_elements(f"01{text[4:18]}21{text[22:]}"), text)
        if text[:4] == "(00)":
            return _canonical(gs1.read_elements(f"00{text[4:]}"), text)
        issuer, colon, rest = text.partition(":")
        if colon and rest and rest.isascii() and rest.isprintable() and check_issuer(issuer) is None:
            return TraceCode(text, Scheme.CUSTOM, issuer, rest)
    return NotACode("code_not_canonical", {"length": str(len(text))}, text[:200])


def _canonical(elements: gs1.Elements | gs1.ElementProblem, text: str) -> TraceCode | NotACode:
    if isinstance(elements, gs1.ElementProblem):
        return elements.at(text)
    code = gs1.trace_code(elements, text)
    if isinstance(code, TraceCode) and code.text != text:
        return NotACode("code_not_canonical", {"length": str(len(text))}, text)
    return code


def _slowly(raw: str, customs: Sequence[CustomPattern]) -> TraceCode | NotACode:
    """Everything off the fast path."""
    if len(raw) > RAW_LENGTH_MAX:
        return NotACode("code_too_long", {"length": str(len(raw)), "max": str(RAW_LENGTH_MAX)}, raw[:200])
    text, notes = clean.clean(raw)
    if not text:
        return NotACode("code_empty", {}, raw)
    text = clean.unwrap_spreadsheet(text, notes)
    if not text:
        return NotACode("code_empty", {}, raw)

    answer = _standard(text, raw, notes)
    if isinstance(answer, TraceCode):
        return answer
    if customs and (answer is None or answer.code in _LEAVES_ROOM_FOR_CUSTOM):
        custom = match_custom(text, customs, tuple(notes), raw)
        if custom is not None:
            return custom
    repaired = _repair_layout(text, raw, notes)
    if repaired is not None:
        return repaired
    if answer is not None:
        return answer
    return explain.explain(text, raw)


def _standard(text: str, raw: str, notes: list[str]) -> TraceCode | NotACode | None:
    """The reading as one of the standard forms; a reason if it is clearly meant as one; None if it is not."""
    aim = text[:3] if text[0] == "]" else ""
    body = text
    announced = False
    if aim in _AIM_GS1_SWAPPED:
        text, aim = text.swapcase(), _AIM_GS1_SWAPPED[aim]
        notes = [*notes, NOTE_CASE_SWAPPED]
        body = text
    if aim:
        body = body[3:]
        announced = aim in _AIM_GS1
        if not body:
            return NotACode("code_empty", {}, raw)
    if body.startswith("[)>"):
        return _envelope(body, raw, notes)
    if digital_link.is_url(body):
        return digital_link.parse_url(clean.without_blanks(body, notes), raw, tuple(notes))
    body = clean.written_separators(body, notes).strip(gs1.GS)
    if body[:1] == "[" and body[1:3].isdigit() and "]" in body[3:6]:
        body = body.replace("[", "(").replace("]", ")")
    if gs1.is_bracketed(body):
        return _bracketed(clean.without_blanks(body, notes), raw, notes)

    joined = body.translate(_DIGIT_JOINTS)
    if joined.isascii() and joined.isdigit() and not announced:
        code = _digit_groups(body, joined, raw, notes)
        if code is not None:
            return code
    if announced or gs1.GS in body or _looks_like_elements(body):
        plain = clean.without_blanks(body, notes)
        if aim and not announced:
            return NotACode(
                "code_symbol_without_fnc1", {"prefix": aim, "reading": plain.replace(gs1.GS, "<GS>")}, raw
            )
        code = gs1_lost.read(plain, raw, tuple(notes))
        if isinstance(code, NotACode) and is_cn20(
            plain
        ):  # a 20-digit code printed in a GS1 symbol by mistake
            return cn20(plain, (*notes, NOTE_SYMBOL))
        return code
    if " " in body and (spaced := _spaced(body)) is not None:
        return _bracketed(spaced, raw, [*notes, clean.NOTE_SPACES])
    labelled = explain.labelled_digits(body)
    if labelled is not None:
        return digits20(labelled, (*notes, NOTE_LABEL), raw)
    return explain.spreadsheet(body, raw)


def _digit_groups(body: str, joined: str, raw: str, notes: list[str]) -> TraceCode | NotACode | None:
    """Digits, possibly in groups: a 20-digit code, an element string without letters, or None."""
    if len(joined) == 20:
        if body != joined:
            notes = [*notes, clean.NOTE_SPACES if body.replace(" ", "") == joined else NOTE_JOINTS]
        return digits20(joined, tuple(notes), raw)
    head, dot, zeros = body.partition(".")
    if dot and len(head) == 20 and head.isdigit() and zeros.strip("0") == "":
        if float(head) == int(head):
            # exactly what a floating number can hold: one code in some ten thousand, and all that were such numbers
            return NotACode("code_was_number", {"value": body}, raw)
        return digits20(head, (*notes, clean.NOTE_SPREADSHEET), raw)
    if _looks_like_elements(joined) and joined == body:
        code = gs1_lost.read(body, raw, tuple(notes))
        # A hundred digits that happen to open like GS1 are more likely several codes: let the digits explain.
        return code if isinstance(code, TraceCode) or len(joined) % 20 else None
    return None


def _looks_like_elements(text: str) -> bool:
    """True if the text opens with 01 + a right GTIN-14 or 00 + a right SSCC, or has a GTIN-14 further on
    after dates or batch: an element string whose scanner sends no AIM prefix."""
    if text[:2] == "01" and len(text) > 16:
        gtin = text[2:16]
        if gtin.isascii() and gtin.isdigit():
            return mod10_ok(gtin) or text[16:18] in ("10", "11", "17", "21")
        return False
    if text[:2] == "00" and len(text) >= 20:
        sscc = text[2:20]
        return sscc.isascii() and sscc.isdigit() and mod10_ok(sscc)
    if (text[:2] in ("11", "17") and text[8:10] == "01") or text[:2] in ("10", "21"):
        at = text.find("01", 3)
        while 0 < at <= 32:
            gtin = text[at + 2 : at + 16]
            if len(gtin) == 14 and gtin.isascii() and gtin.isdigit() and mod10_ok(gtin):
                return True
            at = text.find("01", at + 1)
    return False


def _spaced(text: str) -> str | None:
    """An element string as some print it for people, ``01 06924561884074 21 ABC123``, with its brackets; else None.

    The blanks are kept as what divides the elements: without them a serial number could swallow a batch.
    """
    words = text.split()
    names, values = words[::2], words[1::2]
    if len(names) != len(values) or "01" not in names or not all(name in gs1.AI_TABLE for name in names):
        return None
    return "".join(f"({name}){value}" for name, value in zip(names, values, strict=True))


def _bracketed(text: str, raw: str, notes: list[str]) -> TraceCode | NotACode:
    elements = gs1.read_bracketed(text)
    if isinstance(elements, gs1.ElementProblem):
        return elements.at(raw)
    gtin = elements.get("01")
    if gtin is not None and f"(01){gtin}" not in text:
        notes = [*notes, digital_link.NOTE_GTIN_FILLED]
    return gs1.trace_code(elements, raw, tuple(notes))


def _envelope(text: str, raw: str, notes: list[str]) -> TraceCode | NotACode:
    """ISO/IEC 15434 envelope ``[)>RS 05 GS … RS EOT``: format 05 is GS1, others are another world."""
    parts = clean.written_separators(text[3:], notes).lstrip("\x1e").split("\x1e")
    body = parts[0]
    if body[:2] != "05":
        return NotACode("code_other_data_format", {"format": body[:2]}, raw)
    return gs1_lost.read(body[2:].strip(gs1.GS), raw, tuple(notes))


def _repair_layout(text: str, raw: str, notes: list[str]) -> TraceCode | NotACode | None:
    """A code that a wrong keyboard layout hides, if exactly one layout yields one."""
    found: dict[str, TraceCode] = {}
    for proposal in keyboard.repairs(text):
        code = _standard(proposal, raw, list(notes))
        if isinstance(code, TraceCode):
            found.setdefault(code.text, code)
    if len(found) > 1:
        return NotACode("code_ambiguous", {"readings": " | ".join(sorted(found))}, raw)
    for code in found.values():
        return code._replace(notes=(*code.notes, keyboard.NOTE_LAYOUT))
    return None
