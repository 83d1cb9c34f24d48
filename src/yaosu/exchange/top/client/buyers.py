"""Who a sale was to, as `uploadretail` has fields for it: read when it is sent, and kept nowhere (R-C2, design §6).

Sent only by connections whose firm says so (`buyers: yes`): the fields are optional there, and what is not asked for
is not handed on. A delivery holds the bill's number alone; each opening of a person is on record (`person.sent`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yaosu.db.engine import Connection
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.top.client import store
from yaosu.people.keeper import Keeper
from yaosu.people.service import for_delivery
from yaosu.registry.lists import CodeLists

NAME_MAX, PHONE_MAX = 20, 11
"""Characters of names and telephones there (published with the fields)."""
OTHER = "9"
"""其它: what the interface calls a document that it has no number for."""


async def buyer(
    conn: Connection, keeper: Keeper, lists: CodeLists, link: Link, bill_id: int
) -> Mapping[str, str]:
    """The fields about buyer, doctor and dispenser of a sale; what nobody told is left out."""
    row = await conn.fetchrow(store.BUYER, bill_id)
    if row is None:
        return {}
    header: Mapping[str, Any] = row["header"] or {}
    found = {
        "medic_doctor": str(header.get("doctor") or "")[:NAME_MAX],
        "medic_dispenser": str(header.get("dispenser") or "")[:NAME_MAX],
        "network_bill_flag": "1" if str(header.get("online") or "") in ("1", "true", "True") else "",
    }
    if row["person"] is not None:
        details = {"connection": link.id, "bill": bill_id}
        person = await for_delivery(conn, keeper, row["org"], row["person"], "top", details)
        if person is not None:
            item = lists.item("id_kind_person", person.kind)
            found |= {
                "customer_id_type": str(item.attrs.get("interface") or OTHER) if item is not None else OTHER,
                "customer_id": person.number,
                "user_name": person.name[:NAME_MAX],
                "user_tel": person.phone if len(person.phone) <= PHONE_MAX else "",
            }
    return {name: value for name, value in found.items() if value}
