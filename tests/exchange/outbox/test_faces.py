"""The exchange over API, pages and command line: one's own, explained, with every button working (R-X9)."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from access.helpers import key_headers
from circulation.helpers import activate, make_market
from notify.helpers import receiving, status
from notify.test_messages import signed_in
from yaosu.api.app import create_app
from yaosu.db.engine import Pool
from yaosu.exchange.outbox.commands import app as cli
from yaosu.notify import signing
from yaosu.settings import Settings


async def test_a_firm_connects_its_erp_and_follows_a_bill_to_its_end(
    database: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=2)
        maker = await key_headers(conn, market.maker)
        buyer = await key_headers(conn, market.wholesaler)
        stranger = await key_headers(conn, market.other)
        settings = Settings(
            tmp_path, database, "127.0.0.1", 0, "http://test", webhook_hosts=frozenset({"127.0.0.1"})
        )
        app = create_app(settings, database)
        async with (
            receiving() as receiver,
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client,
        ):
            api = "/api/v1/exchange"
            listed = (await client.get(f"{api}/channels", headers=maker)).json()["items"]
            assert "erp" in {c["channel"] for c in listed}
            body = {"channel": "erp", "title": "ERP", "url": receiver.url}
            made = (await client.post(f"{api}/connections", json=body, headers=maker)).json()
            assert made.get("secret", "").startswith("whs_"), made
            theirs = (await client.post(f"{api}/connections", json=body, headers=buyer)).json()
            inside = await client.post(
                f"{api}/connections", json={**body, "url": "https://10.0.0.1/x"}, headers=maker
            )
            assert inside.status_code == 422 and inside.json()["code"] == "connection_url_refused"
            unknown = await client.post(f"{api}/connections", json={**body, "channel": "fax"}, headers=maker)
            assert unknown.json()["code"] == "channel_unknown"
            # what carries every firm's bills is for the platform's operator alone
            for whole in ("jianguan", "xietong"):
                grab = {"channel": whole, "url": receiver.url, "account": {"source_id": "s", "app_id": "a"}}
                refused = await client.post(f"{api}/connections", json=grab, headers=maker)
                assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), refused.text
            link = f"{api}/connections/{made['id']}"
            assert made["secret"] not in (await client.get(link, headers=maker)).text
            assert (await client.get(link, headers=stranger)).status_code == 404
            shipped = await market.ship(
                market.maker, market.wholesaler, goods.boxes[:3], header={"invoice_no": "F-9"}
            )
            await _settled(pool, 2)
            own, others = sorted(receiver.got, key=lambda g: json.loads(g.body)["role"] != "owner")
            event = json.loads(own.body)
            assert [x["code"] for x in event["lines"]] == sorted(goods.boxes[:3])
            assert event["bill"]["bill_no"] == shipped.bill_no and event["verdicts"] == {"accepted": 3}
            stamp, given = int(own.headers["yaosu-timestamp"]), own.headers["yaosu-signature"]
            assert signing.fits(made["secret"], stamp, own.body, given)
            # the buyer's system hears of what is on its way to it, without the seller's header
            assert (
                json.loads(others.body)["role"] == "buyer" and json.loads(others.body)["bill"]["header"] == {}
            )
            found = (await client.get(f"{api}/bills/{shipped.bill_id}", headers=maker)).json()
            (one,) = found["deliveries"]
            assert one["state"] == "processed" and one["connection"] == made["id"]
            assert (await client.get(f"{api}/bills/{shipped.bill_id}", headers=stranger)).status_code == 404
            assert (await client.get(f"{api}/deliveries/{one['id']}", headers=buyer)).status_code == 404
            answer = (await client.get(f"{api}/why", params={"code": goods.boxes[0]}, headers=maker)).json()
            assert answer["answer"]["code"] == "why_done"
            again = await client.post(f"{link}/replay", json={}, headers=maker)
            assert again.json() == {"count": 1, "next": None}
            await _settled(pool, 2, least=3)
            assert receiver.got[-1].headers["yaosu-event-id"] == own.headers["yaosu-event-id"]

            receiver.answers = [status(410, "gone for good")]
            await market.ship(market.maker, market.other, goods.boxes[3:5], bill_no="REF-1")
            await _settled(pool, 3)
            (refused,) = (await client.get(f"{api}/deliveries?todo=true", headers=maker)).json()["items"]
            assert refused["advice"] == "delivery_refused" and refused["answer"] == "gone for good"
            csrf = await signed_in(client, pool, market.maker)
            assert "全部重试" in (await client.get(f"/exchange/{made['id']}")).text
            once_more = await client.post(f"{link}/retry", json={"refused": True}, headers=maker)
            assert once_more.json() == {"count": 1}
            await _settled(pool, 3, least=5)
            elsewhere = await client.post(f"{link}/retry", json={}, headers=stranger)
            assert elsewhere.status_code == 404
            for path in (
                "", "?channel=erp", f"/{made['id']}", "/deliveries", "/deliveries?todo=true",
                f"/deliveries/{refused['id']}",
                f"/bills/{shipped.bill_id}", f"/why?code={goods.boxes[3]}", f"/why?code={goods.boxes[9]}",
            ):  # fmt: skip
                page = await client.get(f"/exchange{path}")
                assert page.status_code == 200, (path, page.text[-2000:])
                assert "whs_" not in page.text
            assert "gone for good" in (await client.get(f"/exchange/deliveries/{refused['id']}")).text
            assert (
                f"/exchange/bills/{shipped.bill_id}" in (await client.get(f"/bills/{shipped.bill_id}")).text
            )
            short = await client.post(
                f"/exchange/deliveries/{refused['id']}/give-up", data={"_csrf": csrf, "reason": " "}
            )
            assert short.status_code == 422 and "原因" in short.text
            for path, form in (
                (f"deliveries/{refused['id']}/give-up", {"reason": "该系统已停用"}),
                (f"{made['id']}/test", {}),
                (f"{made['id']}/retry", {"refused": "true"}),
                (f"{made['id']}/change", {"title": "新ERP", "url": receiver.url, "f_secret": "k" * 20}),
                (f"{made['id']}/backfill", {"since": "2026-01-01"}),
                (f"{made['id']}/replay", {"since": "2026-01-01"}),
                (f"{made['id']}/state", {"state": "held"}),
                (f"{made['id']}/state", {"state": "ended", "reason": "换系统"}),
            ):
                done = await client.post(f"/exchange/{path}", data={"_csrf": csrf, **form})
                assert done.status_code in (200, 303), (path, done.text[-1500:])
            added = await client.post(
                "/exchange", data={"_csrf": csrf, "channel": "erp", "url": receiver.url}
            )
            assert added.status_code == 200 and "whs_" in added.text
            assert theirs["id"]


async def _settled(pool: Pool, count: int, least: int = 0) -> None:
    """Until so many deliveries are settled after so many attempts."""
    import asyncio

    async with asyncio.timeout(90):
        while True:
            async with pool.acquire() as conn:
                done = await conn.fetchval(
                    "SELECT count(*) FROM delivery WHERE settled_at IS NOT NULL AND target = 'erp'"
                )
                tried = await conn.fetchval(
                    "SELECT coalesce(sum(attempts), 0) FROM delivery WHERE target = 'erp'"
                )
            if done >= count and tried >= least:
                return
            await asyncio.sleep(0.05)


async def test_the_command_line_does_the_same(
    database: str, pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_DATA", str(tmp_path))
    monkeypatch.setenv("YAOSU_WEBHOOK_HOSTS", "127.0.0.1")
    async with pool.acquire() as conn:
        org = await conn.fetchval("SELECT min(id) FROM org")

    async def run(*words: object, code: int = 0) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, cli, [str(w) for w in words])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    made = await run("add", "--org", org, "erp", "http://127.0.0.1:9/in", "--title", "POS")
    number = made.split()[0].lstrip("#")
    assert "whs_" in made
    assert "POS" in await run("connections", "--org", org)
    await run("state", "--org", org, number, "held")
    await run("deliveries", "--org", org, "--todo")
    await run("backfill", "--org", org, number, "--since", "2026-01-01")
    assert "不是追溯码" in await run("why", "--org", org, "hello", code=2)
    await run("retry", "--org", org, 999999, code=1)
    await run("add", "--org", org, "erp", "https://10.0.0.1/in", code=1)
