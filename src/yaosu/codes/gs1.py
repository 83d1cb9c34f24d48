"""GS1 element strings: the table of application identifiers and the strict reader.

An element string is a chain of (application identifier, value) pairs. Values of *predefined* length are
simply followed by the next pair; every other value ends at a group separator (FNC1 in the symbol, the
control character GS = 0x1D in the text) or at the end. On a medicine box the pairs are (01) GTIN, (21)
serial number, (17) expiry, (10) batch, (11) production date, in any order (standards: NMPAB/T 1002-2019
option b; GS1 General Specifications).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import NamedTuple

from yaosu.codes.identifiers.checksums import mod10_ok
from yaosu.codes.model import NotACode, Scheme, TraceCode

GS = "\x1d"
"""Group separator: how FNC1 inside a symbol arrives in text."""

ELEMENTS_LENGTH_MAX = 512
"""Longest element string read, in characters. The largest GS1 symbols of the trade hold far fewer."""

CHARSET_82 = frozenset("!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
"""The 82 characters that GS1 allows in batch and serial numbers (subset of ISO/IEC 646)."""

Elements = dict[str, str]
"""Application identifier → value, in the order read."""


class Ai(NamedTuple):
    """One application identifier."""

    length_min: int
    """Shortest value in characters."""
    length_max: int
    """Longest value in characters."""
    numeric: bool
    """True if the value is digits only."""
    predefined: bool
    """True if the length is predefined, so that no separator follows."""


_SPEC = """
00 n18 01 n14 02 n14 03 n14 10 x20 11 n6 12 n6 13 n6 15 n6 16 n6 17 n6 20 n2 21 x20 22 x20 235 x28
240 x30 241 x30 242 n1-6 243 x20 250 x30 251 x30 253 x13-30 254 x20 255 n13-25 30 n1-8 37 n1-8
390* n1-15 391* n3-18 392* n1-15 393* n3-18 394* n4 395* n6 400 x30 401 x30 402 n17 403 x30
410 n13 411 n13 412 n13 413 n13 414 n13 415 n13 416 n13 417 n13
420 x20 421 x3-12 422 n3 423 n3-15 424 n3 425 n3-15 426 n3 427 x3
4300 x35 4301 x35 4302 x70 4303 x70 4304 x70 4305 x70 4306 x70 4307 x2 4308 x30 4309 n20 4310 x35 4311 x35
4312 x70 4313 x70 4314 x70 4315 x70 4316 x70 4317 x2 4318 x20 4319 x30 4320 x35 4321 n1 4322 n1 4323 n1
4324 n10 4325 n10 4326 n6 4330 x1-7 4331 x1-7 4332 x1-7 4333 x1-7
7001 n13 7002 x30 7003 n10 7004 n1-4 7005 x12 7006 n6 7007 n6-12 7008 x3 7009 x10 7010 x2 7011 n6-10
7020 x20 7021 x20 7022 x20 7023 x30 703* x3-30 7040 x4-4 7041 x4 710 x20 711 x20 712 x20 713 x20 714 x20
715 x20 716 x20 717 x20 723* x2-30 7240 x20 7241 n2 7242 x25 7250 n8 7251 n12 7252 n1 7253 x40 7254 x40
7255 x10 7256 x90 7257 x70 7258 x3 7259 x40
8001 n14 8002 x20 8003 x14-30 8004 x30 8005 n6 8006 n18 8007 x34 8008 n8-12 8009 x50 8010 x30 8011 n1-12
8012 x20 8013 x25 8014 x25 8017 n18 8018 n18 8019 n1-10 8020 x25 8026 n18 8030 x90 8110 x70 8111 n4 8112 x70
8200 x70 90 x30 91 x90 92 x90 93 x90 94 x90 95 x90 96 x90 97 x90 98 x90 99 x90
"""

_PREDEFINED_PREFIXES = frozenset(
    ["00", "01", "02", "03", "04", *(str(n) for n in range(11, 21)), *(str(n) for n in range(31, 37)), "41"]
)
"""First two digits of identifiers with predefined length (GS1 General Specifications, figure 7.8.5-2)."""


def _table() -> dict[str, Ai]:
    table: dict[str, Ai] = {}
    words = _SPEC.split()
    for name, spec in zip(words[::2], words[1::2], strict=True):
        numeric = spec[0] == "n"
        low, _, high = spec[1:].partition("-")
        longest = int(high or low)
        shortest = int(low) if high or numeric else 1
        predefined = name[:2] in _PREDEFINED_PREFIXES
        names = [name[:-1] + d for d in "0123456789"] if name.endswith("*") else [name]
        for each in names:
            table[each] = Ai(shortest, longest, numeric, predefined)
    for measure in range(310, 370):
        for decimals in range(6):
            ai = f"{measure}{decimals}"
            table[ai] = Ai(6, 6, True, ai[:2] in _PREDEFINED_PREFIXES)
    return table


AI_TABLE: dict[str, Ai] = _table()
"""Every application identifier known here. An identifier outside the table is reported, never skipped."""

AI_LENGTH: dict[str, int] = {ai[:2]: len(ai) for ai in AI_TABLE}
"""First two digits of an identifier → its length in digits; the first two always decide it."""

DATE_AIS = frozenset(["11", "12", "13", "15", "16", "17"])
"""Identifiers whose value is a date YYMMDD."""

_FIXED_2 = {ai: spec.length_max for ai, spec in AI_TABLE.items() if len(ai) == 2 and spec.predefined}
_KEYS_WITH_CHECK_DIGIT = {"00": "sscc_check_digit", "01": "gtin_check_digit", "02": "gtin_check_digit"}


@dataclass(frozen=True, slots=True)
class ElementProblem:
    """Why an element string cannot be read: message code and parameters."""

    code: str
    params: dict[str, str]

    def at(self, raw: str) -> NotACode:
        """The same as an answer to the caller."""
        return NotACode(self.code, self.params, raw)


@lru_cache(maxsize=8192)
def gs1_date(yymmdd: str) -> date | None:
    """Date of a GS1 YYMMDD value, or None if there is no such day. Day 00 is the last day of the month.

    Years are read as 2000–2099: no medicine box on the market carries an earlier date, and the answer must
    not depend on the day of the reading, as GS1's sliding century would make it.
    """
    year, month, day = 2000 + int(yymmdd[:2]), int(yymmdd[2:4]), int(yymmdd[4:])
    if not 1 <= month <= 12:
        return None
    last = calendar.monthrange(year, month)[1]
    if day > last:
        return None
    return date(year, month, day or last)


@lru_cache(maxsize=65536)
def _is_gtin14(value: str) -> bool:
    return len(value) == 14 and value.isascii() and value.isdigit() and mod10_ok(value)


@lru_cache(maxsize=8192)
def _is_date(value: str) -> bool:
    return len(value) == 6 and value.isascii() and value.isdigit() and gs1_date(value) is not None


def in_charset_82(value: str) -> bool:
    """True if every character is one of GS1's 82."""
    return value.isascii() and (value.isalnum() or CHARSET_82.issuperset(value))


