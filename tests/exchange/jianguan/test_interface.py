"""The regulator's side as a stranger meets it: protocol fields, signatures, events, receipts, pages (R-F1)."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from access.helpers import PASSWORD, make_account, make_org
from circulation.helpers import activate, make_market
from exchange.running import until
from yaosu.api.app import create_app
from yaosu.edge.state import AppState
from yaosu.exchange.jianguan import form, held, service
from yaosu.settings import Settings
from yaosu.subject import SYSTEM

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = iter(range(1, 1000))


@dataclass
class World:
    """Both roles on one server."""

    app: AppState
    http: httpx.AsyncClient


@dataclass
class Sender:
    """A source written by somebody else."""

    world: World
    source: held.Source
    key: str

    def head(self, **more: str) -> dict[str, str]:
        values = {
            "sourceID": self.source.source_id,
            "requestID": str(uuid.uuid4()),
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return {**values, **more}

    def event(self, number: int, **more: Any) -> dict[str, Any]:
        event = {
            "eventID": str(uuid.uuid5(form.NAMESPACE, f"{self.source.id} {number}")),
            "sourceID": self.source.source_id,
            "eventType": "bill",
            "billNo": f"CK{number}",
            "billType": 201,
            "revision": 1,
            "happenedAt": "2026-05-01T10:00:00+08:00",
            "owner": {"id": "91370102000000011K"},
            "qty": 2,
            "codes": [{"code": "83857930000879766660", "qty": 2}],
            **more,
        }
        return {"seq": number, "digest": form.digest(event).hex(), "event": event}

    async def post(self, message: Any, what: str = "events") -> tuple[int, dict[str, Any]]:
        answer = await self.world.http.post(f"/jianguan/v1/{what}", json=message)
        said = answer.json()
        if "sign" in said["head"]:
            assert form.genuine(said, self.key)
        return answer.status_code, said["body"]

    async def send(self, *events: dict[str, Any], **more: Any) -> dict[str, Any]:
        body = {"events": list(events), "last": max((e["seq"] for e in events), default=0), **more}
        return (await self.post(form.sign(self.head(), body, self.key)))[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    settings = Settings(
        data=tmp_path_factory.mktemp("data"),
        database_url=database,
        host="127.0.0.1",
        port=0,
        public_url="http://test",
        roles=frozenset({"trace", "regulator", "coordination"}),
    )
    app = create_app(settings, database)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        yield World(app.state.yaosu, http)


@pytest_asyncio.fixture(loop_scope="module")
async def sender(world: World) -> Sender:
    async with world.app.pool.acquire() as conn, conn.transaction():
        source, key = await held.register(
            conn, SYSTEM, world.app.parts["keeper"], f"来源{next(_numbers)}", "37"
        )
    return Sender(world, source, key)


async def test_the_receipt_says_up_to_where_everything_is_held(sender: Sender) -> None:
    assert (await sender.send(sender.event(1), sender.event(2)))["contiguous"] == 2
    out_of_order = await sender.send(sender.event(5), sender.event(4))
    assert (out_of_order["received"], out_of_order["contiguous"]) == (2, 2)
    filled = await sender.send(sender.event(3))
    assert filled["contiguous"] == 5
    again = await sender.send(sender.event(2), sender.event(6))
    assert (again["received"], again["repeated"], again["contiguous"]) == (1, 1, 6)


async def test_a_number_is_not_used_for_two_things(sender: Sender) -> None:
    await sender.send(sender.event(1))
    said = await sender.send(sender.event(1, qty=3))
    assert (said["success"], said["code"]) == (False, "jianguan_differs")
    replaced = await sender.send(sender.event(1, qty=3), resend=True)
    assert (replaced["success"], replaced["replaced"]) == (True, 1)


async def test_a_batch_is_taken_whole_or_not_at_all(sender: Sender) -> None:
    bad = sender.event(2)
    bad["digest"] = "0" * 64
    said = await sender.send(sender.event(1), bad)
    assert said["code"] == "jianguan_digest"
    assert (await sender.send())["contiguous"] == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sourceID", ""),
        ("requestID", "17"),
        ("timestamp", "2026-05-01 10:00:00"),
        ("timestamp", "2026-02-30T10:00:00+08:00"),
        ("version", "x"),
    ],
)
async def test_a_protocol_field_is_named(sender: Sender, field: str, value: str) -> None:
    message = form.sign(sender.head(), {"events": []}, sender.key)
    message["head"][field] = value
    status, said = await sender.post(message)
    assert (status, said["code"], said["field"]) == (422, "jianguan_head", f"head.{field}")


async def test_protocol_fields_come_before_business_fields(sender: Sender) -> None:
    message = form.sign(sender.head(), {"events": "nonsense"}, sender.key)
    message["head"]["sign"] = "0" * 64
    assert (await sender.post(message))[1]["code"] == "jianguan_sign"
    old = sender.head(timestamp=(datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds"))
    assert (await sender.post(form.sign(old, {"events": "nonsense"}, sender.key)))[1][
        "code"
    ] == "jianguan_time"
    nobody = form.sign(sender.head(sourceID="nobody"), {"events": []}, sender.key)
    assert (await sender.post(nobody))[1]["code"] == "jianguan_source"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eventID", "17"),
        ("sourceID", "another"),
        ("eventType", "secret"),
        ("owner", {}),
        ("happenedAt", "yesterday"),
        ("billNo", ""),
        ("qty", -1),
        ("qty", "2"),
        ("codes", [17]),
    ],
)
async def test_a_business_field_is_named_with_its_event(sender: Sender, field: str, value: Any) -> None:
    said = await sender.send(sender.event(1, **{field: value}))
    assert said["code"] == "jianguan_event"
    assert field in said["field"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"head": 1, "body": {}}', b"\xff", b'{"head": {}, "head": {}}', b"[" * 5000]
)
async def test_what_is_no_message_is_refused_in_the_interfaces_own_form(world: World, body: bytes) -> None:
    for what in ("events", "reconcile", "feed"):
        answer = await world.http.post(f"/jianguan/v1/{what}", content=body)
        assert answer.status_code == 422
        assert answer.json()["body"]["code"] == "jianguan_head"


async def test_a_number_beyond_all_forms_is_a_wrong_signature_not_an_error(sender: Sender) -> None:
    message = form.sign(sender.head(), {"events": []}, sender.key)
    text = (await sender.world.http.post(
        "/jianguan/v1/events",
        content=str(message).replace("'", '"').replace('"events": []', '"events": ' + "9" * 39).encode(),
    )).json()  # fmt: skip
    assert text["body"]["code"] == "jianguan_sign"


async def test_reconciling_ranges_are_checked(sender: Sender) -> None:
    for ranges in ([[2, 1]], [[0, 1]], ["x"], [[1, 2]] * 65):
        message = form.sign(sender.head(), {"ranges": ranges}, sender.key)
        assert (await sender.post(message, "reconcile"))[1]["code"] == "jianguan_head"


async def test_a_regulator_that_pulls_gets_the_feed_in_order(world: World) -> None:
    async with world.app.pool.acquire() as conn:
        market = await make_market(conn)
        await activate(market, cases=1)
        draft = service.FeedDraft(market.maker, "src-pull", "k" * 64, region="37")
        async with conn.transaction():
            number = await service.add(conn, SYSTEM, world.app.parts["keeper"], draft, ())
    puller = Sender(
        world, held.Source(0, "src-pull", "", "", "", 0, 0, 0, "", None, datetime.now(UTC)), "k" * 64
    )
    events: list[dict[str, Any]] = []

    async def all_there() -> bool:
        body = {"after": len(events), "limit": 3}
        status, said = await puller.post(form.sign(puller.head(), body, puller.key), "feed")
        assert status == 200, said
        events.extend(said["events"])
        return any(e["event"]["eventType"] == "bill" for e in events)

    await until(all_there)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    made = next(e["event"] for e in events if e["event"]["eventType"] == "bill")
    assert made["billType"] == 1
    assert all(form.digest(e["event"]).hex() == e["digest"] for e in events)
    async with world.app.pool.acquire() as conn:
        feed = next(f for f in await service.feeds(conn, SYSTEM) if f.link.id == number)
    assert feed.held <= feed.numbered
    assert feed.numbered >= len(events)


async def _sign_in(world: World, org: int | None, role: str) -> httpx.AsyncClient:
    async with world.app.pool.acquire() as conn:
        _, login = await make_account(conn, org, role)
    http = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=world.http._transport.app), base_url="http://test"
    )  # type: ignore[attr-defined]
    answer = await http.post(
        "/login", data={"login": login, "password": PASSWORD}, headers={"accept": "text/html"}
    )
    assert answer.status_code == 303, answer.text[:300]
    return http


async def test_a_renewed_key_ends_the_old_one_and_an_ended_source_is_heard_no_more(
    world: World, sender: Sender
) -> None:
    assert (await sender.send(sender.event(1)))["success"]
    operator = await _sign_in(world, None, "operator")
    path = f"/jianguan/sources/{sender.source.id}"
    page = await operator.get(path, headers={"accept": "text/html"})
    token = page.text.split('name="_csrf" value="')[1].split('"')[0]
    page = await operator.post(f"{path}/key", data={"_csrf": token}, headers={"accept": "text/html"})
    key = re.search(r"[0-9a-f]{64}", page.text)
    assert key is not None, "shown once"
    assert (await sender.send(sender.event(2)))["code"] == "jianguan_sign"
    sender.key = key.group()
    assert (await sender.send(sender.event(2)))["contiguous"] == 2
    gone = await operator.post(f"{path}/end", data={"_csrf": token}, headers={"accept": "text/html"})
    assert gone.status_code == 303
    assert (await sender.send(sender.event(3)))["code"] == "jianguan_source"
    page = await operator.get(path, headers={"accept": "text/html"})
    assert page.status_code == 200, "what it sent stays"
    await operator.aclose()


async def test_the_operator_sees_both_pages_and_an_authority_the_sources(
    world: World, sender: Sender
) -> None:
    await sender.send(sender.event(1), sender.event(3))
    async with world.app.pool.acquire() as conn:
        authority = await make_org(conn, 110, region="370000")
        shop = await make_org(conn, 4)
    operator = await _sign_in(world, None, "operator")
    for path in ("/jianguan", "/xietong", f"/jianguan/sources/{sender.source.id}"):
        page = await operator.get(path, headers={"accept": "text/html"})
        assert page.status_code == 200, (path, page.text[:500])
    regulator = await _sign_in(world, authority, "regulator")
    page = await regulator.get("/jianguan", headers={"accept": "text/html"})
    assert sender.source.name in page.text
    page = await regulator.get(f"/jianguan/sources/{sender.source.id}", headers={"accept": "text/html"})
    assert "缺 2" in page.text
    assert (await regulator.get("/xietong", headers={"accept": "text/html"})).status_code == 403
    stranger = await _sign_in(world, shop, "admin")
    assert (await stranger.get("/jianguan", headers={"accept": "text/html"})).status_code == 403
    for http in (operator, regulator, stranger):
        await http.aclose()
