"""Values of the notify room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from yaosu.errors import message

KIND_PREFIX = "notice_"
"""What organisations can be told begins so in the message registry."""


@dataclass(frozen=True, slots=True)
class Message:
    """One piece of news on an organisation's message page."""

    id: int
    org: int
    kind: str
    ref: str
    params: Mapping[str, Any]
    link: str
    event: UUID
    at: datetime
    read_at: datetime | None

    def text(self, lang: str) -> str:
        """What happened, in the reader's language."""
        return message(self.kind).text(lang, self.params)

    def next_step(self, lang: str) -> str:
        """What to do now; empty when there is nothing."""
        return message(self.kind).next_step(lang, self.params)

    def as_json(self, lang: str) -> dict[str, Any]:
        """The form of API answers."""
        return {
            "id": self.id,
            "kind": self.kind,
            "text": self.text(lang),
            "next": self.next_step(lang),
            "params": dict(self.params),
            "ref": self.ref,
            "link": self.link,
            "event": str(self.event),
            "at": self.at.isoformat(),
            "read_at": self.read_at.isoformat() if self.read_at else None,
        }


@dataclass(frozen=True, slots=True)
class Webhook:
    """A subscription. The secret is derived from `salt` when it is needed."""

    id: int
    org: int
    url: str
    kinds: tuple[str, ...]
    salt: bytes
    active: bool
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        """The form of API answers; never the secret."""
        return {
            "id": self.id,
            "url": self.url,
            "kinds": list(self.kinds),
            "active": self.active,
            "created_at": self.created_at.isoformat(),
        }
