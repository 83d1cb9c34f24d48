"""EPCIS JSON-LD documents to events: limits first, then contexts, then events; nothing is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis.model import DEPTH_MAX, EVENTS_MAX, Document, Entry, Read
from yaosu.exchange.epcis.times import moment
from yaosu.exchange.epcis.vocabulary import is_uri, standard

_BOM = b"\xef\xbb\xbf"
"""What some systems put before UTF-8; RFC 8259 §8.1 lets a reader pass over it."""
VALUES_MAX = 4_000_000
"""Values in one document."""
_DOCUMENTS = ("EPCISDocument", "EPCISQueryDocument", "EPCISMasterDataDocument")
_ABOUT = ("id", "instanceIdentifier", "sender", "receiver")
"""Texts about a document itself."""
_DOCUMENT = frozenset(
    [
        "@context",
        "@id",
        "@type",
        "type",
        "isA",
        "schemaVersion",
        "creationDate",
        "epcisHeader",
        "epcisBody",
        *_ABOUT,
    ]
)
_BODY = frozenset(["eventList", "event", "vocabularyList", "queryResults"])
_RESULTS = frozenset(["queryName", "subscriptionID", "resultsBody"])
_RESULTS_BODY = frozenset(["eventList", "vocabularyList"])


def refused(code: str, where: str, **params: object) -> YaosuError:
    """A document that cannot be taken in as a whole: one finding with its place."""
    return YaosuError("epcis_document_invalid", {"where": where}, [Finding(code, params, where)])


def load(body: bytes) -> dict[str, Any]:
    """The JSON object of a body, within limits; refused with the place of the mistake."""
    try:
        value = orjson.loads(body.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        raise refused("epcis_json_syntax", f"line {error.lineno}", reason=error.msg[:100]) from None
    if not isinstance(value, dict):
        raise refused("epcis_json_object", "")
    _measure(value)
    return value


def _measure(value: object) -> None:
    count, level = 0, [value]
    for _ in range(DEPTH_MAX):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
            elif isinstance(one, str) and "\x00" in one:
                raise refused("epcis_control_character", "")
        count += len(below)
        if count > VALUES_MAX:
            raise refused("epcis_too_large", "", limit=VALUES_MAX)
        if not below:
            return
        level = below
    raise refused("epcis_too_deep", "", limit=DEPTH_MAX)


def prefixes_of(context: object, where: str) -> tuple[dict[str, str], bool]:
    """Prefixes that a `@context` declares inline, and whether it names the standard's context.

    Contexts are never fetched: an address other than the standard's own, and terms beyond plain prefixes, are
    refused (`epcis_context_unknown`, `epcis_context_form`).
    """
    found: dict[str, str] = {}
    named = False
    parts = context if isinstance(context, list) else [] if context is None else [context]
    for n, part in enumerate(parts):
        at = f"{where}/{n}" if isinstance(context, list) else where
        if isinstance(part, str):
            if part not in standard().contexts:
                raise refused("epcis_context_unknown", at, url=part[:200])
            named = True
        elif isinstance(part, Mapping):
            for name, uri in part.items():
                if name.startswith("@") or isinstance(uri, dict):
                    continue  # keywords and term definitions change nothing for us: fields are read by name
                if not isinstance(uri, str) or not is_uri(uri) or ":" in name or not name:
                    raise refused("epcis_context_form", f"{at}/{str(name)[:60]}", name=str(name)[:60])
                found[name] = uri
        else:
            raise refused("epcis_context_form", at, name="@context")
    return found, named


def _only(value: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Nothing is dropped silently: a bare name that the standard does not have there is refused."""
    for name in value:
        if name not in known and ":" not in name:
            raise refused("epcis_field_unknown", f"{where}/{name[:60]}", field=name[:60])


def _head(value: Mapping[str, Any], kind: str) -> tuple[str, datetime | None]:
    """Version and time of a document; the answer to a query may lack both (GS1's JSON schema)."""
    answer = kind == "EPCISQueryDocument"
    version, created = value.get("schemaVersion"), value.get("creationDate")
    if not (answer and version is None) and not str(version or "").startswith("2."):
        raise refused("epcis_version", "/schemaVersion", given=str(version or "")[:20])
    created_at = moment(created) if isinstance(created, str) else None
    if created_at is None and not (answer and created is None):
        raise refused("epcis_time_form", "/creationDate", given=str(created)[:60])
    for name in _ABOUT:
        if name in value and not isinstance(value[name], str):
            raise refused("epcis_field_form", f"/{name}", field=name)
    return str(version or "2.0"), created_at


