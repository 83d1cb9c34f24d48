"""Systems that write to each other at the same moment, and an operator among them: nobody waits in a circle (R-X2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
import pytest_asyncio

from exchange.running import until
from exchange.xietong.helpers import Member, Platform, platform
from yaosu.exchange.xietong import hub as service
from yaosu.exchange.xietong.hub import SystemDraft
from yaosu.subject import SYSTEM

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIRMS = ("91370102000090101A", "91370102000090102B")
PREFIXES = ("8700101", "8700102")

WAIT_TO_WRITE = """
SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'xietong_event'::regclass"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(database, tmp_path_factory.mktemp("platform")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(hub: Platform) -> tuple[Member, Member]:
    """Two systems, each the home of a firm."""
    one, other = await hub.register("系统甲"), await hub.register("系统乙")
    await one.file(FIRMS[0], PREFIXES[0])
    await other.file(FIRMS[1], PREFIXES[1])
    return one, other


async def met(hub: Platform, *works: Awaitable[Any]) -> list[Any]:
    """Begin all, hold each at the point where it writes its event down, and let them go on together."""
    async with hub.app.pool.acquire() as conn:
        held = conn.transaction()
        await held.start()
        await conn.execute("LOCK TABLE xietong_event IN SHARE MODE")
        begun = [asyncio.ensure_future(work) for work in works]

        async def all_there() -> bool:
            return bool(await conn.fetchval(WAIT_TO_WRITE) == len(works))

        await until(all_there)
        await held.commit()
    return await asyncio.gather(*begun)


def _ship(sender: int) -> dict[str, object]:
    return {
        "owner": FIRMS[sender],
        "bill_no": f"CK-{sender}",
        "type": 201,
        "happened_at": "2026-05-01T10:00:00+08:00",
        "to": FIRMS[1 - sender],
        "codes": [f"{PREFIXES[sender]}0008797666601"],
    }


async def test_two_systems_write_to_each_other_at_once(hub: Platform, both: tuple[Member, Member]) -> None:
    before = [len(await m.mail(0, 200)) for m in both]
    said = await met(hub, *(m.tell("2002", _ship(n)) for n, m in enumerate(both)))
    assert [(s["success"], s["distributed"]) for s in said] == [(True, 1), (True, 1)], said
    after = [len(await m.mail(0, 200)) for m in both]
    assert [a - b for a, b in zip(after, before, strict=True)] == [1, 1]


async def test_the_operator_changes_a_system_while_another_writes_to_it(
    hub: Platform, both: tuple[Member, Member]
) -> None:
    one, other = both

    async def change() -> None:
        async with hub.app.pool.acquire() as conn, conn.transaction():
            draft = SystemDraft(other.system.name, query_url="https://query.example/{code}")
            await service.change(conn, SYSTEM, other.system.id, draft)

    said, _ = await met(hub, one.tell("2002", {**_ship(0), "bill_no": "CK-9"}), change())
    assert said["success"], said
