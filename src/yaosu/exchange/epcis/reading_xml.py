"""EPCIS XML documents, 2.0 and 1.2 (and 1.0–1.1, which 1.2 contains), to the same events as JSON.

What 1.2 hides inside `extension` and `baseExtension` stands directly in the event afterwards, as in 2.0; a
QuantityEvent of 1.0 becomes the ObjectEvent that EPCIS 1.1 §7.4.4 says it is.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import shape
from yaosu.exchange.epcis.model import EVENT_TYPES, EVENTS_MAX, Document, Entry, Event, Read
from yaosu.exchange.epcis.reading_json import refused
from yaosu.exchange.epcis.times import moment
from yaosu.exchange.epcis.xml_tree import Node, parse

SPACES = {
    "urn:epcglobal:epcis:xsd:2": "2.0",
    "urn:epcglobal:epcis:xsd:1": "1.2",
    "urn:epcglobal:epcis-query:xsd:2": "2.0",
    "urn:epcglobal:epcis-query:xsd:1": "1.2",
    "urn:epcglobal:epcis-masterdata:xsd:2": "2.0",
    "urn:epcglobal:epcis-masterdata:xsd:1": "1.2",
}
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_WRAPPERS = ("extension", "baseExtension")


class _Names:
    """Prefixes for namespaces: those of the document, and made ones where it used only a default namespace."""

    def __init__(self, spaces: dict[str, str]) -> None:
        self.of: dict[str, str] = {}
        for prefix, uri in spaces.items():
            self.of.setdefault(uri, prefix)
        self.used: dict[str, str] = {}

    def key(self, space: str, name: str) -> str:
        """The JSON key of an extension element."""
        prefix = self.of.get(space)
        if prefix is None:
            prefix = f"ext{len(self.of) + 1}"
            self.of[space] = prefix
        self.used[prefix] = space
        return f"{prefix}:{name}"


def document(body: bytes) -> Document:
    """A capture document: EPCISDocument, EPCISQueryDocument or EPCISMasterDataDocument."""
    root, spaces = parse(body)
    names = _Names(spaces)
    version = SPACES.get(root.space, "")
    if root.name not in ("EPCISDocument", "EPCISQueryDocument", "EPCISMasterDataDocument"):
        raise refused("epcis_document_type", "/", given=root.name[:60])
    if not version:
        raise refused("epcis_xml_namespace", "/", given=root.space[:100])
    stated = root.attribute("schemaVersion") or ""
    if stated.split(".")[0] != version[0]:
        raise refused("epcis_version", "/@schemaVersion", given=stated[:20])
    created = moment(root.attribute("creationDate") or "")
    if created is None:
        raise refused("epcis_time_form", "/@creationDate", given=(root.attribute("creationDate") or "")[:60])
    entries = []
    header = root.child("EPCISHeader")
    for place in _through(header) if header is not None else ():
        if place.name == "EPCISMasterData":
            entries += _vocabularies(place.child("VocabularyList"))
    inside = root.child("EPCISBody")
    if inside is None:
        raise refused("epcis_field_missing", "/EPCISBody", field="EPCISBody")
    entries += _vocabularies(inside.child("VocabularyList"))
    path, holder = "/EPCISBody/EventList", inside.child("EventList")
    results = inside.child("QueryResults")
    if holder is None and results is not None:
        path = "/EPCISBody/QueryResults/resultsBody/EventList"
        below = results.child("resultsBody")
        holder = below.child("EventList") if below is not None else None
    if holder is None and not entries:
        raise refused("epcis_field_missing", path, field="EventList")
    nodes = _through(holder) if holder is not None else []
    if len(nodes) > EVENTS_MAX:
        raise YaosuError("epcis_too_many_events", {"count": len(nodes), "limit": EVENTS_MAX})
    events = [_event(node, n, names) for n, node in enumerate(nodes)]
    return Document(events, entries, path, stated, created, True)


def single(body: bytes) -> Read:
    """One event as body of `POST /events`, or a document that holds just one."""
    root, spaces = parse(body)
    if root.name in ("EPCISDocument", "EPCISQueryDocument"):
        found = document(body)
        if len(found.events) != 1:
            raise refused("epcis_one_event", found.list_path, count=len(found.events))
        return found.events[0]
    return _event(root, 0, _Names(spaces))


def _through(node: Node) -> list[Node]:
    """Children, those inside extension wrappers as if they stood there themselves."""
    found: list[Node] = []
    for one in node.children:
        if one.name in _WRAPPERS and not one.space:
            found += _through(one)
        else:
            found.append(one)
    return found


def _event(node: Node, index: int, names: _Names) -> Read:
    findings: list[Finding] = []
    names.used = {}
    if node.name == "QuantityEvent" and not node.space:
        body = _quantity_event(node, names, findings)
    elif node.name in EVENT_TYPES and not node.space:
        body = _fields(node, {"type": node.name}, names, findings)
    else:
        body = {"type": names.key(node.space, node.name) if node.space else node.name}
        _fields(node, body, names, findings)
    return Read(index, body, dict(names.used), True, findings)


def _fields(node: Node, body: Event, names: _Names, findings: list[Finding]) -> Event:
    for one in _through(node):
        if one.space:
            _put(body, names.key(one.space, one.name), _free(one, names))
            continue
        form = shape.FORMS.get(one.name)
        if form is None:
            findings.append(Finding("epcis_field_unknown", {"field": one.name[:60]}, one.name[:60]))
        elif one.name in body:
            findings.append(Finding("epcis_field_twice", {"field": one.name}, one.name))
        else:
            body[one.name] = _value(one, form, names, findings)
    return body


def _value(node: Node, form: shape.Form, names: _Names, findings: list[Finding]) -> Any:
    match form:
        case "epcs":
            return [c.text for c in node.children if c.name == "epc"]
        case "quantities":
            return [_quantity(c, f"{node.name}/{n}", findings) for n, c in enumerate(node.children)]
        case "place":
            return _place(node, names)
        case "pairs":
            return [_pair(c, shape.PAIRS[node.name]) for c in node.children]
        case "sensors":
            return [_sensor(c, names) for c in node.children if c.name == "sensorElement"]
        case "persistent":
            found: dict[str, list[str]] = {}
            for c in node.children:
                found.setdefault(c.name, []).append(c.text)
            return found
        case "ilmd":
            inside: dict[str, Any] = {}
            for c in _through(node):
                _put(inside, names.key(c.space, c.name) if c.space else c.name, _free(c, names))
            return inside
        case "error":
            return _error(node, names)
        case _:
            return node.text


def _place(node: Node, names: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for c in _through(node):
        if c.name == "id" and not c.space:
            found["id"] = c.text
        else:
            _put(found, names.key(c.space, c.name) if c.space else c.name, _free(c, names))
    return found


def _pair(node: Node, name: str) -> dict[str, Any]:
    kind = node.attribute("type")
    return {**({"type": kind.strip()} if kind is not None else {}), name: node.text}


def _quantity(node: Node, where: str, findings: list[Finding]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for c in node.children:
        if c.name == "quantity":
            if c.attributes.get((_XSI, "nil")) in ("true", "1"):
                continue
            found["quantity"] = _number(c.text, f"{where}/quantity", findings)
        else:
            found[c.name] = c.text
    return found


def _number(text: str, where: str, findings: list[Finding]) -> Any:
    try:
        value = Decimal(text.strip())
        if not value.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        findings.append(Finding("epcis_number_form", {"given": text[:40]}, where))
        return text
    return int(value) if value == value.to_integral_value() and abs(value) < 10**15 else float(value)


def _sensor(node: Node, names: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for c in _through(node):
        if c.name == "sensorMetadata" and not c.space:
            found["sensorMetadata"] = _attributes(c, names)
        elif c.name == "sensorReport" and not c.space:
            found.setdefault("sensorReport", []).append(_attributes(c, names))
        else:
            _put(found, names.key(c.space, c.name) if c.space else c.name, _free(c, names))
    return found


def _attributes(node: Node, names: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (space, name), text in node.attributes.items():
        if space == _XSI:
            continue
        if space:
            found[names.key(space, name)] = text
        elif name in shape.NUMBERS:
            found[name] = _number(text, name, [])
        elif name == "booleanValue":
            found[name] = text in ("true", "1")
        else:
            found[name] = text
    return found


def _error(node: Node, names: _Names) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for c in _through(node):
        if c.space:
            _put(found, names.key(c.space, c.name), _free(c, names))
        elif c.name == "correctiveEventIDs":
            found["correctiveEventIDs"] = [i.text for i in c.children]
        else:
            found[c.name] = c.text
    return found


def _put(found: dict[str, Any], key: str, value: Any) -> None:
    """A repeated element becomes a list."""
    if key not in found:
        found[key] = value
    elif isinstance(found[key], list):
        found[key].append(value)
    else:
        found[key] = [found[key], value]


def _free(node: Node, names: _Names) -> Any:
    """An extension element: text, or an object with `@attribute` and `#text` keys."""
    attributes = {f"@{names.key(s, n) if s else n}": v for (s, n), v in node.attributes.items() if s != _XSI}
    if not node.children and not attributes:
        return node.text
    found: dict[str, Any] = dict(attributes)
    for c in node.children:
        _put(found, names.key(c.space, c.name) if c.space else c.name, _free(c, names))
    if node.text:
        found["#text"] = node.text
    return found


def _quantity_event(node: Node, names: _Names, findings: list[Finding]) -> Event:
    body: Event = {"type": "ObjectEvent", "action": "OBSERVE"}
    inner = Node(
        "", "QuantityEvent", {}, [c for c in _through(node) if c.name not in ("epcClass", "quantity")]
    )
    element: dict[str, Any] = {}
    for c in _through(node):
        if c.name == "epcClass":
            element["epcClass"] = c.text
        elif c.name == "quantity":
            element["quantity"] = _number(c.text, "quantityList/0/quantity", findings)
    body["quantityList"] = [element]
    return _fields(inner, body, names, findings)


def _vocabularies(node: Node | None) -> list[Entry]:
    found = []
    for vocabulary in node.children if node is not None else ():
        kind = vocabulary.attribute("type") or ""
        elements = vocabulary.child("VocabularyElementList")
        if not kind:
            raise refused("epcis_field_form", "/EPCISHeader/…/Vocabulary/@type", field="type")
        for one in elements.children if elements is not None else ():
            number = one.attribute("id") or ""
            if not number:
                raise refused("epcis_field_form", "/EPCISHeader/…/VocabularyElement/@id", field="id")
            names = _Names({})
            attributes = []
            children: list[str] = []
            for c in _through(one):
                if c.name == "attribute":
                    value = c.text if not c.children else orjson.dumps(_free(c, names)).decode()
                    attributes.append((c.attribute("id") or "", value))
                elif c.name == "children":
                    children = [i.text for i in c.children]
            found.append(Entry(kind, number, attributes, children))
    return found
