"""A served market with two sides that must not see each other, and ways to look at what hostile input did to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg

from access.helpers import PASSWORD, make_account, make_key
from circulation.helpers import Goods, Market, activate, make_market
from exchange.running import STARTED_WITHIN_S, free_port
from hostile.rooms import fill_rooms, picture, stock_rooms
from hostile.rooms_exchange import fill_exchange
from yaosu.circulation.write import pack_bodies
from yaosu.db.engine import Connection

ROOT = Path(__file__).parents[2]
METHODS = ("get", "put", "post", "patch", "delete")
SECRET = "甲方机密QZX"
"""In every private text of the market's parties; nobody outside may ever read it."""
VOLATILE = (
    "session", "api_key", "public_query", "procrastinate", "public_count", "code_query", "delivery", "route_",
    "bill_due",
)  # fmt: skip
"""Tables that change by being asked or by themselves: last use, counts of public queries, heartbeats, deliveries."""


@dataclass
class World:
    """Who there is, with a key each, and where the server answers."""

    market: Market
    goods: Goods
    keys: dict[str, str]
    database: str
    base: str = ""
    log: Path = Path()
    pid: int = 0
    logins: dict[str, str] = field(default_factory=dict)
    more: dict[str, Goods] = field(default_factory=dict)
    """What else is on shelves: ordinary and narcotic goods of the hospital, listed goods of the pharmacy."""
    ids: dict[str, list[Any]] = field(default_factory=dict)
    """Values of path parameters that name records of the market's parties."""
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Keys of programs at the other doors, by who holds them."""

    def headers(self, caller: str) -> dict[str, str]:
        """What `caller` sends; nothing for nobody."""
        return {"authorization": f"Bearer {self.keys[caller]}"} if caller in self.keys else {}

    def client(self, caller: str = "", **more: Any) -> httpx.Client:
        """A client over the socket."""
        headers = {**self.headers(caller), **more.pop("headers", {})}
        return httpx.Client(base_url=self.base, headers=headers, timeout=60, **more)

    @contextmanager
    def browser(self, caller: str) -> Iterator[httpx.Client]:
        """A signed-in browser of `caller`."""
        headers = {"accept": "text/html", "origin": self.base}
        with httpx.Client(base_url=self.base, timeout=60, headers=headers) as opened:
            sent = opened.post("/login", data={"login": self.logins[caller], "password": PASSWORD})
            assert sent.status_code == 303, sent.text[:300]
            yield opened

    @contextmanager
    def person(self, caller: str) -> Iterator[httpx.Client]:
        """A signed-in person of `caller` at the API."""
        with httpx.Client(base_url=self.base, timeout=60, headers={"origin": self.base}) as opened:
            sent = opened.post("/api/v1/sessions", json={"login": self.logins[caller], "password": PASSWORD})
            assert sent.status_code == 201, sent.text[:300]
            opened.headers["x-csrf-token"] = sent.json()["csrf"]
            yield opened

    def lines(self) -> list[dict[str, Any]]:
        """The server's log so far."""
        return [json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]

    def incidents(self) -> list[dict[str, Any]]:
        """What the server did not expect."""
        return [line for line in self.lines() if line.get("event") == "unhandled"]

    def memory_peak_mb(self) -> float:
        """Highest resident memory of the server so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(row for row in status.splitlines() if row.startswith("VmHWM")).split()[1]) / 1024


def _healthy(base: str) -> bool:
    try:
        return httpx.get(base + "/api/v1/health", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def serving(world: World, folder: Path) -> Iterator[World]:
    """Run the server for `world`."""
    port = free_port()
    world.base, world.log = f"http://127.0.0.1:{port}", folder / "server.log"
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT / "tests")))
    with world.log.open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "hostile.served", world.database, str(port), str(folder / "data")],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path},
        )
        world.pid = server.pid
        try:
            until = time.monotonic() + STARTED_WITHIN_S
            while not _healthy(world.base):
                assert server.poll() is None, world.log.read_text("utf-8")[-600:]
                assert time.monotonic() < until, world.log.read_text("utf-8")[-600:]
                time.sleep(0.05)
            yield world
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


async def seed(conn: Connection, database: str) -> World:
    """The market, its goods, a caller of every kind, and an outsider of each kind."""
    market = await make_market(conn)
    goods = await activate(market, cases=4, per_case=10, pallets=1)
    await activate(market, cases=2, per_case=10)
    more = await stock_rooms(conn, market)
    # the helpers of circulation write no body; the production room packs one
    await conn.execute("UPDATE submission SET body = $1", pack_bodies([b"{}"]))
    regulator: int = await conn.fetchval(
        "INSERT INTO org (name, name_norm, type, region, other_id_kind, other_id) "
        "VALUES ('测试药监局', '测试药监局', 110, '999900', 9, 'REG1') RETURNING id"
    )
    outsider: int = await conn.fetchval(
        "INSERT INTO org (name, name_norm, type, region, other_id_kind, other_id) "
        "VALUES ('外方制药', '外方制药', 1, '440100', 9, 'OUT1') RETURNING id"
    )
    insurer: int = await conn.fetchval(
        "INSERT INTO org (name, name_norm, type, sub_type, region, other_id_kind, other_id) "
        "VALUES ('测试医保局', '测试医保局', 110, 1103, '370000', 9, 'INS1') RETURNING id"
    )
    orgs = {
        "maker": market.maker,
        "wholesaler": market.wholesaler,
        "pharmacy": market.pharmacy,
        "hospital": market.hospital,
        "other": market.other,
        "outsider": outsider,
        "regulator": regulator,
        "insurer": insurer,
        "operator": None,
    }
    keys = {}
    for name, org in orgs.items():
        keys[name] = await make_key(conn, org, None if org is not None else _operator())
    found = World(market, goods, keys, database, more=more)
    for name, org in orgs.items():
        role = "admin" if org is not None else "operator"
        _, found.logins[name] = await make_account(conn, org, role, f"qzx.{name}")
    return found


def _operator() -> frozenset[str]:
    from yaosu.access.scopes import grantable

    return grantable(None)


def fill(world: World) -> None:
    """Private records of the market's parties, made through the API, with `SECRET` in every text they take."""
    goods, market = world.goods, world.market
    now = datetime.now(UTC)

    def post(caller: str, path: str, body: dict[str, Any], method: str = "POST") -> Any:
        with world.client(caller) as client:
            answer = client.request(method, "/api/v1" + path, json=body)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def move(caller: str, type: int, codes: list[str], minutes: int, **more: Any) -> Any:
        body = {
            "type": type,
            "bill_no": f"{SECRET}-{type}-{minutes}",
            "happened_at": (now - timedelta(minutes=minutes)).isoformat(),
            "codes": codes,
            "header": {"to_address": f"{SECRET}路1号", "from_person": f"{SECRET}张三"},
            **more,
        }
        return post(caller, "/movements", body)

    ids = world.ids
    shipped = move("maker", 201, goods.cases[:3], 90, to_org=market.wholesaler)
    assert shipped["status"] == "accepted", shipped
    received = move(
        "wholesaler", 102, [goods.cases[0], goods.cases[3]], 80, from_org=market.maker, mode="per_code"
    )
    sold = move("wholesaler", 201, [goods.cases[0]], 70, to_org=market.hospital)
    assert sold["status"] == "accepted", sold
    ids["bill_id"] = [shipped["bill_id"], received["bill_id"], sold["bill_id"]]
    account = post("wholesaler", "/accounts", {"login": "qzx.new", "name": f"{SECRET}李四", "role": "admin"})
    key = post("wholesaler", "/keys", {"name": f"{SECRET}钥匙", "scopes": ["bill.read"]})
    ids["number"] = [account["account"]["id"], key["key"]["id"]]
    given = post("wholesaler", "/delegations", {"agent": market.hospital})
    ids["delegation_id"] = [given["id"]]
    upload = post("maker", "/uploads", {"name": f"{SECRET}.xml", "size": 10, "purpose": "relation"})
    ids["upload_id"] = [upload["id"]]
    requested = post(
        "maker",
        "/code-requests",
        {
            "drug_id": market.drug_id,
            "levels": [{"level": 1, "count": 20}],
            "purpose": SECRET,
            "client_ref": f"{SECRET}-1",
        },
    )
    ids["request_id"] = [requested["id"]]
    job = post(
        "wholesaler",
        "/movements/jobs",
        {
            "type": 201,
            "bill_no": f"{SECRET}-job",
            "happened_at": now.isoformat(),
            "codes": goods.cases[:1],
            "to_org": market.hospital,
        },
    )
    ids["job_id"] = [job["job"]]
    # the example of GB 11643 itself, so nobody's number
    buyer = {"kind": "1", "number": "11010519491231002X", "name": f"{SECRET}王五"}
    ids["person_id"] = [post("wholesaler", "/people", buyer)["person_id"]]
    recall = post(
        "maker",
        "/recalls",
        {
            "drug_id": market.drug_id,
            "level": 2,
            "title": f"{SECRET}召回",
            "reason": SECRET,
            "contact": SECRET,
            "batches": [goods.batch_no],
        },
    )
    ids["order_id"] = [recall["id"]]
    # a code that no bill of these tests names
    stopped = {
        "drug_id": market.drug_id,
        "codes": goods.boxes[-1:],
        "reason": "quality",
        "reason_text": SECRET,
    }
    ids["lock_id"] = [post("wholesaler", "/locks", {"kind": "suspension", **stopped})["id"]]
    broken = {"drug_id": market.drug_id, "qty": 1}
    case = {"kind": "damaged", "bill_id": shipped["bill_id"], "goods": [broken], "note": SECRET}
    ids["case_id"] = post("wholesaler", "/exceptions", case)["cases"]
    world.more["case"] = case
    credit = {"kind": "credited", "text": SECRET, "amount": "1.00", "credit_no": SECRET}
    offered = post("maker", f"/exceptions/{ids['case_id'][0]}/proposals", credit)
    ids["proposal_id"] = [offered["proposals"][0]["id"]]
    with world.client("wholesaler") as client:
        shown = client.post(
            f"/api/v1/exceptions/{ids['case_id'][0]}/photos?title={SECRET}",
            content=picture(),
            headers={"content-type": "image/png"},
        )
    ids["photo_id"] = [shown.json()["photos"][0]["id"]]
    shelf = {"bill_no": f"{SECRET}-PD", "codes": goods.cases[1:3], "drug_id": market.drug_id}
    ids["count_id"] = [post("wholesaler", "/counts", shelf)["id"]]
    leave = {"grantor": market.wholesaler, "grantee": market.maker, "fields": ["flow"], "note": SECRET}
    ids["grant_id"] = [post("wholesaler", "/grants", leave)["id"]]
    group = post("hospital", "/groups", {"name": f"{SECRET}医联体", "kind": "county"})["id"]
    listed = {"drug_id": market.drug_id, "reason": "short", "valid_from": "2026-01-01"}
    ids["group_id"] = [group]
    ids["group_drug_id"] = [post("hospital", f"/groups/{group}/drugs", listed)["drugs"][0]["id"]]
    fill_rooms(world, SECRET)
    fill_exchange(world, SECRET)
    with psycopg.connect(world.database) as conn:
        # an address inside: subscribed by hand, refused whenever it is called
        conn.execute(
            "INSERT INTO webhook (org, url, salt) VALUES (%s, %s, '')",
            (market.wholesaler, f"https://127.0.0.1/{SECRET}"),
        )
        for name, table, column in (
            ("webhook_id", "webhook", "id"),
            ("check_id", "receipt_check", "id"),
            ("entry_id", "quarantine", "id"),
            ("filing_id", "filing", "id"),
            ("system_id", "trace_system", "id"),
        ):
            ids[name] = ids.get(name, []) + [
                r[0] for r in conn.execute(f"SELECT {column} FROM {table} ORDER BY 1 LIMIT 3")
            ]
    ids["org_id"] = [market.wholesaler, market.maker]
    ids["drug_id"] = [market.drug_id]
    ids["batch_no"] = [goods.batch_no]
    ids["code"] = [goods.cases[0], goods.boxes[0], goods.pallets[0]]
    ids["raw"] = ids["code"]


