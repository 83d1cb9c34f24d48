"""The event hash id of CBV 2.0 §8.9: `ni:///sha-256;…?ver=CBV2.0`, the same for every spelling of one event.

recordTime, eventID and errorDeclaration are left out, so an event and the declaration that it was wrong share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from yaosu.exchange.epcis import shape
from yaosu.exchange.epcis.identifiers import NotAnIdentifierError, canonical, class_link
from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.times import moment, stamp
from yaosu.exchange.epcis.vocabulary import as_web, standard

_ORDER = (
    *(
        "eventTime",
        "eventTimeZoneOffset",
        "certificationInfo",
        "epcList",
        "parentID",
        "inputEPCList",
        "childEPCs",
    ),
    *(
        "quantityList",
        "childQuantityList",
        "inputQuantityList",
        "outputEPCList",
        "outputQuantityList",
        "action",
    ),
    *("transformationID", "bizStep", "disposition", "persistentDisposition", "readPoint", "bizLocation"),
    *("bizTransactionList", "sourceList", "destinationList", "sensorElementList", "ilmd"),
)
_LEFT_OUT = frozenset(["type", "recordTime", "eventID", "errorDeclaration", "@context", "rdfs:comment"])
_WORDS = {"bizStep": "bizStep", "disposition": "disposition"}


def _time(text: str) -> str:
    at = moment(text)
    if at is None:
        return text
    # the fourth decimal decides: 5 to 9 round up, into the next second where need be
    with suppress(OverflowError):
        at += timedelta(microseconds=500)
    return stamp(at)


def _value(given: object) -> str:
    """A value as it stands in the pre-hash string."""
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, (int, float)):
        return _number(given)
    text = str(given).strip()
    if text[:1].isdigit() or text[:1] in "+-.":
        try:
            return _number(float(text))
        except (ValueError, OverflowError):
            pass
    if text.startswith(("urn:epc:", "https://", "http://")):
        try:
            found = class_link(canonical(text))
        except NotAnIdentifierError:
            return text
        return found if found.startswith("https://id.gs1.org/") else text
    return text


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _name(key: str, prefixes: Mapping[str, str]) -> str:
    head, _, local = key.lstrip("@").partition(":")
    space = prefixes.get(head) or standard().prefixes.get(head)
    return f"{{{space}}}{local}" if space is not None else key


def _free(key: str, value: Any, prefixes: Mapping[str, str]) -> list[str]:
    """An extension element as strings `{namespace}name=value` with what is inside it."""
    name = _name(key, prefixes)
    if isinstance(value, list):
        return [text for one in value for text in _free(key, one, prefixes)]
    if isinstance(value, Mapping):
        inside = [t for k, v in value.items() if k != "#text" for t in _free(k, v, prefixes)]
        text = _value(value["#text"]) if "#text" in value else ""
        return [name + (f"={text}" if text else "") + "".join(sorted(inside))]
    text = _value(_whole(value, prefixes))
    return [name + (f"={text}" if text else "")]


def _whole(value: Any, prefixes: Mapping[str, str]) -> Any:
    """A CURIE of a declared prefix written out."""
    if isinstance(value, str):
        head, colon, rest = value.partition(":")
        space = prefixes.get(head) if colon and not rest.startswith("//") else None
        return space + rest if space is not None else value
    return value


def _extensions(
    body: Mapping[str, Any], known: Sequence[str] | frozenset[str], prefixes: Mapping[str, str]
) -> str:
    found = [t for k, v in body.items() if k not in known for t in _free(k, v, prefixes)]
    return "".join(sorted(found))


def _field(name: str, value: Any, prefixes: Mapping[str, str]) -> str:
    match shape.FORMS.get(name):
        case "time":
            return f"{name}={_time(str(value))}"
        case "epcs":
            return name + "".join(sorted(f"epc={_value(v)}" for v in value)) if value else ""
        case "quantities":
            parts = [
                "quantityElement"
                + "".join(f"{k}={_value(q[k])}" for k in ("epcClass", "quantity", "uom") if k in q)
                for q in value
            ]
            return name + "".join(sorted(parts)) if parts else ""
        case "place":
            return f"{name}id={_value(value['id'])}" + _extensions(value, ("id",), prefixes)
        case "pairs":
            return _pairs(name, value)
        case "persistent":
            parts = []
            for side in ("set", "unset"):
                parts += sorted(f"{side}={as_web('disposition', w)}" for w in value.get(side) or ())
            return name + "".join(parts)
        case "sensors":
            return name + "".join(sorted(_sensor(v, prefixes) for v in value)) if value else ""
        case "ilmd":
            return name + _extensions(value, (), prefixes) if value else ""
        case "texts":
            return "".join(
                sorted(f"{name}={_value(v)}" for v in (value if isinstance(value, list) else [value]))
            )
        case _:
            kind = _WORDS.get(name)
            if name == "eventTimeZoneOffset":
                return f"{name}={value}"
            return f"{name}={as_web(kind, value) if kind else _value(value)}"


def _pairs(name: str, value: Sequence[Mapping[str, Any]]) -> str:
    inner, kind = shape.PAIRS[name], shape.PAIR_WORDS[name]
    parts = []
    for one in value:
        # the type stands first, as in the released standard and in the generators of the field
        head = f"type={as_web(kind, one['type'])}" if "type" in one else ""
        parts.append(f"{head}{inner}={_value(one[inner])}")
    return name + "".join(sorted(parts)) if parts else ""


def _sensor(value: Mapping[str, Any], prefixes: Mapping[str, str]) -> str:
    text = "sensorElement"
    data = value.get("sensorMetadata")
    if data:
        text += "sensorMetadata" + _report(data, shape.METADATA, prefixes)
    reports = ["sensorReport" + _report(r, shape.REPORT, prefixes) for r in value.get("sensorReport") or ()]
    return (
        text
        + "".join(sorted(reports))
        + _extensions(value, ("sensorMetadata", "sensorReport", "type"), prefixes)
    )


def _report(value: Mapping[str, Any], order: Sequence[str], prefixes: Mapping[str, str]) -> str:
    words = {"type": "measurement", "exception": "alert", "component": "component"}
    text = ""
    for key in order:
        if key not in value:
            continue
        given = value[key]
        if key in shape.TIMES:
            text += f"{key}={_time(str(given))}"
        elif key in words and order is shape.REPORT:
            text += f"{key}={as_web(words[key], str(given))}"
        else:
            text += f"{key}={_value(given)}"
    return text + _extensions(value, order, prefixes)


def pre_hash(body: Event, prefixes: Mapping[str, str]) -> str:
    """The canonical string that is hashed."""
    text = f"eventType={body['type']}"
    for name in _ORDER:
        if body.get(name) not in (None, "", [], {}):
            text += _field(name, body[name], prefixes)
    known = frozenset(_ORDER) | _LEFT_OUT
    return text + _extensions(body, known, prefixes)


def hash_id(body: Event, prefixes: Mapping[str, str]) -> str:
    """The event hash id of a checked event."""
    digest = hashlib.sha256(pre_hash(body, prefixes).encode()).hexdigest()
    return f"ni:///sha-256;{digest}?ver=CBV2.0"
