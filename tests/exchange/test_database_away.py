"""The database ends under a running server, as in a power cut, and comes back: callers are told in their own protocol's
form meanwhile, nothing stands twice, and everything that works by itself takes up again (R-X2, R-X9, R-X10)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from websockets.asyncio.client import connect as follow
from websockets.exceptions import InvalidStatus

from access.helpers import key_headers
from circulation.helpers import Market, activate, make_market
from exchange.epcis.helpers import document, event
from exchange.files.world import HEADS
from exchange.own_database import TEMPLATE, OwnDatabase, own_database
from exchange.running import Running, running, until
from exchange.top.client import TopClient
from notify.helpers import receiving
from yaosu.db.engine import Connection, connect
from yaosu.exchange.files import store as files
from yaosu.exchange.jianguan import form, wire
from yaosu.exchange.outbox import connections
from yaosu.exchange.top import keys
from yaosu.exchange.top.keys import Sealing
from yaosu.exchange.xietong import envelope
from yaosu.people.keeper import Keeper
from yaosu.settings import master_secret
from yaosu.subject import ADMIN, Subject

WAITING = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"""
HEARTBEATS_OLD = """
UPDATE procrastinate_workers SET last_heartbeat = now() - interval '2 min' WHERE id IN
    (SELECT id FROM procrastinate_workers WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED)"""
POOL = 12
"""Connections that a server keeps at most."""
INSURANCE = "/fsi/api/rsfComIfsService/callService/3505"


def sale(number: str, codes: Sequence[str]) -> dict[str, Any]:
    """A pharmacy's sale."""
    at = datetime.now(UTC).replace(microsecond=0).isoformat()
    return {"type": 321, "bill_no": number, "happened_at": at, "codes": list(codes)}


async def bills(conn: Connection, number: str) -> int:
    """How many accepted bills there are of a number."""
    found: int = await conn.fetchval("SELECT count(*) FROM bill WHERE bill_no = $1 AND revision > 0", number)
    return found


def _table() -> bytes:
    """A file with a bill that no rule passes: it is read, and answered."""
    return (",".join(HEADS) + "\nF1,销售出库,2026-06-01 10:00:00,无此企业,83857930000000010001\n").encode()


