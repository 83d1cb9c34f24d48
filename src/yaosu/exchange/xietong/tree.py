"""Packages with everything inside them, as other systems are told (R-A5, R-B1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yaosu.db.engine import Connection
from yaosu.exchange.outbox.model import RoutedLine
from yaosu.exchange.xietong import store_client as store

LOGISTICS = 90


async def tree(conn: Connection, lines: Sequence[RoutedLine]) -> list[dict[str, Any]]:
    """The packages with everything inside. A logistics container has no product: what is in it stands alone."""
    rows = await conn.fetch(store.TREE, [v.drug_id for v in lines], [v.code for v in lines])
    made: dict[tuple[int, str], dict[str, Any]] = {}
    top: list[dict[str, Any]] = []
    for row in rows:
        one: dict[str, Any] = {"code": row["code"], "level": row["level"]}
        if row["batch_no"] is not None:
            one |= {
                "batch_no": row["batch_no"],
                "produced_on": row["produced_on"].isoformat(),
                "expires_on": row["expires_on"].isoformat(),
            }
        made[(row["drug_id"], row["code"])] = one
        around = made.get((row["drug_id"], row["parent"])) if row["parent"] is not None else None
        if one["level"] == LOGISTICS:
            continue
        if around is None or around["level"] == LOGISTICS:
            top.append(one)
        else:
            around.setdefault("children", []).append(one)
    return top
