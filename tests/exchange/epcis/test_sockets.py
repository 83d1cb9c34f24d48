"""Queries followed over a WebSocket: what is asked and refused, what is told, and how it ends (EPCIS 2.0 §12.8)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import pytest_asyncio
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from access.helpers import key_headers
from exchange.epcis.helpers import World, ago, document, event
from exchange.running import free_port
from yaosu.access.cache import identities
from yaosu.edge import websocket
from yaosu.exchange.epcis import sockets

WITHIN_S = 60
"""Longest wait for anything; what comes, comes in a moment."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are looked for often."""
    monkeypatch.setattr(sockets, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(sockets, "CHECK_EVERY_S", 0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(world: World) -> AsyncIterator[int]:
    """The application of the tests behind a real server, with the settings of `yaosu serve`."""
    app = world.client._transport.app  # type: ignore[attr-defined]
    number = free_port()
    config = uvicorn.Config(
        app, port=number, lifespan="off", log_config=None, access_log=False, **websocket.options()
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    yield number
    server.should_exit = True
    await asyncio.wait_for(serving, WITHIN_S)


@asynccontextmanager
async def following(
    port: int, path: str, headers: dict[str, str], **options: Any
) -> AsyncIterator[ClientConnection]:
    """A connection to `/epcis/queries/…`."""
    address = f"ws://127.0.0.1:{port}/epcis/queries/{path}"
    async with connect(address, additional_headers=headers, proxy=None, **options) as ws:
        yield ws


async def refused(port: int, path: str, headers: dict[str, str]) -> Response:
    """What somebody is told who cannot follow."""
    with pytest.raises(InvalidStatus) as told:
        async with following(port, path, headers):
            pass
    return told.value.response


async def told(ws: ClientConnection) -> list[dict[str, Any]]:
    """Events of the next message."""
    message = await asyncio.wait_for(ws.recv(), WITHIN_S)
    document = orjson.loads(message)
    assert document["type"] == "EPCISQueryDocument"
    results = document["epcisBody"]["queryResults"]
    assert uuid.UUID(results["subscriptionID"])
    found: list[dict[str, Any]] = results["resultsBody"]["eventList"]
    return found


def labels(events: list[dict[str, Any]]) -> list[str]:
    """Ends of the identifiers of things."""
    return [e["epcList"][0].rpartition("/")[2].removeprefix("0614141") for e in events]


async def query(world: World, name: str, step: str = "storing", org: int | None = None) -> dict[str, str]:
    """A query of somebody's; the headers of a fresh key."""
    async with world.pool.acquire() as conn:
        headers = await key_headers(conn, org or world.maker)
    made = await world.client.post(
        "/epcis/queries", json={"name": name, "query": {"EQ_bizStep": [step]}}, headers=headers
    )
    assert made.status_code == 201, made.text
    return headers


async def store(world: World, *names: str, step: str = "storing", **more: Any) -> None:
    """Things are stored."""
    things = [
        event(action="OBSERVE", bizStep=step, epcList=[f"urn:epc:id:giai:0614141.{n}"], **more) for n in names
    ]
    await world.done(document(*things, acme="https://acme.example/ns/"))


async def test_a_stream_tells_what_is_captured_and_nothing_twice(world: World, port: int) -> None:
    headers = await query(world, "s1")
    await store(world, "BEFORE")
    async with following(port, "s1/events?stream=true", headers) as ws:
        assert ws.response is not None
        assert ws.response.headers["GS1-EPCIS-Version"] == "2.0.0"
        assert ws.response.headers["GS1-Query-Min-Record-Time"]
        assert ws.response.headers["X-Content-Type-Options"] == "nosniff"
        await store(world, "A1", "A2")
        await store(world, "OTHER", step="picking")
        assert sorted(labels(await told(ws))) == ["A1", "A2"]
        await store(world, "A3")
        assert labels(await told(ws)) == ["A3"]


async def test_events_of_the_native_api_are_told_too(world: World, port: int) -> None:
    headers = await query(world, "bills", "commissioning")
    async with following(port, "bills/events?stream=true", headers) as ws:
        _, boxes = await world.goods()
        found: list[str] = []
        while len(found) < 3:
            for one in await told(ws):
                found += one["epcList"]
        assert set(boxes) <= set(found)


async def test_each_sees_what_they_may_see(world: World, port: int) -> None:
    mine, theirs = await query(world, "sight"), await query(world, "sight", org=world.stranger)
    path = "sight/events?stream=true"
    async with following(port, path, mine) as first, following(port, path, theirs) as second:
        await store(world, "SECRET")
        assert labels(await told(first)) == ["SECRET"]
        own = event(action="OBSERVE", bizStep="storing", epcList=["urn:epc:id:giai:0614141.OWN"])
        await world.done(document(own), world.stranger)
        assert labels(await told(second)) == ["OWN"]


async def test_whoever_comes_back_goes_on_where_they_were(world: World, port: int) -> None:
    headers = await query(world, "resume", "inspecting")
    async with following(port, "resume/events?stream=true", headers) as ws:
        await store(world, "R1", step="inspecting")
        last = (await told(ws))[0]
        # the line breaks: no goodbye
        ws.transport.abort()
    await store(world, "R2", step="inspecting")
    since = last["recordTime"].replace("+", "%2B")
    async with following(port, f"resume/events?stream=true&initialRecordTime={since}", headers) as ws:
        found: list[dict[str, Any]] = []
        while len(found) < 2:
            found += await told(ws)
    # the last one again, by which the caller sees that nothing is missing, and then the new
    assert labels(found) == ["R1", "R2"] and found[0]["eventID"] == last["eventID"]


async def test_a_schedule_tells_when_it_is_due_even_nothing(world: World, port: int) -> None:
    headers = await query(world, "plan", "packing")
    every_second = "plan/events?second=*&reportIfEmpty=true"
    async with following(port, every_second, headers) as ws:
        assert await told(ws) == []
        await store(world, "P1", step="packing")
        while not (found := await told(ws)):
            pass
        assert labels(found) == ["P1"]


async def test_a_backlog_comes_in_messages_of_the_size_asked_for(world: World, port: int) -> None:
    headers = await query(world, "back", "loading")
    names = [f"L{n}" for n in range(7)]
    await store(world, *names, step="loading")
    path = f"back/events?stream=true&perPage=3&initialRecordTime={ago(60).replace('+', '%2B')}"
    async with following(port, path, headers) as ws:
        sizes = [len(await told(ws)) for _ in range(3)]
    assert sizes == [3, 3, 1]


async def test_many_large_events_are_several_messages(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MESSAGE_BYTES", 3_000)
    headers = await query(world, "large", "unloading")
    async with following(port, "large/events?stream=true", headers) as ws:
        await store(world, "G1", "G2", "G3", step="unloading", **{"acme:text": "x" * 2_000})
        assert [labels(await told(ws)) for _ in range(3)] == [["G1"], ["G2"], ["G3"]]


async def test_identifiers_and_form_follow_the_headers(world: World, port: int) -> None:
    headers = await query(world, "forms", "arriving")
    urns = {**headers, "GS1-EPC-Format": "Always_EPC_URN"}
    xml = {**headers, "Accept": "application/xml"}
    path = "forms/events?stream=true"
    async with following(port, path, urns) as first, following(port, path, xml) as second:
        await store(world, "F1", step="arriving")
        assert (await told(first))[0]["epcList"] == ["urn:epc:id:giai:0614141.F1"]
        text = await asyncio.wait_for(second.recv(), WITHIN_S)
        assert "<epcisq:EPCISQueryDocument" in str(text) and "<queryName>forms</queryName>" in str(text)


REFUSALS: list[tuple[str, int, str]] = [
    ("ask/events", 400, "SubscriptionControlsException"),
    ("ask/events?stream=false", 400, "SubscriptionControlsException"),
    ("ask/events?stream=true&minute=5", 400, "SubscriptionControlsException"),
    ("ask/events?stream=yes", 400, "QueryParameterException"),
    ("ask/events?stream=true&stream=true", 400, "SubscriptionControlsException"),
    ("ask/events?minute=60", 400, "SubscriptionControlsException"),
    ("ask/events?dayOfMonth=31&month=2", 400, "SubscriptionControlsException"),
    ("ask/events?stream=true&initialRecordTime=yesterday", 400, "QueryParameterException"),
    ("ask/events?stream=true&EQ_bizStep=shipping", 400, "QueryParameterException"),
    ("ask/events?stream=true&perPage=0", 400, "QueryParameterException"),
    ("ask/events?stream=true&reportIfEmpty=maybe", 400, "QueryParameterException"),
    ("nobody/events?stream=true", 404, "NoSuchNameException"),
    ("ask?stream=true", 404, "NoSuchResourceException"),
]


async def test_what_cannot_be_followed_is_refused_in_the_standards_form(world: World, port: int) -> None:
    headers = await query(world, "ask")
    for path, status, kind in REFUSALS:
        answer = await refused(port, path, headers)
        body = orjson.loads(answer.body or b"")
        assert (answer.status_code, body["type"]) == (status, f"epcisException:{kind}"), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    old = await refused(port, "ask/events?stream=true", {**headers, "GS1-EPCIS-Max": "1.2"})
    assert old.status_code == 406


async def test_a_key_opens_it_and_nothing_else_does(world: World, port: int) -> None:
    headers = await query(world, "doors")
    path = "doors/events?stream=true"
    no_key: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer yk_wrong_key"},
        {"Cookie": "yaosu_session=abc", "Origin": "https://evil.example"},
    ]
    for sent in no_key:
        answer = await refused(port, path, sent)
        assert answer.status_code == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
        assert orjson.loads(answer.body or b"")["type"] == "epcisException:SecurityException"
    async with world.pool.acquire() as conn:
        without = await key_headers(conn, world.maker, ["product.read"])
    assert (await refused(port, path, without)).status_code == 403
    # one's queries are one's own
    theirs = world.keys[world.stranger]
    assert (await refused(port, path, theirs)).status_code == 404
    async with following(port, path, {"X-API-Key": headers["authorization"].removeprefix("Bearer ")}) as ws:
        await ws.ping()


async def test_a_key_has_so_many_places_and_gets_them_back(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PER_KEY", 2)
    headers = await query(world, "places")
    path = "places/events?stream=true"
    async with following(port, path, headers), following(port, path, headers):
        answer = await refused(port, path, headers)
        assert answer.status_code == 429
        async with following(port, path, await query(world, "places2")):
            pass
    hub = world.client._transport.app.state.yaosu.parts["epcis_sockets"]  # type: ignore[attr-defined]
    async with asyncio.timeout(WITHIN_S):
        while hub._of_key:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    async with following(port, path, headers):
        pass


async def closed(ws: ClientConnection) -> tuple[int, str]:
    """Code and reason of the server's goodbye."""
    with pytest.raises(ConnectionClosed) as end:
        async with asyncio.timeout(WITHIN_S):
            while True:
                await ws.recv()
    assert end.value.rcvd is not None
    return end.value.rcvd.code, end.value.rcvd.reason


async def test_a_removed_query_ends_what_follows_it(world: World, port: int) -> None:
    headers = await query(world, "gone")
    stream_path, plan_path = "gone/events?stream=true", "gone/events?hour=3"
    async with following(port, stream_path, headers) as stream, following(port, plan_path, headers) as plan:
        assert (await world.client.delete("/epcis/queries/gone", headers=headers)).status_code == 204
        # another query of the same name is another query
        await world.client.post("/epcis/queries", json={"name": "gone", "query": {}}, headers=headers)
        assert await closed(stream) == (1000, "epcis_no_such_name: the query was removed")
        assert (await closed(plan))[0] == 1000


async def test_a_withdrawn_key_ends_its_connections(world: World, port: int) -> None:
    headers = await query(world, "key")
    async with following(port, "key/events?stream=true", headers) as ws:
        async with world.pool.acquire() as conn:
            await conn.execute(
                "UPDATE api_key SET revoked_at = now() WHERE id = (SELECT max(id) FROM api_key)"
            )
        # another server's word is remembered for seconds; here they are over
        identities.clear()
        code, reason = await closed(ws)
        assert code == 1008 and reason.startswith("key_revoked")


async def test_whoever_speaks_is_told_that_nobody_listens(world: World, port: int) -> None:
    headers = await query(world, "talk")
    for said in ("hello", b"\x00\x01"):
        async with following(port, "talk/events?stream=true", headers) as ws:
            await ws.send(said)
            assert (await closed(ws))[0] == 1003
    async with following(port, "talk/events?stream=true", headers) as ws:
        await ws.send("x" * 10_000)
        assert (await closed(ws))[0] == 1009


async def test_a_reader_that_is_too_slow_is_let_go(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "SEND_WITHIN_S", 0.2)
    stuck = asyncio.Event()

    async def never(_text: str) -> None:
        stuck.set()
        await asyncio.sleep(3_600)

    monkeypatch.setattr(
        "yaosu.exchange.epcis.routes_socket.WebSocket.send_text", lambda _ws, text: never(text)
    )
    headers = await query(world, "slow", "departing")
    async with following(port, "slow/events?stream=true", headers) as ws:
        await store(world, "SLOW", step="departing")
        assert (await closed(ws))[0] == 1013
    assert stuck.is_set()
    assert (await world.client.get("/epcis", headers=headers)).status_code == 200


async def test_a_database_that_was_away_is_asked_again(
    world: World, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await query(world, "away", "repairing")
    calls = 0
    real = sockets.Teller._page

    async def page(self: sockets.Teller, *given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (1, 3, 4):
            raise OSError
        return await real(self, *given)

    await store(world, "W1", "W2", "W3", step="repairing")
    monkeypatch.setattr(sockets.Teller, "_page", page)
    path = f"away/events?stream=true&perPage=1&initialRecordTime={ago(60).replace('+', '%2B')}"
    async with following(port, path, headers) as ws:
        assert [labels(await told(ws)) for _ in range(3)] == [["W1"], ["W2"], ["W3"]]
        # it goes on where it was: nothing is told again
        await store(world, "W4", step="repairing")
        assert labels(await told(ws)) == ["W4"]
    assert calls > 6


async def test_an_upgrade_that_is_none_does_no_harm(world: World, port: int) -> None:
    key = world.keys[world.maker]["authorization"]
    upgrade = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    right = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    tries = [
        f"GET /epcis/queries/x/events HTTP/1.1\r\n{upgrade}\r\n",
        f"GET /epcis/queries/x/events HTTP/1.1\r\n{upgrade}{right.replace('13', '7')}\r\n",
        f"POST /epcis/capture HTTP/1.1\r\n{upgrade}{right}Authorization: {key}\r\nContent-Length: 2\r\n\r\n{{}}",
        f"GET /{'x' * 20_000} HTTP/1.1\r\n{upgrade}{right}\r\n",
        f"GET / HTTP/1.1\r\n{upgrade}{right}Content-Length: 5\r\n\r\nhello",
        f"GET /%00 HTTP/1.1\r\n{upgrade}{right}Authorization: {key}\r\n\r\n",
        f"GET /epcis/queries/%FF/events HTTP/1.1\r\n{upgrade}{right}Authorization: {key}\r\n\r\n",
        f"GET /api/v1/me HTTP/1.1\r\n{upgrade}{right}Authorization: {key}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{upgrade}{right}\r\n",
    ]
    for sent in tries:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent.encode())
        answer = await asyncio.wait_for(reader.read(), WITHIN_S)
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500, (sent[:60], answer[:200])
        assert b"Traceback" not in answer
        writer.close()
