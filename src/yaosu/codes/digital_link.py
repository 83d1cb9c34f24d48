"""URLs that carry a trace code: GS1 Digital Link URIs, and the query addresses that consumers scan.

A Digital Link names its keys in the path (``https://any.host/01/GTIN/21/SERIAL``) and further attributes as
query parameters (``?17=261231``). The host has no meaning. Other URLs are searched for a path segment, query
value or fragment that is a complete trace code in itself.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from yaosu.codes.cn20 import cn20, is_cn20
from yaosu.codes.gs1 import (
    AI_TABLE,
    ElementProblem,
    Elements,
    add_element,
    is_bracketed,
    read_bracketed,
    read_elements,
    trace_code,
)
from yaosu.codes.identifiers.checksums import mod10_ok
from yaosu.codes.model import NotACode, TraceCode

NOTE_URL = "note_from_url"
NOTE_UPPER_CASE_URL = "note_upper_case_url"
NOTE_GTIN_FILLED = "note_gtin_filled"

URL_LENGTH_MAX = 2048
"""Longest URL read, in characters."""

_SCHEME = re.compile(r"https?:/{0,2}", re.IGNORECASE)
_BARE_HOST = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24}/", re.IGNORECASE)
_NAMES = {"gtin": "01", "sscc": "00", "ser": "21", "lot": "10", "cpv": "22", "exp": "17"}
"""Spelled-out keys of the first edition of the Digital Link standard, still printed by some."""
_PRIMARY = ("01", "00")
_QUALIFIERS = frozenset(["22", "10", "21", "235"])


def is_url(text: str) -> bool:
    """True if the text looks like an http(s) address, with or without its scheme."""
    return (text[:4].lower() == "http" and _SCHEME.match(text) is not None) or _BARE_HOST.match(
        text
    ) is not None


def parse_url(text: str, raw: str, notes: tuple[str, ...] = ()) -> TraceCode | NotACode:
    """The trace code inside a URL, or why there is none. A URL never yields a code silently: a note names
    it."""
    if len(text) > URL_LENGTH_MAX:
        return NotACode("code_too_long", {"length": str(len(text)), "max": str(URL_LENGTH_MAX)}, raw[:200])
    head = _SCHEME.match(text)
    rest = text[head.end() :] if head else text
    rest, _, fragment = rest.partition("#")
    address, _, query = rest.partition("?")
    host, _, path = address.partition("/")
    segments = path.split("/")
    pairs = [pair.partition("=")[::2] for pair in re.split("[&;]", query)] if query else []

    elements = _link_elements(segments, pairs)
    if isinstance(elements, ElementProblem):
        return elements.at(raw)
    if elements is not None:
        return _link_code(text, elements, [*segments, *(value for _, value in pairs)], raw, notes)

    found: dict[str, TraceCode] = {}
    for part in (*segments, *(value for _, value in pairs), fragment):
        code = _whole_code(unquote(part, errors="replace"))
        if code is not None:
            found.setdefault(code.text, code)
    if len(found) > 1:
        return NotACode("code_ambiguous", {"readings": " | ".join(sorted(found))}, raw)
    if not found:
        return NotACode("code_url_without_code", {"host": host[:100]}, raw)
    (only,) = found.values()
    return only._replace(notes=(*notes, *only.notes, NOTE_URL))


def _link_elements(segments: list[str], pairs: list[tuple[str, ...]]) -> Elements | ElementProblem | None:
    """Elements of a Digital Link, or None if the path has no key, or what is wrong with them."""
    start = -1
    for i, segment in enumerate(segments[:-1]):
        key = _NAMES.get(segment.lower(), segment)
        if key in _PRIMARY and _is_key_value(key, segments[i + 1]):
            start = i
            break
    if start < 0:
        return _query_elements(pairs)
    elements: Elements = {}
    tail = segments[start:]
    if len(tail) % 2 and tail[-1] == "":
        tail = tail[:-1]
    if len(tail) % 2:
        return ElementProblem("code_link_path", {"segment": tail[-1][:40]})
    for name, value in zip(tail[::2], tail[1::2], strict=True):
        ai = _NAMES.get(name.lower(), name)
        if ai not in AI_TABLE or (ai not in _QUALIFIERS and ai not in _PRIMARY):
            return ElementProblem("code_link_path", {"segment": name[:40]})
        problem = add_element(elements, ai, _decoded(ai, value))
        if problem is not None:
            return problem
    for name, value in pairs:
        ai = _NAMES.get(name.lower(), name)
        if ai not in AI_TABLE:
            if name.isascii() and name.isdigit():
                return ElementProblem("code_gs1_unknown_ai", {"ai": name[:10], "position": "?"})
            continue  # linkType, context, tracking parameters: not about the box
        problem = add_element(elements, ai, _decoded(ai, value))
        if problem is not None:
            return problem
    return elements


def _query_elements(pairs: list[tuple[str, ...]]) -> Elements | ElementProblem | None:
    """Elements of an address that has its keys in the query (``?01=…&21=…``): no Digital Link, but no less clear."""
    given = {_NAMES.get(name.lower(), name): value for name, value in pairs}
    if not ("21" in given and _is_key_value("01", given.get("01", ""))):
        return None
    elements: Elements = {}
    for ai in ("01", "22", "10", "21", "17", "11"):
        if ai in given:
            problem = add_element(elements, ai, _decoded(ai, given[ai]))
            if problem is not None:
                return problem
    return elements


def _is_key_value(key: str, value: str) -> bool:
    """True if the segment after 01 or 00 is digits of a length that such a key can have."""
    if not (value.isascii() and value.isdigit()):
        return False
    return len(value) in ((8, 12, 13, 14) if key == "01" else (18,))


def _decoded(ai: str, value: str) -> str:
    plain = unquote(value, errors="replace") if "%" in value else value
    return plain.zfill(14) if ai == "01" and len(plain) in (8, 12, 13) else plain


def _link_code(
    text: str, elements: Elements, segments: list[str], raw: str, notes: tuple[str, ...]
) -> TraceCode | NotACode:
    serial = elements.get("21", "") + elements.get("10", "")
    if text[:4] == "HTTP" and any(c.isalpha() for c in serial):
        # An address in capitals: either a scanner or symbol that knows only capitals, or caps lock was on.
        if serial.upper() != serial:
            swapped = {ai: v.swapcase() if ai in _QUALIFIERS else v for ai, v in elements.items()}
            readings = " | ".join(f"(01){e.get('01', '')}(21){e.get('21', '')}" for e in (elements, swapped))
            return NotACode("code_case_uncertain", {"readings": readings}, raw)
        notes = (*notes, NOTE_UPPER_CASE_URL)
    if "01" in elements and elements["01"] not in segments:
        notes = (*notes, NOTE_GTIN_FILLED)
    return trace_code(elements, raw, notes)


def _whole_code(value: str) -> TraceCode | None:
    """The trace code that a part of a URL is by itself, or None."""
    if is_cn20(value):
        return cn20(value)
    elements: Elements | ElementProblem
    if is_bracketed(value):
        elements = read_bracketed(value)
    elif value.startswith("01") and len(value) > 18 and value[2:16].isdigit() and mod10_ok(value[2:16]):
        elements = read_elements(value)
    else:
        return None
    if isinstance(elements, ElementProblem):
        return None
    code = trace_code(elements, value)
    return code if isinstance(code, TraceCode) else None
