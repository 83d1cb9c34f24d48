"""Books what is in the inbox: in the order of the mailbox; what cannot be booked yet waits and is tried again."""

from __future__ import annotations

from typing import Any

import structlog

from yaosu.circulation.committer import Committer
from yaosu.db.trouble import away
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.xietong import apply_base, apply_bills, apply_made, apply_stops, envelope
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.apply_bills import Booked, Desk
from yaosu.exchange.xietong.envelope import BASE, Content
from yaosu.exchange.xietong.made import ACTIVATION
from yaosu.registry.resolver import Registry
from yaosu.settings import master_secret

log = structlog.get_logger("yaosu.xietong")

ROUND = 200


def desk_of(app: AppState) -> Desk:
    """What booking needs, of the running server."""
    committer: Committer = app.parts["committer"]
    registry: Registry = app.parts["registry"]
    return Desk(app.pool, committer, registry, master_secret(app.settings.data))


async def work(app: AppState, link_id: int) -> int:
    """Book what waits of one connection; how many events came to an end. Only one process at a time."""
    async with app.pool.acquire() as guard:
        if not await guard.fetchval(store.LOCK, link_id):
            return 0
        try:
            return await _round(app, link_id)
        finally:
            await guard.execute(store.UNLOCK, link_id)


async def _round(app: AppState, link_id: int) -> int:
    desk, done = desk_of(app), 0
    async with app.pool.acquire() as conn:
        waiting = await conn.fetch(store.WAITING, link_id, ROUND)
    for row in waiting:
        pause = _pause(desk.registry, row["tries"] + 1)
        booked = await _one(desk, row, last=pause is None)
        async with app.pool.acquire() as conn, conn.transaction():
            if booked.held and pause is not None:
                await conn.execute(store.WAIT, row["id"], booked.said, float(pause))
                continue
            await conn.execute(store.SETTLE, row["id"], booked.state, booked.said, booked.bill_id)
            if booked.state != "refused":
                await conn.execute(store.WAKE, link_id)
        done += 1
    return done


def _pause(registry: Registry, tries: int) -> int | None:
    item = registry.lists.item("xietong_wait", tries)
    return None if item is None else int(str(item.attrs["seconds"]))


async def _one(desk: Desk, row: Any, last: bool) -> Booked:
    try:
        content = Content(envelope.unpack(row["data"]))
        item = desk.registry.lists.item("xietong_sub_type", row["sub_type"])
        if item is None:
            raise envelope.wrong("sub_type", "未知的子类型", "unknown")
        if item.attrs["meaning"] == "restored":
            async with desk.pool.acquire() as conn:
                await conn.execute(store.DOUBT, row["connection"])
            return Booked("done", None, {"restored": True})
        if row["event_type"] == BASE:
            async with desk.pool.acquire() as conn, conn.transaction():
                meaning = str(item.attrs["meaning"])
                said = await apply_base.apply(conn, desk.registry, row["origin"], meaning, content)
            async with desk.pool.acquire() as conn:
                await desk.registry.refresh(conn)
            return Booked("done", None, said)
        meaning = str(item.attrs["meaning"])
        if meaning == "recall":
            return await apply_stops.apply(desk, row["origin"], content, last)
        if meaning == "produce" and content.whole("type", 0) == ACTIVATION:
            return await apply_made.apply(desk, row["origin"], content, last)
        return await apply_bills.apply(desk, row["origin"], content, row["data"], last)
    except YaosuError as error:
        # malformed content stays malformed; what is only missing here may still come
        final = error.code in ("xietong_content", "xietong_data", "xietong_field")
        return Booked("refused", None, {"error": error.as_json("zh")}, held=not (last or final))
    except Exception as error:
        if away(error):
            # says nothing of the event, which waits as it is
            raise
        # a defect of ours must not stop the events behind it; it is tried again like any other
        log.exception("xietong_event_broke", inbox=row["id"])
        return Booked("refused", None, {"error": {"code": type(error).__name__}}, held=not last)
