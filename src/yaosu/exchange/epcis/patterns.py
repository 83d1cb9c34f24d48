"""EPC patterns `urn:epc:idpat:<scheme>:…` with wildcards, as tests of canonical identifiers (EPCIS 2.0 §8.2.7.1.1).

A pattern has the fields of its scheme, each a value or `*`: company prefix, reference, serial. Once a field is `*`, all
later ones are (`sgtin:0614141.107346.*`, `sgtin:0614141.*.*`, `sgtin:*.*.*`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from urllib.parse import quote, unquote

from yaosu.exchange.epcis.identifiers import GS1, KINDS, LINK_SAFE, Kind

START = "urn:epc:idpat:"
_BY_SCHEME = {k.urn.rsplit(":", 2)[1]: k for k in KINDS if k.urn.startswith("urn:epc:id:")}


@lru_cache(maxsize=4096)
def pattern(text: str) -> re.Pattern[str] | None:
    """The test of a pattern, on canonical identifiers; None for what is no pattern with a wildcard."""
    if not text.startswith(START) or "*" not in text:
        return None
    scheme, _, body = text[len(START) :].partition(":")
    kind = _BY_SCHEME.get(scheme)
    if kind is None:
        return None
    parts = body.split(".", 2 if kind.chars and kind.digits else 1)
    if len(parts) < (3 if kind.chars and kind.digits else 2):
        return None
    wild = [p == "*" for p in parts]
    if any(a and not b for a, b in pairwise(wild)):
        return None
    if not wild[0] and not re.fullmatch(r"\d{6,12}", parts[0]):
        return None
    if not kind.digits:
        return _text_key(kind, parts)
    if not wild[1] and not re.fullmatch(r"\d*", parts[1]):
        return None
    key = _digits(kind, *parts[:2])
    if key is None:
        return None
    return re.compile(re.escape(f"{GS1}/{kind.ai}/") + key + _tail(kind, parts[2] if len(parts) > 2 else ""))


def _digits(kind: Kind, company: str, reference: str) -> str | None:
    """The digits of the key, with its check digit."""
    check = r"\d" if kind.check else ""
    if company == "*":
        return kind.lead + rf"\d{{{kind.digits}}}" + check
    left = kind.digits - len(company)
    if left < 0 or (reference != "*" and len(reference) != left):
        return None
    first, rest = (r"\d", rf"\d{{{left - 1}}}") if kind.indicator else ("", rf"\d{{{left}}}")
    if reference != "*":
        first, rest = (reference[:1], reference[1:]) if kind.indicator else ("", reference)
    return kind.lead + first + company + rest + check


def _tail(kind: Kind, serial: str) -> str:
    """What follows the key; a class without a serial fits a serial of any value."""
    if not kind.chars:
        return ""
    lead = "" if kind.qualifier == "+" else f"/{kind.qualifier}/"
    if serial == "*":
        return rf"(?:{lead}.+)?"
    return re.escape(lead + quote(unquote(serial), safe=LINK_SAFE))


def _text_key(kind: Kind, parts: list[str]) -> re.Pattern[str]:
    company = r"\d{6,12}" if parts[0] == "*" else parts[0]
    rest = ".+" if parts[1] == "*" else re.escape(quote(unquote(parts[1]), safe=LINK_SAFE))
    return re.compile(re.escape(f"{GS1}/{kind.ai}/") + company + rest)