async def every_door_says_so(
    http: httpx.AsyncClient, node: Running, me: dict[str, str], top: TopClient
) -> None:
    """Each in its own form, none with a failure nobody can act on."""
    plain = await http.get("/api/v1/health")
    for answer in (
        plain,
        await http.get("/api/v1/codes/83857930000000010001", headers=me),
        await http.get("/api/v1/public/codes/83857930000000010001"),
        await http.post("/api/v1/files", params={"name": "a.csv"}, content=_table(), headers=me),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_away"), answer.text
        assert answer.headers["retry-after"] == "5"
    english = await http.get("/api/v1/health", headers={"accept-language": "en"})
    assert "does not answer" in english.json()["message"] and "booked twice" in english.json()["next"]
    page = await http.get("/q/83857930000000010001", headers={"accept": "text/html"})
    assert page.status_code == 503 and "数据库暂时没有响应" in page.text
    epcis = await http.get("/epcis/events", headers=me)
    assert (epcis.status_code, epcis.json()["status"]) == (503, 503) and "retry-after" in epcis.headers
    call = await top.call("alibaba.alihealth.drugtrace.top.lsyd.query.getentinfo", {"ent_name": "x"})
    assert call["error_response"]["sub_code"] == "isp.service-unavailable"
    head = {"infno": "3505", "msgid": "H1", "fixmedins_code": "H37", "input": {}}
    bureau = await http.post(INSURANCE, content=orjson.dumps(head))
    assert bureau.status_code == 200 and "database_away" in bureau.json()["err_msg"]
    asked = {"app_id": "a", "timestamp": "2026-01-01 10:00:00"}
    hub = await http.post("/xietong/mailbox", json=asked)
    assert (hub.status_code, hub.json()["msg_code"]) == (200, "xietong_busy")
    params = {
        "app_id": "a", "event_id": str(uuid.uuid4()), "event_type": "20", "sub_type": "2002",
        "data": envelope.encode(envelope.pack({})), "timestamp": envelope.stamp(datetime.now(UTC)),
    }  # fmt: skip
    sent = await http.post("/xietong/exchange", json=envelope.sign(params, "k" * 32))
    assert (sent.status_code, sent.json()["msg_code"]) == (200, "xietong_busy")
    fed = await http.post("/jianguan/v1/events", json=form.sign(wire.head("s"), {"events": []}, "k" * 32))
    assert (fed.status_code, fed.json()["body"]["code"]) == (503, "jianguan_busy")
    with pytest.raises(InvalidStatus) as refused:
        async with follow(
            f"ws://127.0.0.1:{node.port}/epcis/queries/q/events?stream=true",
            additional_headers=me,
            proxy=None,
        ):
            pass
    assert refused.value.response.status_code == 503


async def _world(conn: Connection, node: Running, url: str) -> tuple[Market, int]:
    """What works by itself: a connection to send to, a feed to number, a folder to look at. The feed's number."""
    market = await make_market(conn)
    keeper = Keeper(master_secret(node.data))
    subject = market.subject(market.pharmacy)
    await connections.add(conn, subject, keeper, "erp", "ERP", url, {}, {"secret": "k" * 20})
    operator = Subject("account", None, market.maker, scopes=frozenset({ADMIN}))
    feed = await connections.add(
        conn, operator, keeper, "jianguan", "省药监局", "", {"source_id": "s"}, {"key": "k" * 32},
        profile="national", everyone=True,
    )  # fmt: skip
    (node.data / "folders" / str(market.pharmacy)).mkdir(parents=True)
    await conn.execute(files.SET_FOLDER, market.pharmacy, "", True, None)
    return market, feed


def test_callers_are_told_nothing_stands_twice_and_all_work_takes_up_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("node")
    roles = {"YAOSU_ROLE": "trace coordination regulator"}
    with own_database() as database, running(database.address, TEMPLATE, folder, roles) as node:
        try:
            asyncio.run(_story(database, node))
        finally:
            if database.gone:
                database.back()


async def _story(database: OwnDatabase, node: Running) -> None:
    conn = await connect(node.database)
    async with receiving() as receiver, httpx.AsyncClient(base_url=node.url, timeout=300) as http:
        market, feed = await _world(conn, node, receiver.url)
        goods = await activate(market, cases=10)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
        me = await key_headers(conn, market.pharmacy)
        async with conn.transaction():
            subject = market.subject(market.pharmacy)
            sealing = Sealing(master_secret(node.data))
            made, secret = await keys.add(conn, market.registry, sealing, subject, "收银", "sales")
        top = TopClient(http, made.app_key, secret)
        await until(lambda: _answers(http, me))
        boxes = iter(goods.boxes)

        sales: dict[str, dict[str, Any]] = {}

        async def sold(number: str, box: str) -> httpx.Response:
            body = sales.setdefault(number, sale(number, [box]))
            return await http.post("/api/v1/movements", json=body, headers=me)

        first, second, inside = next(boxes), next(boxes), goods.boxes[50:60]
        answer = await sold("S1", first)
        assert answer.status_code == 200 and answer.json()["status"] == "accepted"

        # a sale and a large bill are under way when it happens: both wait for somebody's lock
        holder = await connect(node.database)
        await holder.execute("BEGIN")
        await holder.execute("SELECT 1 FROM unit WHERE code = ANY($1) FOR UPDATE", [second, *inside])
        queued = await http.post("/api/v1/movements/jobs", json=sale("J1", inside), headers=me)
        assert queued.status_code == 202
        caught = asyncio.create_task(sold("S2", second))

        async def both_wait() -> bool:
            return bool(await conn.fetchval(WAITING) >= 2)

        await until(both_wait)
        workers = [r["id"] for r in await conn.fetch("SELECT id FROM procrastinate_workers")]
        await asyncio.to_thread(database.cut)
        lost = await caught
        assert (lost.status_code, lost.json()["code"]) == (503, "database_away")
        third = next(boxes)
        assert (await sold("S3", third)).status_code == 503
        await every_door_says_so(http, node, me, top)
        lines = list(_logged(node))
        told = [line for line in lines if line["event"] == "database_away"]
        # one line each, without a dump of the stack, and no other of theirs
        assert told and not [line for line in told if "exception" in line]
        assert not {"unhandled", "top_failed", "jianguan_broke", "xietong_exchange_broke"} & {
            line["event"] for line in lines
        }

        await asyncio.to_thread(database.back)
        conn = await connect(node.database)
        # as many at once as the server keeps connections, and more: none meets a dead one
        again = await asyncio.gather(
            sold("S1", first), sold("S2", second), sold("S3", third),
            *(sold(f"S{n}", next(boxes)) for n in range(4, 4 + 2 * POOL)),
            *(http.get("/api/v1/health") for _ in range(2 * POOL)),
        )  # fmt: skip
        assert {a.status_code for a in again} == {200}, [a.text for a in again if a.status_code != 200]
        assert {a.json()["status"] for a in again} == {"accepted", "ok"}
        for n in range(1, 4 + 2 * POOL):
            assert await bills(conn, f"S{n}") == 1
        # sent once more: answered alike, and nothing more stands
        assert (await sold("S2", second)).json()["bill_id"] == again[1].json()["bill_id"]
        assert await bills(conn, "S2") == 1
        assert (await http.get(f"/api/v1/codes/{first}", headers=me)).status_code == 200

        await _takes_up(conn, http, me, market, feed, node)
        await _done(conn, http, me, queued.json()["url"], workers)
        assert await bills(conn, "J1") == 1
        market.conn = conn
        await market.conserved()
        await conn.close()
        assert len({r.headers["yaosu-event-id"] for r in receiver.got}) >= 3 + 2 * POOL


def _logged(node: Running) -> Iterator[dict[str, Any]]:
    """Lines of the log, but for those that two processes wrote at once."""
    for line in node.log().splitlines():
        with suppress(orjson.JSONDecodeError):
            yield orjson.loads(line)


async def _answers(http: httpx.AsyncClient, me: dict[str, str]) -> bool:
    """Whether the server knows the market: its registry listens."""
    return (await http.get("/api/v1/me", headers=me)).status_code == 200


async def _takes_up(
    conn: Connection,
    http: httpx.AsyncClient,
    me: dict[str, str],
    market: Market,
    feed: int,
    node: Running,
) -> None:
    """Router and sender, feed, listener, folder, captures."""

    async def routed_and_sent() -> bool:
        return not await conn.fetchval(
            "SELECT (SELECT count(*) FROM bill_due) + (SELECT count(*) FROM delivery WHERE settled_at IS NULL)"
        )

    await until(routed_and_sent)

    async def numbered() -> bool:
        return not await conn.fetchval(
            "SELECT count(*) FROM bill b WHERE b.revision > 0 AND b.type = 321 AND NOT EXISTS "
            "(SELECT 1 FROM jianguan_event e WHERE e.feed = $1 AND e.bill_id = b.id)",
            feed,
        )

    await until(numbered)
    listening = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'yaosu-registry-listener'"
    await until(lambda: conn.fetchval(listening))
    # what is put into the watched folder is taken
    place = node.data / "folders" / str(market.pharmacy)
    (place / "a.csv").write_bytes(_table())

    async def taken() -> bool:
        return not (place / "a.csv").exists()

    await until(taken)
    captured = await http.post(
        "/epcis/capture",
        json=document(
            event(action="OBSERVE", bizStep="storing", epcList=["urn:epc:id:sgtin:6901234.000001.1"])
        ),
        headers=me,
    )
    assert captured.status_code == 202, captured.text
    where = captured.headers["location"]

    async def worked_off() -> bool:
        view = (await http.get(where, headers=me)).json()
        return not view["running"]

    await until(worked_off)


async def _done(
    conn: Connection, http: httpx.AsyncClient, me: dict[str, str], job: str, workers: Sequence[int]
) -> None:
    """The worker was in the middle of a bill. Either it begins again, or another one takes up what was left, as soon as
    the first one's heartbeat is old."""

    async def job_done() -> bool:
        await conn.execute(HEARTBEATS_OLD, workers)
        found = (await http.get(job, headers=me)).json()
        return bool(found["state"] == "done")

    await until(job_done)
