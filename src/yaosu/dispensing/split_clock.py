"""What time does to opened boxes: those past their day are told, orders left behind by a stopped server are settled."""

from __future__ import annotations

from datetime import datetime, timedelta

from yaosu.circulation.cache import CHINA
from yaosu.db.engine import Connection
from yaosu.dispensing import split_orders as orders
from yaosu.dispensing import split_store as store
from yaosu.notify import service as notify

STALE_AFTER = timedelta(minutes=5)
"""An order planned so long ago is not being recorded any more: a bill takes seconds."""


async def tick(conn: Connection) -> None:
    """Settle stale orders; tell each organisation once a day how many opened boxes are past their day."""
    for row in await conn.fetch(store.STALE, STALE_AFTER):
        bill_id = await conn.fetchval(store.BILL_OF, row["org"], row["number"])
        if bill_id is not None:
            await orders.finish(conn, row["id"], bill_id, row["pool_id"])
        else:
            await orders.take_back(conn, row["id"], row["pool_id"])
    today = datetime.now(CHINA).date()
    for row in await conn.fetch(store.EXPIRED_BY_ORG):
        await notify.tell(
            conn,
            row["org"],
            "notice_split_expired",
            {"boxes": row["boxes"]},
            "/split/boxes?state=expired",
            f"split-expired:{today}",
        )
