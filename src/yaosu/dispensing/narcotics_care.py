"""What acts leave behind beside the ledger: ampoules due and returned, destructions, counts (R-C4).

Called inside the transaction that closes an act, so that a confirmation and what it confirms hold together or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from yaosu.db.engine import Connection
from yaosu.dispensing import narcotics_rules as rules
from yaosu.dispensing import store_narcotics as store
from yaosu.dispensing.narcotics_model import Act
from yaosu.errors import YaosuError
from yaosu.registry.resolver import Registry


async def handed_out(conn: Connection, registry: Registry, act: Act, bill_id: int) -> None:
    """What a dispensing gave to the patient by batch, and what of it must come back; a used-up prescription closes."""
    payload: Mapping[str, Any] = act.payload
    drug_id, prescription = int(payload["drug_id"]), int(payload["prescription"])
    product = registry.product(drug_id)
    returns = product is not None and bool(rules.comes_back(registry.lists, product))
    by_batch: dict[int, int] = {}
    for batch_id, units in payload["given"].values():
        by_batch[batch_id] = by_batch.get(batch_id, 0) + units
    for batch_id, units in sorted(by_batch.items()):
        due = units if returns else 0
        await conn.execute(
            store.NEW_DISPENSING, drug_id, bill_id, batch_id, act.org, act.id, prescription, units, due, act.happened_at
        )  # fmt: skip
    row = await conn.fetchrow(store.LOCK_PRESCRIPTION, prescription, act.id)
    assert row is not None, "prescriptions are never deleted"
    if row["dispensed"] >= row["units"]:
        await conn.execute(store.SET_PRESCRIPTION, prescription, "dispensed")


async def carry_out(conn: Connection, act: Act) -> None:
    """Write what a confirmed act without a bill says: ampoules returned or destroyed, a residue, a count.

    Refused (`ampoules_too_many`) when others brought or destroyed them in the meantime.
    """
    payload: Mapping[str, Any] = act.payload
    if act.kind == "ampoule_return":
        for one in payload["items"]:
            keys = (one["drug_id"], one["bill_id"], one["batch_id"])
            if await conn.fetchval(store.TAKE_AMPOULES, *keys, one["qty"]) is None:
                raise YaosuError("ampoules_too_many", {"qty": one["qty"]})
            await conn.execute(
                store.NEW_AMPOULE, act.id, act.org, one["drug_id"], one["batch_id"], one["bill_id"], one["qty"],
                payload["handed_by"], act.happened_at,
            )  # fmt: skip
    elif act.kind == "ampoule_destroy":
        await conn.execute(store.LOCK_AMPOULES, act.org)
        for one in payload["items"]:
            left = await conn.fetchval(store.AMPOULES_LEFT, act.org, one["drug_id"], one["batch_id"])
            if one["qty"] > left:
                raise YaosuError("ampoules_too_many", {"qty": one["qty"], "left": left})
            await conn.execute(
                store.NEW_AMPOULE, act.id, act.org, one["drug_id"], one["batch_id"], None, -one["qty"], "",
                act.happened_at,
            )  # fmt: skip
    elif act.kind == "residue_destroy":
        await conn.execute(
            store.NEW_RESIDUE, act.id, act.org, payload["drug_id"], payload["batch_id"], payload["bill_id"],
            Decimal(payload["amount"]), payload["unit"], payload["method"], act.happened_at,
        )  # fmt: skip
    elif act.kind == "count":
        for one in payload["items"]:
            await conn.execute(
                store.NEW_COUNT, act.id, act.org, one["drug_id"], one["batch_id"], payload["shift"], one["counted"],
                one["booked"], one["note"], act.happened_at,
            )  # fmt: skip
