"""The platform pushes what is in the mailboxes: in order, one after the other, to systems that gave an address."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from yaosu.edge.state import AppState
from yaosu.exchange.xietong import envelope, hub, keys, wire
from yaosu.exchange.xietong import store_hub as store
from yaosu.people.keeper import Keeper

LEASE_S = 120
BATCH = 50
PAUSES_S = (2, 10, 60, 300, 1800)


async def once(app: AppState) -> int:
    """One round; how many events were taken. What a system pulled already is not pushed again."""
    async with app.pool.acquire() as conn:
        due = await conn.fetch(store.CLAIM_PUSH, LEASE_S)
    keeper: Keeper = app.parts["keeper"]
    taken = 0
    for row in due:
        system, key = hub.system_of(row), keys.unseal(keeper, row["app_id"], row["key"])
        async with app.pool.acquire() as conn:
            mail = await hub.mailbox(conn, system.id, system.taken, BATCH)
        done, failure = system.taken, ""
        for one in mail:
            params = one.params(system.app_id, datetime.now(UTC), str(uuid.uuid4()))
            said = await wire.call(
                system.receive_url, envelope.sign(params, key), key, app.settings.webhook_hosts
            )
            if not (said.genuine and said.success):
                failure = said.text or "—"
                break
            done = one.n
            taken += 1
        async with app.pool.acquire() as conn:
            if done > system.pushed or not failure:
                await conn.execute(store.PUSHED, system.id, done, failure[:500])
            if failure:
                pause = PAUSES_S[min(system.push_fails, len(PAUSES_S) - 1)]
                await conn.execute(store.PUSH_FAILED, system.id, failure[:500], float(pause))
    return taken
