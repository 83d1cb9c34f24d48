"""What query tests look at: places, sensor reports, extension fields, identifiers of an event."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from yaosu.errors import YaosuError
from yaosu.exchange.epcis.identifiers import GS1
from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.patterns import pattern
from yaosu.exchange.epcis.times import moment
from yaosu.exchange.epcis.vocabulary import expand, word

VALUES_MAX = 1_000
"""Values of one parameter."""
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda a, b: a == b,
    "GT": lambda a, b: a > b,
    "GE": lambda a, b: a >= b,
    "LT": lambda a, b: a < b,
    "LE": lambda a, b: a <= b,
}
"""What the beginning of a parameter's name compares."""

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
    return bool(set(letters) & set("epio")) and inner.startswith(f"{GS1}/01/") and inner.count("/") == 4


def matches(key: str, letters: str, asked: str) -> bool:
    """Whether an indexed identifier is, or is of the class, or fits the pattern, that was asked for."""
    if key[0] not in letters:
        return False
    have = key[2:]
    if have == asked:
        return True
    found = pattern(asked)
    if found is not None:
        return found.fullmatch(have) is not None
    if asked.endswith("*"):
        return have.startswith(asked[:-1])
    if key[0] in "epio" and asked.startswith(f"{GS1}/01/") and asked.count("/") == 4:
        return have.startswith(asked + "/")
    return False


def wrong(name: str, reason: str) -> YaosuError:
    """A parameter that cannot be understood."""
    return YaosuError("epcis_query_parameter", {"name": name[:100], "reason": reason})


def strings(name: str, given: object) -> list[str]:
    """Values of a list parameter: a JSON array, or text with `|` between (and `,` for words that hold none)."""
    if isinstance(given, (list, tuple)):
        values = [str(v) for v in given]
    elif isinstance(given, (str, int, float)) and not isinstance(given, bool):
        values = str(given).split("|")
    else:
        raise wrong(name, "list of texts")
    values = [v.strip() for v in values if v.strip()]
    if not values or len(values) > VALUES_MAX:
        raise wrong(name, f"1–{VALUES_MAX}")
    return values


def time_of(name: str, given: object) -> datetime:
    """A time parameter."""
    at = moment(str(given).replace(" ", "+")) if isinstance(given, str) else None
    if at is None:
        raise wrong(name, "2026-09-30T10:12:31+08:00")
    return at


def number_of(name: str, given: object) -> float:
    """A number parameter."""
    try:
        value = float(str(given))
    except ValueError:
        raise wrong(name, "number") from None
    if not math.isfinite(value):
        raise wrong(name, "number")
    return value


def whole(name: str, given: object, least: int, most: int) -> int:
    """A whole number parameter within bounds."""
    value = number_of(name, given)
    if value != int(value) or not least <= value <= most:
        raise wrong(name, f"{least}–{most}")
    return int(value)


def truth(name: str, given: object) -> bool:
    """true, false, 1, 0, or nothing, which means true (EXISTS_…)."""
    if given in (None, "", True, "true", 1, "1"):
        return True
    if given in (False, "false", 0, "0"):
        return False
    raise wrong(name, "true / false")


def words(kind: str, name: str, given: object, prefixes: Mapping[str, str]) -> list[str]:
    """Values of a vocabulary in their inner form, in whatever spelling they were asked for."""
    found = []
    for text in strings(name, given):
        one = word(kind, text, prefixes)
        if one.problem and not (one.problem == "epcis_word_unknown" and ":" not in text):
            raise wrong(name, text[:100])
        found.append(one.value)
    return found