def ai_at(text: str, pos: int) -> str | None:
    """The known application identifier that starts at ``pos``, or None."""
    length = AI_LENGTH.get(text[pos : pos + 2])
    if length is None:
        return None
    ai = text[pos : pos + length]
    return ai if ai in AI_TABLE else None


def check_value(ai: str, value: str) -> ElementProblem | None:
    """What is wrong with the value of an identifier of the table, or None. Check digits and dates
    included."""
    spec = AI_TABLE[ai]
    if not spec.length_min <= len(value) <= spec.length_max:
        want = str(spec.length_max)
        if spec.length_min != spec.length_max:
            want = f"{spec.length_min}–{want}"
        return ElementProblem("code_gs1_length", {"ai": ai, "length": str(len(value)), "expected": want})
    if spec.numeric:
        if not (value.isascii() and value.isdigit()):
            return ElementProblem("code_gs1_not_numeric", {"ai": ai, "value": value})
        if ai in DATE_AIS and gs1_date(value) is None:
            return ElementProblem("code_gs1_date", {"ai": ai, "value": value})
        if ai in _KEYS_WITH_CHECK_DIGIT and not mod10_ok(value):
            return ElementProblem(_KEYS_WITH_CHECK_DIGIT[ai], {"value": value})
    elif not in_charset_82(value):
        wrong = "".join(sorted({c for c in value if c not in CHARSET_82}))
        return ElementProblem("code_gs1_characters", {"ai": ai, "characters": wrong})
    return None


