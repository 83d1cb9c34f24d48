"""The server process is killed while it routes and sends: nothing is lost, nothing leaves twice as two things, and the
order of a bill's revisions holds (R-X9, design §6)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from circulation.helpers import activate, make_market
from exchange.running import COMES_WITHIN_S, running
from notify.clock import pauses_end
from notify.helpers import Receiver, receiving, until
from yaosu.db.engine import connect
from yaosu.exchange.outbox import connections
from yaosu.people.keeper import Keeper

SECRET = "ab" * 32


def got(receiver: Receiver) -> list[tuple[str, int, str, bytes]]:
    """(bill, revision, event, content) of everything that arrived, in order."""
    found = []
    for one in receiver.got:
        body = json.loads(one.body)
        found.append(
            (body["bill"]["bill_no"], body["bill"]["revision"], one.headers["yaosu-event-id"], one.body)
        )
    return found


async def test_killed_at_every_step_it_sends_everything_once_by_key_and_in_order(
    server_address: str, template_name: str, tmp_path: Path
) -> None:
    env = {"YAOSU_MASTER_SECRET": SECRET}
    with running(server_address, template_name, tmp_path / "node", env) as node:
        conn = await connect(node.database)
        async with receiving() as receiver:
            market = await make_market(conn)
            goods = await activate(market, cases=6)
            subject, keeper = market.subject(market.maker), Keeper(bytes.fromhex(SECRET))
            link = await connections.add(
                conn, subject, keeper, "erp", "ERP", receiver.url, {}, {"secret": "k" * 20}
            )

            async def bills(case: int, count: int) -> None:
                """Shipments of one box each; every other one corrected at once, and one voided."""
                boxes = goods.boxes_of(case)
                for n in range(count):
                    no = f"C{case}-{n}"
                    two = boxes[2 * n : 2 * n + 2]
                    await market.ship(market.maker, market.wholesaler, two, bill_no=no)
                    if n % 2 == 0:
                        more = {"to_org": market.wholesaler, "bill_no": no}
                        await market.move(201, market.maker, two[:1], revision=2, **more)
                        if n == 2:
                            await market.move(201, market.maker, [], revision=3, void=True, **more)

            # killed with bills written and nothing routed
            node.kill()
            await bills(0, 4)
            assert await conn.fetchval("SELECT count(*) FROM bill_due") >= 4
            node.start()
            async with asyncio.timeout(COMES_WITHIN_S):
                while await conn.fetchval(  # noqa: ASYNC110 - another process's work
                    "SELECT (SELECT count(*) FROM bill_due)"
                    " + (SELECT count(*) FROM delivery WHERE settled_at IS NULL)"
                ):
                    await asyncio.sleep(0.1)
            # killed while a request is under way: it arrived, and the answer never came back
            receiver.pause_s = 300
            await market.ship(market.maker, market.wholesaler, goods.boxes_of(5)[:1], bill_no="K-0")
            await until(lambda: any(no == "K-0" for no, _, _, _ in got(receiver)), COMES_WITHIN_S)
            node.kill()
            await bills(1, 4)
            receiver.pause_s = 0
            receiver.wake.set()
            assert await conn.fetchval("SELECT count(*) FROM delivery WHERE claimed") >= 1
            await pauses_end(conn, leases=True)
            # killed in the middle of routing, a few moments after the next start
            await bills(2, 5)
            node.start()
            await asyncio.sleep(0.15)
            node.kill()
            await bills(3, 3)
            await pauses_end(conn, leases=True)
            node.start()
            async with asyncio.timeout(COMES_WITHIN_S):
                while await conn.fetchval(
                    "SELECT (SELECT count(*) FROM bill_due) + (SELECT count(*) FROM route_due)"
                    " + (SELECT count(*) FROM delivery WHERE settled_at IS NULL)"
                ):
                    await asyncio.sleep(0.2)
                    await pauses_end(conn)

            owed = await conn.fetch(
                "SELECT bill_no, revision FROM bill WHERE revision > 0 AND type = 201 ORDER BY id"
            )
            rows = await conn.fetch(
                "SELECT key, state FROM delivery WHERE target_id = $1 AND target = 'erp'", link
            )
            assert len(rows) == len(owed) and {r["state"] for r in rows} == {"processed"}
            arrived = got(receiver)
            # nothing lost
            assert {(no, rev) for no, rev, _, _ in arrived} == {(r["bill_no"], r["revision"]) for r in owed}
            # what came twice came as the same thing
            contents: dict[str, bytes] = {}
            for _, _, event, body in arrived:
                assert contents.setdefault(event, body) == body
            assert len(contents) == len(owed) < len(arrived)
            # a revision never comes after a later one of its bill
            for no in {no for no, _, _, _ in arrived}:
                revisions = [rev for other, rev, _, _ in arrived if other == no]
                assert revisions == sorted(revisions), no
            cut = await conn.fetchval("SELECT count(*) FROM delivery_attempt WHERE answer = 'interrupted'")
            assert cut >= 1
        await conn.close()
