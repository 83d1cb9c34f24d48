"""Query parameters on quantities and sensor elements (EPCIS 2.0 §8.2.7.1), each as a test of an event."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from yaosu.exchange.epcis import shape
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.query_values import (
    COMPARE,
    Test,
    number_of,
    reports,
    strings,
    structures,
    time_of,
    truth,
    words,
)
from yaosu.exchange.epcis.times import moment
from yaosu.exchange.epcis.units import fits

_TEXTS = (
    *("deviceID", "dataProcessingMethod", "microorganism", "chemicalSubstance", "uriValue", "stringValue"),
    *("hexBinaryValue", "bizRules", "rawData", "deviceMetadata", "component", "exception"),
    "coordinateReferenceSystem",
)
_NUMBER = re.compile(
    r"(EQ|GT|GE|LT|LE)_(value|minValue|maxValue|meanValue|sDev|percValue|percRank)(?:_([A-Z0-9]{2,4}))?"
)
_QUANTITY = re.compile(r"(EQ|GT|GE|LT|LE)_quantity(?:_([A-Z0-9]{2,4}))?")
_WITH_EQUAL = frozenset(["EQ", "GE", "LE"])


def _numbers(name: str, sign: str, value: object) -> list[float]:
    return [number_of(name, v) for v in (strings(name, value) if sign == "EQ" else [value])]


def _holds(sign: str, limits: list[float], asked: str | None) -> Callable[[object, object], bool]:
    """Whether a number with its unit compares with one of the limits, in the unit asked for (None: in any)."""
    compare, equal = COMPARE[sign], sign in _WITH_EQUAL

    def holds(value: object, unit: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        if asked is None:
            return any(compare(value, limit) for limit in limits)
        return any(fits(compare, equal, value, unit, limit, asked) for limit in limits)

    return holds


def quantity(name: str, value: object) -> Test | None:
    """EQ_quantity, GE_quantity_KGM …; None when the name is none of these."""
    found = _QUANTITY.fullmatch(name)
    if found is None:
        return None
    holds = _holds(found[1], _numbers(name, found[1], value), found[2])
    return lambda b, _p, _k: any(
        holds(one.get("quantity"), one.get("uom"))
        for key in shape.QUANTITY_FIELDS
        for one in b.get(key) or ()
    )


def sensor(name: str, value: object, prefixes: Mapping[str, str]) -> Test | None:
    """Parameters on sensor elements; None when the name is none of these."""
    sign, _, key = name.partition("_")
    if name == "EXISTS_sensorElementList":
        wanted = truth(name, value)
        return lambda b, _p, _k: bool(b.get("sensorElementList")) or not wanted
    if sign == "EQ" and key == "type":
        types = words("measurement", name, value, prefixes)
        return lambda b, _p, _k: any(r.get("type") in types for r in reports(b))
    if sign == "EQ" and key in _TEXTS:
        return _texts(name, key, value, prefixes)
    if sign == "EQ" and key == "booleanValue":
        flag = truth(name, value)
        return lambda b, _p, _k: any(r.get(key) is flag for r in reports(b))
    if sign in ("GE", "LT") and key in ("time", "startTime", "endTime"):
        at, compare = time_of(name, value), COMPARE[sign]
        return lambda b, _p, _k: any(
            (t := moment(str(r.get(key, "")))) is not None and compare(t, at) for r in structures(b)
        )
    found = _NUMBER.fullmatch(name)
    if found is None:
        return None
    field = found[2]
    holds = _holds(found[1], _numbers(name, found[1], value), found[3])
    return lambda b, _p, _k: any(holds(r.get(field), r.get("uom")) for r in reports(b))


def _texts(name: str, key: str, value: object, prefixes: Mapping[str, str]) -> Test:
    kinds = {"component": "component", "exception": "alert"}
    if key in kinds:
        texts = set(words(kinds[key], name, value, prefixes))
    else:
        texts = {inner_of(v) for v in strings(name, value)}

    def test(body: dict[str, Any], _p: object, _k: object) -> bool:
        return any(inner_of(str(r[key])) in texts for r in structures(body) if key in r)

    return test