def document(body: bytes) -> Document:
    """A capture document: EPCISDocument, EPCISQueryDocument, or master data alone."""
    value = load(body)
    kind = value.get("type", value.get("@type", value.get("isA")))
    if kind not in _DOCUMENTS:
        raise refused("epcis_document_type", "/type", given=str(kind)[:60])
    if "@context" not in value:
        raise refused("epcis_context_missing", "/@context")
    prefixes, named = prefixes_of(value["@context"], "/@context")
    if not named:
        raise refused("epcis_context_missing", "/@context")
    version, created_at = _head(value, kind)
    _only(value, _DOCUMENT, "")
    entries = _entries(value.get("epcisHeader"))
    inside = value.get("epcisBody")
    if inside is None and kind == "EPCISMasterDataDocument":
        inside = {}
    if not isinstance(inside, dict):
        raise refused("epcis_field_missing", "/epcisBody", field="epcisBody")
    _only(inside, _BODY, "/epcisBody")
    entries += _vocabularies(inside.get("vocabularyList"), "/epcisBody/vocabularyList")
    path = "/epcisBody/eventList"
    items: object = inside.get("eventList")
    if "queryResults" in inside:
        path = "/epcisBody/queryResults/resultsBody/eventList"
        items, where = inside["queryResults"], "/epcisBody/queryResults"
        for step, known in (("resultsBody", _RESULTS), ("eventList", _RESULTS_BODY)):
            if isinstance(items, dict):
                _only(items, known, where)
            items, where = items.get(step) if isinstance(items, dict) else None, f"{where}/{step}"
    elif items is None and "event" in inside:
        path, items = "/epcisBody/event", [inside["event"]]
    if items is None and entries:
        items = []
    if not isinstance(items, list):
        raise refused("epcis_field_missing", path, field="eventList")
    if len(items) > EVENTS_MAX:
        raise YaosuError("epcis_too_many_events", {"count": len(items), "limit": EVENTS_MAX})
    events = [read_event(one, n, prefixes, path) for n, one in enumerate(items)]
    return Document(events, entries, path, version, created_at)


def single(body: bytes, more: Mapping[str, str]) -> Read:
    """One event as body of `POST /events`; prefixes also from the header `GS1-Extensions`."""
    return read_event(load(body), 0, more, "")


def read_event(value: object, n: int, prefixes: Mapping[str, str], path: str) -> Read:
    """One event with the prefixes that hold in it."""
    if not isinstance(value, dict):
        return Read(n, {}, prefixes, findings=[Finding("epcis_event_object", {}, "")])
    body = dict(value)
    if "isA" in body and "type" not in body:
        body["type"] = body.pop("isA")
    if "@context" in body:
        own, _ = prefixes_of(body.pop("@context"), f"{path}/{n}/@context")
        prefixes = {**prefixes, **own}
    return Read(n, body, prefixes)


def _entries(header: object) -> list[Entry]:
    if header is None:
        return []
    if not isinstance(header, dict):
        raise refused("epcis_field_form", "/epcisHeader", field="epcisHeader")
    data = header.get("epcisMasterData")
    if data is None:
        return []
    where = "/epcisHeader/epcisMasterData"
    if not isinstance(data, dict):
        raise refused("epcis_field_form", where, field="epcisMasterData")
    return _vocabularies(data.get("vocabularyList"), f"{where}/vocabularyList")


def _vocabularies(value: object, where: str) -> list[Entry]:
    found = []
    for v, vocabulary in enumerate(_list(value, where)):
        at = f"{where}/{v}"
        if not isinstance(vocabulary, dict) or not isinstance(vocabulary.get("type"), str):
            raise refused("epcis_field_form", at, field="type")
        inside = vocabulary.get("vocabularyElementList")
        for n, one in enumerate(_list(inside, f"{at}/vocabularyElementList")):
            here = f"{at}/vocabularyElementList/{n}"
            if not isinstance(one, dict) or not isinstance(one.get("id"), str) or not one["id"]:
                raise refused("epcis_field_form", here, field="id")
            attributes = []
            for a, pair in enumerate(_list(one.get("attributes"), f"{here}/attributes")):
                if (
                    not isinstance(pair, dict)
                    or not isinstance(pair.get("id"), str)
                    or "attribute" not in pair
                ):
                    raise refused("epcis_field_form", f"{here}/attributes/{a}", field="attribute")
                text = pair["attribute"]
                attributes.append(
                    (pair["id"], text if isinstance(text, str) else orjson.dumps(text).decode())
                )
            children = [str(c) for c in _list(one.get("children"), f"{here}/children")]
            found.append(Entry(vocabulary["type"], one["id"], attributes, children))
    return found


def _list(value: object, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise refused("epcis_field_form", where, field=where.rpartition("/")[2])
    return value
