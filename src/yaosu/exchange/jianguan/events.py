"""What a regulator is told: bills and base data as events (standards §6.2, §5). No names of persons, no telephones."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from yaosu import gm
from yaosu.circulation.cache import CHINA
from yaosu.exchange.basedata import Item, Parties
from yaosu.exchange.jianguan import form
from yaosu.exchange.outbox.model import RoutedBill, RoutedLine

CODES_PER_EVENT = 5_000
"""Codes in one event; a larger bill is several events (`part` of `parts`)."""
HEADER_KEPT = frozenset(
    {
        "reason",
        "reason_text",
        "order_code",
        "invoice_no",
        "invoice_date",
        "from_address",
        "to_address",
        "note",
    }
)


@dataclass(frozen=True, slots=True)
class Event:
    """An event before it has a number."""

    event_id: uuid.UUID
    kind: str
    org: str
    day: date
    qty: int
    codes: int
    body: bytes
    """Canonical JSON."""
    bill_id: int | None = None
    part: int = 1

    @property
    def digest(self) -> bytes:
        """SM3 of the canonical JSON."""
        return gm.sm3(self.body)

    @property
    def packed(self) -> bytes:
        """As it is kept."""
        return zlib.compress(self.body, 3)


def _party(parties: Parties, org: int | None) -> dict[str, str]:
    if org is None:
        return {}
    card = parties.registry.org(org)
    found = {"id": parties.key(org), "name": parties.name(org), "region": card.region if card else ""}
    return {k: v for k, v in found.items() if v}


def _line(parties: Parties, line: RoutedLine) -> dict[str, Any]:
    product = parties.registry.product(line.drug_id)
    found: dict[str, Any] = {
        "code": line.code,
        "product": product.levels[0].identifier if product is not None and product.levels else "",
        "level": line.level,
        "batchNo": line.batch_no,
        "madeOn": line.produced_on,
        "expiresOn": line.expires_on,
        "qty": line.qty,
    }
    if line.parts:
        found["parts"] = line.parts
    return {k: v for k, v in found.items() if v != ""}


def bill_events(
    parties: Parties,
    source_id: str,
    bill: RoutedBill,
    refused: int,
    inside: Sequence[tuple[str, str, int]] = (),
) -> list[Event]:
    """A bill revision as one event, or several of many codes. `inside`: (code, parent, level) of an activation.

    The GUID is of the bill revision and its part: sent again it is the same, a correction or void is another.
    """
    lines = [_line(parties, line) for line in bill.lines]
    packed = [{"code": code, "parent": parent, "level": level} for code, parent, level in inside]
    chunks = max(1, -(-len(lines) // CODES_PER_EVENT), -(-len(packed) // CODES_PER_EVENT))
    day = bill.happened_at.astimezone(CHINA).date()
    owner = parties.key(bill.owner) or f"#{bill.owner}"
    head: dict[str, Any] = {
        "sourceID": source_id,
        "eventType": "bill",
        "billNo": bill.bill_no,
        "billType": bill.type,
        "billKind": bill.kind,
        "revision": bill.revision,
        "void": bill.void,
        "happenedAt": bill.happened_at.astimezone(CHINA).isoformat(),
        "recordedAt": bill.recorded_at.astimezone(CHINA).isoformat(),
        "owner": {**_party(parties, bill.owner), "id": owner},
        "submitter": _party(parties, bill.submitter),
        "from": _party(parties, bill.from_org),
        "to": _party(parties, bill.to_org),
        "principal": _party(parties, bill.principal),
        "carrier": _party(parties, bill.carrier),
        "direct": _party(parties, bill.direct_org),
        "header": {k: str(v) for k, v in bill.header.items() if k in HEADER_KEPT and v not in (None, "")},
        "refusedCodes": refused,
        "replaces": str(form.event_id(source_id, f"bill {bill.replaces} 1")) if bill.replaces else "",
    }
    events = []
    for number in range(chunks):
        mine = lines[number * CODES_PER_EVENT : (number + 1) * CODES_PER_EVENT]
        theirs = packed[number * CODES_PER_EVENT : (number + 1) * CODES_PER_EVENT]
        uncoded = (
            [{"product": _product(parties, d), "batchNo": b, "qty": q} for d, b, q in sorted(bill.quantities)]
            if number == 0
            else []
        )
        event_id = form.event_id(source_id, f"bill {bill.id} {number + 1}")
        qty = sum(int(line["qty"]) for line in mine) + sum(int(str(q["qty"])) for q in uncoded)
        full: dict[str, Any] = {
            **head,
            "eventID": str(event_id),
            "part": number + 1,
            "parts": chunks,
            "qty": qty,
            "codes": mine,
            "inside": theirs,
            "quantities": uncoded,
        }
        body = form.canonical({k: v for k, v in full.items() if v not in ("", [], {})})
        events.append(Event(event_id, "bill", owner, day, qty, len(mine), body, bill.id, number + 1))
    return events


def _product(parties: Parties, drug_id: int) -> str:
    product = parties.registry.product(drug_id)
    return product.levels[0].identifier if product is not None and product.levels else f"#{drug_id}"


def base_event(source_id: str, item: Item, turn: int, day: date) -> Event:
    """A firm, code rule or product; `turn` counts its changes."""
    event_id = form.event_id(source_id, f"{item.kind} {item.key} {turn}")
    body: Mapping[str, Any] = {
        "sourceID": source_id,
        "eventType": item.kind,
        "eventID": str(event_id),
        "key": item.key,
        "turn": turn,
        "day": day.isoformat(),
        "owner": {"id": item.firm},
        "content": dict(item.body),
    }
    return Event(event_id, item.kind, item.firm, day, 0, 0, form.canonical(body))