def add_element(elements: Elements, ai: str, value: str) -> ElementProblem | None:
    """Check one pair and put it into ``elements``; a repeated identifier must repeat its value."""
    problem = check_value(ai, value)
    if problem is not None:
        return problem
    if elements.setdefault(ai, value) != value:
        return ElementProblem("code_gs1_ai_repeated", {"ai": ai, "first": elements[ai], "second": value})
    return None


def read_elements(text: str) -> Elements | ElementProblem:
    """Read a raw element string strictly: separators exactly where the standard wants them.

    A superfluous separator after a value of predefined length is tolerated, as decoders do. Linear in the
    length.
    """
    if len(text) > ELEMENTS_LENGTH_MAX:
        return ElementProblem(
            "code_gs1_too_long", {"length": str(len(text)), "max": str(ELEMENTS_LENGTH_MAX)}
        )
    elements: Elements = {}
    pos, end = 0, len(text)
    while pos < end:
        ai = text[pos : pos + 2]
        # The identifiers of every medicine box, inline: each scan comes through here, calls would double its
        # cost. Whatever is not plainly right falls through to the general reading, which names the problem.
        if ai in ("21", "10"):
            stop = text.find(GS, pos)
            if stop < 0:
                stop = end
            value = text[pos + 2 : stop]
            if (
                stop - pos < 23
                and value.isalnum()
                and value.isascii()
                and elements.setdefault(ai, value) == value
            ):
                pos = stop + 1
                continue
        elif ai == "01":
            value = text[pos + 2 : pos + 16]
            if _is_gtin14(value) and elements.setdefault(ai, value) == value:
                pos += 16
                continue
        elif ai in ("17", "11"):
            value = text[pos + 2 : pos + 8]
            if _is_date(value) and elements.setdefault(ai, value) == value:
                pos += 8
                continue
        elif ai[0] == GS:
            pos += 1
            continue
        fixed = _FIXED_2.get(ai)
        if fixed is not None:
            stop = pos + 2 + fixed
            value = text[pos + 2 : stop]
            cut = value.find(GS)
            if cut >= 0:
                value = value[:cut]
                stop = pos + 2 + cut
        else:
            known = ai_at(text, pos)
            if known is None:
                return ElementProblem(
                    "code_gs1_unknown_ai", {"ai": text[pos : pos + 4], "position": str(pos + 1)}
                )
            ai = known
            start = pos + len(ai)
            if AI_TABLE[ai].predefined:
                stop = start + AI_TABLE[ai].length_max
            else:
                stop = text.find(GS, start)
                if stop < 0:
                    stop = end
            value = text[start:stop]
        problem = add_element(elements, ai, value)
        if problem is not None:
            return problem
        pos = stop
    return elements


def is_bracketed(text: str) -> bool:
    """True if the text opens like the printed form of an element string: ``(01)…``."""
    return (
        len(text) > 4 and text[0] == "(" and text[1:3].isascii() and text[1:3].isdigit() and ")" in text[3:6]
    )


