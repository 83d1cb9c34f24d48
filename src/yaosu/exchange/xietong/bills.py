"""From a recorded bill to what other systems must know of it (R-B1, R-B2, R-B9).

One event for each home of its codes: goods traced here that leave for a firm of another system, and goods of other
systems that one of our firms handled. Bills of firms that work elsewhere are their system's to tell, not ours.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from yaosu.db.engine import Connection
from yaosu.exchange.basedata import Parties
from yaosu.exchange.outbox.model import Link, Parcel, RoutedBill, RoutedLine
from yaosu.exchange.xietong import made
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.envelope import APPLICATION
from yaosu.exchange.xietong.tree import tree
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Item
from yaosu.registry.resolver import Registry

NAMESPACE = uuid.UUID("5e0c2f53-7d0e-5d0c-9a52-3b1f1f6a9d11")
HEADER_KEPT = frozenset(
    {"reason", "reason_text", "executer_name", "superviser_name", "order_code", "invoice_no"}
)
"""Header fields that travel: what the receiving books need; nothing of patients and buyers."""


def event_id(app_id: str, key: str) -> uuid.UUID:
    """The same thing has the same event, however often it is made."""
    return uuid.uuid5(NAMESPACE, f"{app_id}|{key}")


def sub_type(lists: CodeLists, bill: RoutedBill) -> Item:
    """The sub type a bill goes out under: of its type, else of its kind; a void is a withdrawal."""
    items = lists.get("xietong_sub_type")
    if bill.void:
        return _item(lists, "withdraw")
    for item in items:
        if str(bill.type) in _texts(item, "bill_types"):
            return item
    for item in items:
        if bill.kind in _texts(item, "kinds"):
            return item
    return _item(lists, "other")


def _item(lists: CodeLists, meaning: str) -> Item:
    return next(i for i in lists.get("xietong_sub_type") if i.attrs.get("meaning") == meaning)


def _texts(item: Item, name: str) -> list[str]:
    found = item.attrs.get(name)
    return [str(x) for x in found] if isinstance(found, list) else []


async def build(conn: Connection, registry: Registry, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
    """What of the bill is owed to the platform; empty when all of it stays in our own system."""
    own = next((s.id for s in registry.systems if s.own), 0)
    parties = await Parties.load(conn, registry)
    if bill.owner in parties.foreign:
        return []
    lines = bill.lines if not bill.void else bill.before
    by_home: dict[int, list[RoutedLine]] = {}
    for line in lines:
        by_home.setdefault(line.home, []).append(line)
    # a correction that took out the last code of a home tells that home so
    for line in bill.before:
        by_home.setdefault(line.home, [])
    leaves = bill.to_org is not None and bill.to_org in parties.foreign
    app_id = str(link.account.get("app_id", ""))
    if bill.type == made.ACTIVATION:
        told = await made.contents(conn, parties, bill)
        return [
            _parcel(
                app_id,
                _item(registry.lists, "produce"),
                content,
                f"{content['owner']}|{bill.bill_no}|made|{n}",
            )
            for n, content in enumerate(told, 1)
        ]
    item = sub_type(registry.lists, bill)
    found = []
    for number, (home, theirs) in enumerate(sorted(by_home.items())):
        if home == own and not leaves:
            continue
        void = bill.void or not theirs
        content = await _content(conn, parties, bill, theirs, void, number, leaves)
        key = f"{parties.key(bill.owner)}|{bill.bill_no}|{bill.revision}|{'v' if bill.void else ''}|{home}"
        found.append(_parcel(app_id, item, content, key))
    return found


def _parcel(app_id: str, item: Item, content: Mapping[str, Any], key: str) -> Parcel:
    """One event. Everything between two systems goes in one order: a receipt never overtakes its shipment."""
    body: Mapping[str, Any] = {
        "event_id": str(event_id(app_id, key)),
        "event_type": APPLICATION,
        "sub_type": item.code,
        "usc_id": content["owner"],
        "content": content,
    }
    return Parcel(kind=str(item.attrs["meaning"]), key=key, body=body, lane="all")


def stop_parcel(app_id: str, lists: CodeLists, content: Mapping[str, Any]) -> Parcel:
    """The event of a recall order or lock of ours, or of its end."""
    key = f"{content['kind']}|{content['number']}|{content['act']}"
    return _parcel(app_id, _item(lists, "recall"), content, key)


async def _content(
    conn: Connection,
    parties: Parties,
    bill: RoutedBill,
    lines: Sequence[RoutedLine],
    void: bool,
    number: int,
    leaves: bool,
) -> dict[str, Any]:
    packages = await tree(conn, lines) if leaves and bill.kind == "ship" and not void else None
    codes = [p["code"] for p in packages] if packages is not None else [line.code for line in lines]
    notice, checks = None, []
    if bill.kind == "receive":
        products = sorted({line.drug_id for line in lines})
        notice = await conn.fetchval(store.NOTICE_NO, bill.id, products)
        checks = await conn.fetch(store.CHECKS, bill.id, products)
    full: dict[str, Any] = {
        "owner": parties.key(bill.owner),
        # a bill with codes of several homes is told to each under a number of its own
        "bill_no": bill.bill_no if number == 0 else f"{bill.bill_no[:60]}~{number + 1}",
        "type": bill.type,
        "kind": bill.kind,
        "revision": bill.revision,
        "void": void,
        "happened_at": bill.happened_at.isoformat(),
        "from": parties.key(bill.from_org),
        "to": parties.key(bill.to_org),
        "principal": parties.key(bill.principal),
        "carrier": parties.key(bill.carrier),
        "direct": parties.key(bill.direct_org),
        "notice": notice or "",
        "header": {k: v for k, v in bill.header.items() if k in HEADER_KEPT and v not in (None, "")},
        "parts": {line.code: line.parts for line in lines if line.parts},
        "checks": [
            {"notice": c["bill_no"] or "", "outcome": c["outcome"], "counts": c["counts"]} for c in checks
        ],
        "packages": packages or [],
    }
    return {**{k: v for k, v in full.items() if v not in (None, "", [], {})}, "codes": codes}
