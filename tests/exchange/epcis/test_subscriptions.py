"""What subscribers of named queries are told, and from when on (EPCIS 2.0 §8.2.5)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from exchange.epcis.helpers import World, ago, document, event
from yaosu.exchange.epcis import subscriptions


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Labels of the objects in each notification."""
    found: list[list[str]] = []

    async def post(_app: object, _row: object, body: bytes) -> int:
        results = orjson.loads(body)["epcisBody"]["queryResults"]["resultsBody"]
        found.append([e["epcList"][0].rpartition("/")[2] for e in results["eventList"]])
        return 200

    monkeypatch.setattr(subscriptions, "_post", post)
    return found


async def store(world: World, *labels: str) -> None:
    """Things are stored."""
    await world.done(
        document(
            *(
                event(action="OBSERVE", bizStep="storing", epcList=[f"urn:epc:id:giai:0614141.{n}"])
                for n in labels
            )
        )
    )


async def subscribe(world: World, name: str, **more: Any) -> dict[str, Any]:
    """Somebody subscribes to what is stored."""
    key = world.keys[world.maker]
    await world.client.post(
        "/epcis/queries", json={"name": name, "query": {"EQ_bizStep": ["storing"]}}, headers=key
    )
    body = {"dest": "https://example.com/told", "stream": True, **more}
    got = await world.client.post(f"/epcis/queries/{name}/subscriptions", json=body, headers=key)
    assert got.status_code == 201, got.text
    made: dict[str, Any] = got.json()
    return made


async def look(world: World) -> None:
    """Time goes by: every subscription is due."""
    app = world.client._transport.app.state.yaosu  # type: ignore[attr-defined]
    async with world.pool.acquire() as conn:
        await conn.execute("UPDATE epcis_subscription SET next_at = now() - interval '1 second'")
    for _ in range(10):
        async with world.pool.acquire() as conn:
            due = await conn.fetchval("SELECT count(*) FROM epcis_subscription WHERE next_at <= now()")
        if not due:
            return
        await subscriptions.send_one(app)


async def test_what_was_recorded_before_is_never_told_and_the_rest_once(
    world: World, told: list[list[str]]
) -> None:
    await store(world, "S10", "S11")
    made = await subscribe(world, "fresh")
    assert made["initialRecordTime"] == made["minRecordTime"]
    await store(world, "S12")
    await look(world)
    await store(world, "S13")
    await look(world)
    await look(world)
    assert [t for t in told if t] == [["0614141S12"], ["0614141S13"]]
    await world.client.delete("/epcis/queries/fresh", headers=world.keys[world.maker])


async def test_an_initial_record_time_reaches_back_just_so_far(world: World, told: list[list[str]]) -> None:
    await store(world, "S20")
    await subscribe(world, "back", initialRecordTime=ago(60))
    await look(world)
    await look(world)
    assert "0614141S20" in told[0]
    assert [t for t in told[1:] if t] == []
    await world.client.delete("/epcis/queries/back", headers=world.keys[world.maker])


async def test_a_subscriber_who_wants_less_at_once_gets_less(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    got: list[str] = []

    async def post(_app: object, _row: object, body: bytes) -> int:
        events = orjson.loads(body)["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        sizes.append(len(events))
        if len(events) > 2:
            return 413
        got.extend(e["epcList"][0].rpartition("/")[2] for e in events)
        return 204

    monkeypatch.setattr(subscriptions, "_post", post)
    await subscribe(world, "small")
    names = [f"T{n}" for n in range(9)]
    await store(world, *names)
    await look(world)
    # nine are too many, and four; then two at a time
    assert sizes == [9, 4, 2, 2, 2, 2, 1]
    assert sorted(got) == [f"0614141{n}" for n in names]
    await world.client.delete("/epcis/queries/small", headers=world.keys[world.maker])