def counts(database: str) -> dict[str, int]:
    """Rows of every table."""
    with psycopg.connect(database) as conn:
        names = [
            r[0]
            for r in conn.execute(
                "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition "
                "AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            )
        ]
        found = {}
        for name in names:
            if not name.startswith(VOLATILE):
                found[name] = conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # type: ignore[index]
        return found


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation as (METHOD, path, operation)."""
    return [
        (method.upper(), path, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def resolved(schema: dict[str, Any], part: Any) -> Any:
    """`part` with its reference followed."""
    while isinstance(part, dict) and "$ref" in part:
        found: Any = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def example_of(schema: dict[str, Any], part: Any, depth: int = 0) -> Any:
    """An example value of a schema: the given one, else built from its fields."""
    part = resolved(schema, part)
    if not isinstance(part, dict) or depth > 6:
        return None
    if "example" in part:
        return part["example"]
    if part.get("examples"):
        found = part["examples"]
        return found[0] if isinstance(found, list) else next(iter(found.values())).get("value")
    if "default" in part:
        return part["default"]
    if "const" in part:
        return part["const"]
    if part.get("enum"):
        return part["enum"][0]
    for kind in ("anyOf", "oneOf", "allOf"):
        if kind in part:
            return example_of(schema, part[kind][0], depth + 1)
    kind = part.get("type")
    if kind == "object" or "properties" in part:
        wanted = part.get("required", list(part.get("properties", {})))
        return {
            k: example_of(schema, part["properties"][k], depth + 1)
            for k in wanted
            if k in part.get("properties", {})
        }
    if kind == "array":
        return [example_of(schema, part.get("items", {}), depth + 1)] if part.get("minItems") else []
    return {"string": "文本", "integer": part.get("minimum", 1), "number": 1, "boolean": True}.get(str(kind))


def body_of(schema: dict[str, Any], operation: dict[str, Any]) -> tuple[str, Any]:
    """Content type and an example of an operation's request body; ("", None) when it takes none."""
    content = operation.get("requestBody", {}).get("content", {})
    for kind, media in content.items():
        if "example" in media:
            return kind, media["example"]
        if media.get("examples"):
            return kind, next(iter(media["examples"].values()))["value"]
        return kind, example_of(schema, media.get("schema", {}))
    return "", None
