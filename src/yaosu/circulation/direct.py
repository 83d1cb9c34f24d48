"""直调: A sells to C, the goods go straight from B to C (bill types 207 and 237).

The ledger books what the goods do. B, who holds them, submits the bill: `owner` B, `to_org` C, `direct_org` A; C
receives from B and returns to B. A never holds the goods, so no account of A moves; A is a party of the bill by
`direct_org`: it sees bill and codes, follows the receiver's check on the page of direct shipments, and is told when
goods leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asyncpg import Record

from yaosu.access.visibility import Sight, visible
from yaosu.circulation import store_acting as store
from yaosu.circulation.model import Flag, Movement
from yaosu.circulation.views import org_view, type_label
from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.notify.service import tell
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import BillType, submittable
from yaosu.subject import Subject

if TYPE_CHECKING:
    from yaosu.circulation.posting import Posting

SELLERS = (1, 2, 7)
"""Organisation types that sell to others: makers, wholesalers, holders (standards §5.8)."""


def direct_types() -> list[int]:
    """Bill types of direct shipments: those that need a directing firm."""
    return [code for code, kind in submittable().items() if "direct" in kind.needs]


def findings(registry: Registry, movement: Movement, kind: BillType) -> list[Finding]:
    """What is wrong with the parties of a direct shipment: three different firms, the directing one a seller."""
    if "direct" not in kind.needs or movement.direct_org is None or movement.void:
        return []
    if movement.direct_org in (movement.owner, movement.to_org):
        return [Finding("direct_same_party", {}, "direct_org")]
    card = registry.org(movement.direct_org)
    if card is not None and card.type not in SELLERS:
        return [Finding("direct_not_trade", {"name": card.name}, "direct_org")]
    return []


async def announce(conn: Connection, postings: Sequence[Posting]) -> None:
    """Tell the directing firms that goods of theirs left; in the write path's transaction. No query without any."""
    for posting in postings:
        movement = posting.prepared.movement
        if "direct" not in posting.prepared.kind.needs or not movement.direct_org:
            continue
        if posting.flags & Flag.REVERSAL or not posting.qty:
            continue
        names = {r["id"]: r["name"] for r in await conn.fetch(store.NAMES, [movement.owner, movement.to_org])}
        params: dict[str, object] = {
            "from": names.get(movement.owner, "—"),
            "to": names.get(movement.to_org, "—"),
            "qty": posting.qty,
            "bill_no": movement.bill_no,
        }
        link, ref = f"/bills/{posting.bill_id}", str(posting.bill_id)
        await tell(conn, movement.direct_org, "notice_direct_shipped", params, link, ref)


async def listed(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    lang: str,
    before: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Direct shipments and returns that the subject's organisation directs, sends or receives, newest first."""
    subject.require("bill.read")
    sight: Sight = visible(subject)
    rows = await store.direct_bills(conn, sight, direct_types(), before, limit)
    return [_view(registry, row, subject.org_id, lang) for row in rows]


def _view(registry: Registry, row: Record, own: int | None, lang: str) -> dict[str, Any]:
    role = "directs" if row["direct_org"] == own else "sends" if row["owner"] == own else "receives"
    return {
        "id": row["id"],
        "bill_no": row["bill_no"],
        "type": row["type"],
        "type_name": type_label(row["type"], lang),
        "role": role,
        "seller": org_view(registry, row["direct_org"]),
        "from_org": org_view(registry, row["owner"]),
        "to_org": org_view(registry, row["to_org"]),
        "qty": row["qty"],
        "happened_at": row["happened_at"],
        "notice_state": row["state"],
        "received": row["received"],
        "outcome": row["outcome"],
    }
