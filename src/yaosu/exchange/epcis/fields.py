"""What an event says, read once: identifiers by field, and our own extension fields by their full name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.vocabulary import YAOSU, expand

_OBJECTS = {"epcList": "e", "childEPCs": "e", "parentID": "p", "inputEPCList": "i", "outputEPCList": "o"}
_CLASSES = {
    "quantityList": "c",
    "childQuantityList": "c",
    "inputQuantityList": "j",
    "outputQuantityList": "k",
}


def indexed(body: Event) -> list[str]:
    """Identifiers of an event in inner form, each with the letter of its field (epcis_event.epcs)."""
    found: dict[str, None] = {}
    for name, letter in _OBJECTS.items():
        value = body.get(name)
        for one in value if isinstance(value, list) else [value] if value else ():
            found[f"{letter}|{inner_of(one)}"] = None
    for name, letter in _CLASSES.items():
        for one in body.get(name) or ():
            found[f"{letter}|{inner_of(one['epcClass'])}"] = None
    return list(found)


def ours(body: Mapping[str, Any], prefixes: Mapping[str, str]) -> dict[str, Any]:
    """Our own extension fields of a structure, by local name."""
    found = {}
    for key, value in body.items():
        if ":" in key:
            uri = expand(key, prefixes) or ""
            if uri.startswith(YAOSU):
                found[uri[len(YAOSU) :]] = value
    return found


def local_values(body: Mapping[str, Any], prefixes: Mapping[str, str]) -> dict[tuple[str, str], Any]:
    """Extension fields as (namespace, local name) → value; namespaces without their last separator."""
    found = {}
    for key, value in body.items():
        uri = expand(key, prefixes) if ":" in key else None
        if uri:
            head, local = _parted(key, uri, prefixes)
            found[head.rstrip("/#:"), local] = value
    return found


def _parted(key: str, uri: str, prefixes: Mapping[str, str]) -> tuple[str, str]:
    local = key.partition(":")[2]
    if uri != key:
        return uri[: len(uri) - len(local)], local
    cut = max(uri.rfind("/"), uri.rfind("#"), uri.rfind(":")) + 1
    return uri[:cut], uri[cut:]


@dataclass(slots=True)
class Item:
    """One checked event of a document on its way to become an act."""

    index: int
    body: Event
    prefixes: Mapping[str, str]
    event_id: str
    content: bytes
    """Digest of what it says (the event hash), without id, record time and error declaration."""
    path: str
    """JSON pointer of the event."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Our own extension fields."""
    state: str = "kept"
    bills: list[int] = field(default_factory=list)
    note: str = ""

    @property
    def declared(self) -> bool:
        """Whether it declares that the event of its id was wrong."""
        return self.body.get("errorDeclaration") is not None

    def epcs(self, name: str) -> list[str]:
        """Identifiers of one field in inner form."""
        return [inner_of(v) for v in self.body.get(name) or ()]

    def pairs(self, name: str, inner: str, kind: str) -> list[tuple[int, str]]:
        """Values of one type in a list of typed values, with their place, in inner form."""
        return [
            (n, inner_of(p[inner])) for n, p in enumerate(self.body.get(name) or ()) if p.get("type") == kind
        ]
