"""Records of the ways in and out: connections, deliveries, files, institutions, sandbox, keys of programs."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import psycopg

from yaosu.db.engine import connect
from yaosu.exchange.top import keys
from yaosu.exchange.top.aliases import Aliases
from yaosu.exchange.top.keys import Sealing
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret

if TYPE_CHECKING:
    from hostile.world import World

INSTITUTION = "P37010200002"


def fill_exchange(world: World, secret: str) -> None:
    """One record of every kind of these rooms, with `secret` in every text it takes."""
    market, ids = world.market, world.ids

    def post(caller: str, path: str, **sent: Any) -> Any:
        with world.client(caller) as client:
            answer = client.post("/api/v1" + path, **sent)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json()

    with psycopg.connect(world.database) as conn:
        # by hand: an address inside, refused whenever it is called
        ids["connection_id"] = [
            r[0]
            for r in conn.execute(
                "INSERT INTO connection (org, channel, state, title, url, account) "
                "VALUES (%s, 'top', 'held', %s, %s, %s) RETURNING id",
                (market.wholesaler, secret, f"https://127.0.0.1/{secret}", f'{{"app_key": "{secret}"}}'),
            )
        ]
    line = f"{secret}-F1,201,2026-01-01 10:00:00,{secret}药店,{world.goods.boxes[0]}"
    text = f"单据编号,单据类型,单据时间,往来单位,追溯码\r\n{line}\r\n"
    file = post("wholesaler", f"/files?name={secret}.csv", content=text.encode())
    ids["file_id"] = [file["id"]]
    drafted = {"code": INSTITUTION, "name": f"{secret}药店", "region": "370102", "org": market.pharmacy}
    issued = post("insurer", "/insurance/institutions", json=drafted)
    world.secrets["yibao"] = issued
    ids["institution_id"] = [issued.get("id") or issued["institution"]["id"]]
    # a box that is not in the pharmacy's stock: paid and looked into, or refused, and a case either way
    settled = {"quantity": 1, "codes": [world.goods.boxes[5]]}
    checked = {"act": f"{secret}-1", "record": True, "lines": [settled]}
    post("pharmacy", "/insurance/settlement-checks", json=checked)
    with psycopg.connect(world.database) as conn:
        cases = [r[0] for r in conn.execute("SELECT id FROM insurance_case ORDER BY id")]
        conn.execute(
            "INSERT INTO delivery (org, target_id, event, target, state, kind, body, bill_id, answer, note, key) "
            "VALUES (%s, %s, %s, 'top', 'held', 'upbill', %s, %s, %s, %s, 'k') RETURNING id",
            (market.wholesaler, ids["connection_id"][0], uuid.uuid4(), f'{{"x": "{secret}"}}', ids["bill_id"][0],
             secret, secret),
        )  # fmt: skip
        ids["delivery_id"] = [r[0] for r in conn.execute("SELECT max(id) FROM delivery")]
    # of the wholesaler's keys none is a sandbox's; another's number must tell as little
    ids["form"] = ["csv"]
    ids["key_id"] = ids["number"][1:2]
    ids["case_id"] = [*ids.get("case_id", []), *cases]
    if cases:
        post("pharmacy", f"/insurance/cases/{cases[0]}/statements", json={"text": secret})
    asyncio.run(_programs(world))


async def _programs(world: World) -> None:
    """Keys of programs of the incumbent's protocol, for the market's wholesaler and for the stranger."""
    master = master_secret(world.log.parent / "data")
    conn = await connect(world.database)
    try:
        async with conn.transaction():
            registry = await load_registry(conn)
            for name in ("wholesaler", "pharmacy"):
                org = getattr(world.market, name)
                made, opened = await keys.add(
                    conn, registry, Sealing(master), world.market.subject(org), "QZX", "admin"
                )
                (alias,) = (await Aliases(master).of(conn, [org])).values()  # type: ignore[arg-type]
                world.secrets[name] = {
                    "app_key": made.app_key,
                    "secret": opened,
                    "ref_ent_id": alias.ref_ent_id,
                    "ent_id": alias.ent_id,
                }
    finally:
        await conn.close()
