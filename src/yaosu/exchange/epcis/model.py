"""Values of the EPCIS room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from yaosu.errors import Finding

Event = dict[str, Any]
"""An event as EPCIS JSON: standard fields bare, words of the standard bare, extension fields with their prefix."""
Behaviour = Literal["rollback", "proceed"]

EVENT_TYPES = (
    "AggregationEvent",
    "AssociationEvent",
    "ObjectEvent",
    "TransactionEvent",
    "TransformationEvent",
)
EVENTS_MAX = 20_000
"""Events in one capture document; announced in `GS1-EPCIS-Capture-Limit`."""
EPCS_MAX = 1_000_000
"""Identifiers in one capture document."""
DEPTH_MAX = 40
"""Nesting of a document, JSON or XML."""


@dataclass(slots=True)
class Read:
    """One event of a document: `index` in its list, `path` of the list, what could not be read."""

    index: int
    body: Event
    prefixes: Mapping[str, str]
    """Namespaces of the event's extension fields, by prefix."""
    from_xml: bool = False
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of a master-data vocabulary (EPCIS 2.0 §9.4)."""

    kind: str
    """Vocabulary type, e.g. urn:epcglobal:epcis:vtype:EPCClass."""
    id: str
    attributes: Sequence[tuple[str, str]]
    """Attribute id → value; values that are structures are their JSON."""
    children: Sequence[str] = ()


@dataclass(slots=True)
class Document:
    """A capture document as read."""

    events: list[Read]
    entries: list[Entry]
    list_path: str
    """JSON pointer of the event list, e.g. /epcisBody/eventList."""
    version: str
    created_at: datetime | None = None
    from_xml: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of a capture job (RFC 7807; EPCIS 2.0 §12.7)."""

    instance: str
    """JSON pointer into the document: /epcisBody/eventList/3/bizStep."""
    finding: Finding
    kind: str = "ValidationException"

    def as_json(self, lang: str) -> dict[str, object]:
        """The form in capture jobs and answers."""
        return {
            "type": f"epcisException:{self.kind}",
            "title": self.finding.text(lang),
            "status": 400,
            "detail": self.finding.next_step(lang) or self.finding.text(lang),
            "instance": self.instance,
            "code": self.finding.code,
        }
