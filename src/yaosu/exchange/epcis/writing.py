"""Events to documents: JSON-LD and XML, identifiers and words in the spelling the reader asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from yaosu.exchange.epcis import shape
from yaosu.exchange.epcis.identifiers import NotAnIdentifierError, PrefixLength, as_urn, canonical
from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.times import stamp
from yaosu.exchange.epcis.vocabulary import as_urn as word_urn
from yaosu.exchange.epcis.vocabulary import as_web, standard

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
DIGITAL_LINK, EPC_URN = "Always_GS1_Digital_Link", "Always_EPC_URN"
NO_PREFERENCE, NEVER = "No_Preference", "Never_Translates"
EPC_FORMATS = (NO_PREFERENCE, DIGITAL_LINK, EPC_URN, NEVER)
WEB_URI, URN = "Always_Web_URI", "Always_URN"
WORD_FORMATS = (NO_PREFERENCE, WEB_URI, URN, NEVER)


@dataclass(frozen=True, slots=True)
class Style:
    """How the reader wants identifiers, and words in XML."""

    epc: str = DIGITAL_LINK
    words: str = URN
    length: PrefixLength = lambda _: None


@dataclass(frozen=True, slots=True)
class Shown:
    """One event on its way out, with the namespaces of its extension fields."""

    body: Event
    prefixes: Mapping[str, str]


def spelled(style: Style, text: str) -> str:
    """An identifier in the form asked for; what has no other form stays as it is."""
    if style.epc not in (DIGITAL_LINK, EPC_URN):
        return text
    try:
        inner = canonical(text)
    except NotAnIdentifierError:
        return text
    if style.epc == EPC_URN:
        # an own code stays ours: there is no EPC URN for it
        return text if text.startswith("urn:epc:") else as_urn(inner, style.length)
    return inner if text.startswith("urn:epc:") and inner.startswith("https://") else text


def styled(event: Shown, style: Style) -> Shown:
    """The event with its identifiers in the form asked for."""
    if style.epc not in (DIGITAL_LINK, EPC_URN):
        return event
    body = dict(event.body)
    for name in shape.EPC_FIELDS:
        value = body.get(name)
        if isinstance(value, list):
            body[name] = [spelled(style, v) for v in value]
        elif isinstance(value, str):
            body[name] = spelled(style, value)
    for name in shape.QUANTITY_FIELDS:
        if name in body:
            body[name] = [{**q, "epcClass": spelled(style, q["epcClass"])} for q in body[name]]
    for name in ("readPoint", "bizLocation"):
        if name in body:
            body[name] = {**body[name], "id": spelled(style, body[name]["id"])}
    for name, inner in shape.PAIRS.items():
        if name in body and name != "bizTransactionList":
            body[name] = [{**p, inner: spelled(style, p[inner])} for p in body[name]]
    return Shown(body, event.prefixes)


class _Spaces:
    """Prefixes of one document; two events that use one prefix for different namespaces get different ones."""

    def __init__(self, plain: frozenset[str] = frozenset()) -> None:
        self.of: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self._plain = plain

    def key(self, key: str, prefixes: Mapping[str, str]) -> str:
        """The key of an extension field under this document's prefixes."""
        lead = "@" if key.startswith("@") else ""
        head, colon, local = key.lstrip("@").partition(":")
        if not colon:
            return key
        space = prefixes.get(head) or standard().prefixes.get(head)
        if space is None:
            cut = max(key.rfind("/"), key.rfind("#"), key.rfind(":")) + 1
            space, local, head = key[:cut], key[cut:], "ext"
        name = self.names.get(space)
        if name is None:
            name, n = head, 1
            while self.of.get(name, space) != space or (
                name in self._plain and standard().prefixes[name] != space
            ):
                n += 1
                name = f"{head}{n}"
            self.of[name], self.names[space] = space, name
        return f"{lead}{name}:{local}"


