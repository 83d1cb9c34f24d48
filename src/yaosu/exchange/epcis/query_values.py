"""What query tests look at: places, sensor reports, extension fields, identifiers of an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from yaosu.exchange.epcis.identifiers import GS1
from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.times import moment
from yaosu.exchange.epcis.vocabulary import expand

Test = Callable[[Event, Mapping[str, str], Sequence[str]], bool]
"""Whether an event fits: its body, its namespaces, its indexed identifiers."""


def place_test(key: str, found: Sequence[str]) -> Test:
    """An event's readPoint or bizLocation is one of these."""
    return lambda b, _p, _k: isinstance(b.get(key), dict) and inner_of(str(b[key].get("id"))) in found


def reports(body: Event) -> list[Mapping[str, Any]]:
    """All sensor reports of an event."""
    return [r for s in body.get("sensorElementList") or () for r in s.get("sensorReport") or ()]


def structures(body: Event) -> list[Mapping[str, Any]]:
    """All sensor reports and their metadata."""
    data = [s["sensorMetadata"] for s in body.get("sensorElementList") or () if s.get("sensorMetadata")]
    return [*reports(body), *data]


def comparable(value: object) -> object:
    """A value as number, time or text, so that `10` and `10.0` are equal and times compare as times."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return float(value)
    text = str(value)
    at = moment(text)
    if at is not None:
        return at
    if re.fullmatch(r"[+-]?\d{1,15}(\.\d+)?", text):
        return float(text)
    return text


def plain(uri: str) -> str:
    """A full name without its last separator, so that `ns#name`, `ns/name` and `nsname` are one."""
    found = re.fullmatch(r"(.*?)[#/:]([^#/:]+)", uri)
    return f"{found[1]} {found[2]}" if found else uri


_PLACES = {
    "ILMD_": "ilmd",
    "ERROR_DECLARATION_": "errorDeclaration",
    "readPoint_": "readPoint",
    "bizLocation_": "bizLocation",
}


def values_of(body: Event, prefixes: Mapping[str, str], place: str, inner: bool, wanted: str) -> list[object]:
    """Values of the extension field `wanted` at the top level of its place, or anywhere below with `inner`."""
    roots: list[Any] = [body]
    if place in _PLACES:
        roots = [body.get(_PLACES[place]) or {}]
    elif place.startswith("SENSOR"):
        elements = body.get("sensorElementList") or []
        roots = {
            "SENSORELEMENT_": elements,
            "SENSORMETADATA_": [s.get("sensorMetadata") or {} for s in elements],
            "SENSORREPORT_": reports(body),
        }[place]
    found: list[object] = []
    for root in roots:
        for key, value in root.items():
            if ":" in key:
                _gather(key, value, prefixes, wanted, inner, found)
    return found


def _gather(
    key: str, value: Any, prefixes: Mapping[str, str], wanted: str, inner: bool, found: list[object]
) -> None:
    uri = expand(key, prefixes) if ":" in key else key
    values = value if isinstance(value, list) else [value]
    if uri is not None and plain(uri) == wanted:
        for one in values:
            found.append(one.get("#text", "") if isinstance(one, Mapping) else one)
    if inner:
        for one in values:
            for k, v in one.items() if isinstance(one, Mapping) else ():
                _gather(k, v, prefixes, wanted, True, found)


def is_class(inner: str, letters: str) -> bool:
    """Whether an identifier asked for among objects names a class: all instances of it match (§8.2.7.1.1)."""
    return "e" in letters and inner.startswith(f"{GS1}/01/") and inner.count("/") == 4


def matches(key: str, letters: str, asked: str) -> bool:
    """Whether an indexed identifier is, or is of the class, or fits the pattern, that was asked for."""
    if key[0] not in letters:
        return False
    have = key[2:]
    if have == asked:
        return True
    if asked.endswith("*"):
        return have.startswith(asked[:-1])
    if key[0] in "epio" and asked.startswith(f"{GS1}/01/") and asked.count("/") == 4:
        return have.startswith(asked + "/")
    return False