def _bracket_at(text: str, pos: int) -> str | None:
    """The digits of an ``(nn…)`` with two to four digits that opens at ``pos``, or None."""
    close = text.find(")", pos + 3, pos + 6)
    if close < 0:
        return None
    digits = text[pos + 1 : close]
    return digits if digits.isascii() and digits.isdigit() else None


def holds_bracketed_ai(value: str) -> bool:
    """True if the value contains ``(nn)``, which would read as a further element in the printed form."""
    pos = value.find("(")
    while pos >= 0:
        if _bracket_at(value, pos) is not None:
            return True
        pos = value.find("(", pos + 1)
    return False


def read_bracketed(text: str) -> Elements | ElementProblem:
    """Read the printed form ``(01)…(21)…``. A GTIN-8/12/13 after (01) is filled to 14 digits."""
    if len(text) > ELEMENTS_LENGTH_MAX:
        return ElementProblem(
            "code_gs1_too_long", {"length": str(len(text)), "max": str(ELEMENTS_LENGTH_MAX)}
        )
    elements: Elements = {}
    pos, end = 0, len(text)
    while pos < end:
        ai = _bracket_at(text, pos) if text[pos] == "(" else None
        if ai is None or ai not in AI_TABLE:
            shown = ai or text[pos : pos + 4]
            return ElementProblem("code_gs1_unknown_ai", {"ai": shown, "position": str(pos + 1)})
        start = pos + len(ai) + 2
        stop = text.find("(", start)
        while stop >= 0 and _bracket_at(text, stop) is None:
            stop = text.find("(", stop + 1)
        if stop < 0:
            stop = end
        value = text[start:stop].rstrip(GS)
        if ai == "01" and len(value) in (8, 12, 13) and value.isdigit():
            value = value.zfill(14)
        problem = add_element(elements, ai, value)
        if problem is not None:
            return problem
        pos = stop
    return elements


def trace_code(elements: Elements, raw: str, notes: tuple[str, ...] = ()) -> TraceCode | NotACode:
    """The trace code that checked elements name: GTIN + serial, or SSCC; otherwise what is missing."""
    gtin = elements.get("01")
    if gtin is None:
        sscc = elements.get("00")
        if sscc is not None:
            return sscc_code(sscc, notes)
        if "21" in elements:
            return NotACode("code_gs1_no_gtin", {"ais": _names(elements)}, raw)
        return NotACode("code_gs1_no_key", {"ais": _names(elements)}, raw)
    serial = elements.get("21")
    if serial is None:
        return NotACode("code_gs1_no_serial", {"gtin": gtin, "ais": _names(elements)}, raw)
    if "00" in elements:
        readings = f"(00){elements['00']} | (01){gtin}(21){serial}"
        return NotACode("code_ambiguous", {"readings": readings}, raw)
    if "(" in serial and holds_bracketed_ai(serial):
        return NotACode("code_gs1_serial_brackets", {"serial": serial}, raw)
    expiry = elements.get("17")
    produced = elements.get("11")
    return TraceCode(
        f"(01){gtin}(21){serial}",
        Scheme.GS1,
        gtin,
        serial,
        elements.get("10"),
        gs1_date(expiry) if expiry else None,
        gs1_date(produced) if produced else None,
        notes,
    )


def sscc_code(sscc: str, notes: tuple[str, ...] = ()) -> TraceCode:
    """The trace code of a checked 18-digit SSCC. Position 6 of the prefix (after the extension digit) starts
    the GS1 company prefix, whose length only the issuer knows; so the whole number is the prefix."""
    return TraceCode(f"(00){sscc}", Scheme.SSCC, f"sscc:{sscc}", sscc, notes=notes)


def bracketed(elements: Elements) -> str:
    """Printed form of elements, for messages: ``(01)…(21)…``."""
    return "".join(f"({ai}){value}" for ai, value in elements.items())


def _names(elements: Elements) -> str:
    return "".join(f"({ai})" for ai in elements)