def _renamed(value: Any, spaces: _Spaces, prefixes: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {spaces.key(k, prefixes): _renamed(v, spaces, prefixes) for k, v in value.items()}
    if isinstance(value, list):
        return [_renamed(v, spaces, prefixes) for v in value]
    return value


def _event_json(event: Shown, spaces: _Spaces) -> Event:
    """The event in the order of the standard, extension fields last, under the document's prefixes."""
    body = event.body
    found: Event = {"type": spaces.key(str(body["type"]), event.prefixes)}
    order = shape.ORDER.get(str(body["type"]), tuple(shape.FORMS))
    for name in order:
        if name in body:
            found[name] = _renamed(body[name], spaces, event.prefixes)
    for key, value in body.items():
        if key not in found and key != "type":
            found[spaces.key(key, event.prefixes)] = _renamed(value, spaces, event.prefixes)
    return found


def _context(spaces: _Spaces) -> list[Any]:
    own = {k: v for k, v in spaces.of.items() if standard().prefixes.get(k) != v}
    return [CONTEXT, own] if own else [CONTEXT]


def json_document(
    events: Sequence[Shown], style: Style, query: str = "SimpleEventQuery", **more: object
) -> dict[str, Any]:
    """An EPCISQueryDocument."""
    spaces = _Spaces(frozenset(standard().prefixes))
    items = [_event_json(styled(e, style), spaces) for e in events]
    return {
        "@context": _context(spaces),
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": stamp(datetime.now(UTC)),
        "epcisBody": {"queryResults": {"queryName": query, **more, "resultsBody": {"eventList": items}}},
    }


def json_capture(events: Sequence[Shown], style: Style) -> dict[str, Any]:
    """An EPCISDocument, to be captured elsewhere."""
    spaces = _Spaces(frozenset(standard().prefixes))
    items = [_event_json(styled(e, style), spaces) for e in events]
    return {
        "@context": _context(spaces),
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": stamp(datetime.now(UTC)),
        "epcisBody": {"eventList": items},
    }


# -- XML ---------------------------------------------------------------------------------------------------------------

_NAME = "epcis"
_MD_WORDS = {"type": "measurement", "exception": "alert", "component": "component"}


class _Xml:
    """Builds the text of one document. Extension fields become elements of their namespace."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.spaces = _Spaces()
        self.spaces.of[_NAME] = "urn:epcglobal:epcis:xsd:2"
        self.spaces.of["epcisq"] = "urn:epcglobal:epcis-query:xsd:2"
        self.spaces.of["xsi"] = "http://www.w3.org/2001/XMLSchema-instance"
        self.parts: list[str] = []

    def word(self, kind: str, value: str) -> str:
        """A word in its XML form: always a URI."""
        return as_web(kind, value) if self.style.words in (WEB_URI,) else word_urn(kind, value)

    def leaf(self, name: str, value: object) -> None:
        """A text element."""
        text = "true" if value is True else "false" if value is False else str(value)
        self.parts.append(f"<{name}>{escape(text)}</{name}>")

    def inside(self, name: str, build: Callable[[], None]) -> None:
        """An element with what `build` puts into it."""
        self.parts.append(f"<{name}>")
        build()
        self.parts.append(f"</{name}>")

    def many(self, name: str, values: Sequence[Any], one: Callable[[Any], None]) -> None:
        """An element with an inner one for each value."""
        self.parts.append(f"<{name}>")
        for value in values:
            one(value)
        self.parts.append(f"</{name}>")

    def _place(self, value: Mapping[str, Any], prefixes: Mapping[str, str]) -> None:
        self.leaf("id", value["id"])
        self.rest(value, ("id",), prefixes)

    def free(self, key: str, value: Any, prefixes: Mapping[str, str]) -> None:
        """An extension element with everything in it."""
        name = self.spaces.key(key, prefixes)
        if isinstance(value, list):
            for one in value:
                self.free(key, one, prefixes)
            return
        if not isinstance(value, Mapping):
            self.leaf(name, value)
            return
        attributes = "".join(
            f" {self.spaces.key(k, prefixes)[1:]}={quoteattr(str(v))}"
            for k, v in value.items()
            if k.startswith("@")
        )
        self.parts.append(f"<{name}{attributes}>")
        if "#text" in value:
            self.parts.append(escape(str(value["#text"])))
        for k, v in value.items():
            if not k.startswith(("@", "#")):
                self.free(k, v, prefixes)
        self.parts.append(f"</{name}>")

    def rest(self, value: Mapping[str, Any], known: Sequence[str], prefixes: Mapping[str, str]) -> None:
        """All extension fields of a structure."""
        for key, one in value.items():
            if key not in known:
                self.free(key, one, prefixes)

    def event(self, event: Shown) -> None:
        """One event."""
        shown = styled(event, self.style)
        body, prefixes = shown.body, shown.prefixes
        kind = str(body["type"])
        name = self.spaces.key(kind, prefixes)
        self.parts.append(f"<{name}>")
        order = shape.ORDER.get(kind, tuple(shape.FORMS))
        for field in order:
            if field in body:
                self.field(field, body[field], prefixes)
        self.rest(body, (*order, "type", "@context", "rdfs:comment"), prefixes)
        self.parts.append(f"</{name}>")

    def field(self, name: str, value: Any, prefixes: Mapping[str, str]) -> None:
        """One field of the standard."""
        match shape.FORMS[name]:
            case "epcs":
                self.many(name, value, lambda v: self.leaf("epc", v))
            case "quantities":
                self.many(name, value, self._quantity)
            case "place":
                self.inside(name, lambda: self._place(value, prefixes))
            case "pairs":
                self._pairs(name, value)
            case "persistent":
                self.inside(name, lambda: self._persistent(value))
            case "ilmd":
                self.inside(name, lambda: self.rest(value, (), prefixes))
            case "error":
                self.inside(name, lambda: self._error(value, prefixes))
            case "sensors":
                self.many(name, value, lambda v: self._sensor(v, prefixes))
            case "texts":
                for one in value if isinstance(value, list) else [value]:
                    self.leaf(name, one)
            case _:
                kind = name if name in ("bizStep", "disposition") else ""
                self.leaf(name, self.word(kind, value) if kind else value)

    def _quantity(self, value: Mapping[str, Any]) -> None:
        def build() -> None:
            for key in ("epcClass", "quantity", "uom"):
                if key in value:
                    self.leaf(key, value[key])

        self.inside("quantityElement", build)

    def _pairs(self, name: str, value: Sequence[Mapping[str, Any]]) -> None:
        inner, kind = shape.PAIRS[name], shape.PAIR_WORDS[name]
        self.parts.append(f"<{name}>")
        for one in value:
            attribute = f" type={quoteattr(self.word(kind, one['type']))}" if "type" in one else ""
            self.parts.append(f"<{inner}{attribute}>{escape(str(one[inner]))}</{inner}>")
        self.parts.append(f"</{name}>")

    def _persistent(self, value: Mapping[str, Sequence[str]]) -> None:
        for side in ("unset", "set"):
            for one in value.get(side) or ():
                self.leaf(side, self.word("disposition", one))

    def _error(self, value: Mapping[str, Any], prefixes: Mapping[str, str]) -> None:
        self.leaf("declarationTime", value["declarationTime"])
        if "reason" in value:
            self.leaf("reason", self.word("er", value["reason"]))
        if value.get("correctiveEventIDs"):
            ids = value["correctiveEventIDs"]
            self.many("correctiveEventIDs", ids, lambda v: self.leaf("correctiveEventID", v))
        self.rest(value, ("declarationTime", "reason", "correctiveEventIDs"), prefixes)

    def _sensor(self, value: Mapping[str, Any], prefixes: Mapping[str, str]) -> None:
        def build() -> None:
            if value.get("sensorMetadata"):
                self._attributes("sensorMetadata", value["sensorMetadata"], prefixes)
            for report in value.get("sensorReport") or ():
                self._attributes("sensorReport", report, prefixes)
            self.rest(value, ("type", "sensorMetadata", "sensorReport"), prefixes)

        self.inside("sensorElement", build)

    def _attributes(self, name: str, value: Mapping[str, Any], prefixes: Mapping[str, str]) -> None:
        text = ""
        for key, given in value.items():
            shown = given
            if name == "sensorReport" and key in _MD_WORDS:
                shown = as_web(_MD_WORDS[key], str(given))
            elif isinstance(given, bool):
                shown = "true" if given else "false"
            text += f" {self.spaces.key(key, prefixes)}={quoteattr(str(shown))}"
        self.parts.append(f"<{name}{text}/>")

    def declared(self) -> str:
        """The namespace declarations for the root element."""
        return "".join(f" xmlns:{p}={quoteattr(u)}" for p, u in sorted(self.spaces.of.items()))


def xml_document(
    events: Sequence[Shown], style: Style, query: str = "SimpleEventQuery", subscription: str = ""
) -> bytes:
    """An EPCISQueryDocument in XML 2.0."""
    xml = _Xml(style)
    for one in events:
        xml.event(one)
    body = "".join(xml.parts)
    about = f"<queryName>{escape(query)}</queryName>"
    about += f"<subscriptionID>{escape(subscription)}</subscriptionID>" if subscription else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<epcisq:EPCISQueryDocument{xml.declared()} schemaVersion="2.0" creationDate="{stamp(datetime.now(UTC))}">'
        f"<EPCISBody><epcisq:QueryResults>{about}<resultsBody><EventList>{body}</EventList></resultsBody>"
        "</epcisq:QueryResults></EPCISBody></epcisq:EPCISQueryDocument>"
    ).encode()


def xml_capture(events: Sequence[Shown], style: Style) -> bytes:
    """An EPCISDocument in XML 2.0."""
    xml = _Xml(style)
    for one in events:
        xml.event(one)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<epcis:EPCISDocument{xml.declared()} schemaVersion="2.0" creationDate="{stamp(datetime.now(UTC))}">'
        f"<EPCISBody><EventList>{''.join(xml.parts)}</EventList></EPCISBody></epcis:EPCISDocument>"
    ).encode()
