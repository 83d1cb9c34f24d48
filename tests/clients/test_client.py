"""The client package and its examples against a real server's sandbox (R-I1)."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from access.helpers import key_headers
from circulation.helpers import make_market
from exchange.faults import faulty
from exchange.running import Running, free_port, running
from yaosu.db.engine import connect
from yaosu.notify import signing
from yaosu_client import (
    SALE,
    SHIP,
    AsyncYaosu,
    Movement,
    NotReachedError,
    RefusedError,
    WebhookError,
    Yaosu,
    calls,
    read_webhook,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "clients" / "python" / "examples"


@dataclass
class Place:
    """A server with a firm's sandbox, and keys of everybody in it."""

    server: Running
    keys: dict[str, str]
    orgs: dict[str, int]
    drugs: list[int]

    def boxes(self, role: str, count: int) -> list[str]:
        """Boxes in stock of one of the sandbox's organisations."""

        async def ask() -> list[str]:
            conn = await connect(self.server.database)
            rows = await conn.fetch(
                "SELECT c.code FROM unit c JOIN unit p ON p.drug_id = c.drug_id AND p.code = c.parent "
                "WHERE p.status = 'I' AND p.holder = $1 AND c.drug_id = $2 AND c.level = 1 ORDER BY c.code",
                self.orgs[role],
                self.drugs[0],
            )
            await conn.close()
            return [r["code"] for r in rows]

        found = asyncio.run(ask())
        assert len(found) >= count
        return found[:count]

    def client(self, role: str, url: str = "") -> Yaosu:
        """A client of one of them."""
        return Yaosu(url or self.server.url, self.keys[role], lang="en")

    def example(self, name: str, role: str, *arguments: str, **env: str) -> tuple[int, str]:
        """Run an example as its user would."""
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "clients" / "python" / "src"),
                "YAOSU_URL": self.server.url,
                "YAOSU_KEY": self.keys[role],
                **env,
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def place(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    with running(server_address, template_name, tmp_path_factory.mktemp("server")) as server:

        async def firm() -> dict[str, str]:
            conn = await connect(server.database)
            market = await make_market(conn)
            headers = await key_headers(conn, market.wholesaler)
            await conn.close()
            return headers

        headers = asyncio.run(firm())
        box = httpx.post(f"{server.url}/api/v1/sandbox/reset", headers=headers, timeout=300).json()
        keys = {}
        for role in ("maker", "wholesaler", "pharmacy", "hospital"):
            made = httpx.post(
                f"{server.url}/api/v1/sandbox/keys", json={"role": role}, headers=headers, timeout=60
            )
            keys[role] = made.json()["secret"]
        orgs = {o["role"]: o["org_id"] for o in box["organisations"]}
        yield Place(server, keys, orgs, [p["drug_id"] for p in box["products"]])


def test_the_erp_ships_repeats_and_corrects(place: Place) -> None:
    boxes = place.boxes("wholesaler", 3)
    code, said = place.example("erp", "wholesaler", *boxes, BUYER=str(place.orgs["hospital"]))
    assert code == 0
    assert said.splitlines() == [
        "preview ['taken_out', 'taken_out', 'taken_out']",
        "shipped accepted 3",
        "sent again replayed",
        "corrected accepted 2",
        "refused as a whole: revision_gap",
    ]


def test_the_wms_receives_what_was_announced(place: Place) -> None:
    code, said = place.example("wms", "pharmacy")
    assert code == 0
    lines = said.splitlines()
    assert len(lines) == 2 and all(" accepted 10 check matched" in line for line in lines), said


def test_the_his_dispenses_boxes_and_parts(place: Place) -> None:
    code, said = place.example("his", "hospital", *place.boxes("hospital", 2))
    assert code == 0
    assert said.splitlines()[:2] == ["whole box accepted | six capsules accepted", "two came back accepted"]


def test_the_till_keeps_sales_while_there_is_no_network(place: Place, tmp_path: Path) -> None:
    queue = str(tmp_path / "queue.jsonl")
    boxes = place.boxes("pharmacy", 2)
    nowhere = f"http://127.0.0.1:{free_port()}"
    for box in boxes:
        place.example("pos", "pharmacy", "sell", box, QUEUE=queue)
    code, said = place.example("pos", "pharmacy", "send", QUEUE=queue, YAOSU_URL=nowhere)
    assert (code, said.strip()) == (1, "no network; 2 wait")
    code, said = place.example("pos", "pharmacy", "send", QUEUE=queue)
    assert code == 0 and said.count("accepted") == 2
    # what was answered is not sent again; a receipt cut off by a power failure was never handed out
    with Path(queue).open("a") as cut:
        cut.write('{"bill_no": "POS-')
    assert place.example("pos", "pharmacy", "send", QUEUE=queue) == (0, "")
    place.example("pos", "pharmacy", "sell", boxes[0], QUEUE=queue)
    code, said = place.example("pos", "pharmacy", "send", QUEUE=queue)
    assert code == 0 and "refused" in said and len(said.splitlines()) == 2


def test_a_bad_network_books_once_and_tells_the_truth(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PAUSES_S", (0.01, 0.01, 0.01, 0.01))
    (box,) = place.boxes("pharmacy", 1)

    async def play() -> None:
        async with faulty(place.server.port) as proxy:
            proxy.faults.extend(["refuse", "error_500"])
            async with AsyncYaosu(proxy.url, place.keys["pharmacy"]) as yaosu:
                with pytest.raises(RefusedError):
                    # a gateway's 500 is not ours to repeat blindly; it is told as it is
                    await yaosu.submit(Movement(SALE, "NET-1", [box]))
                proxy.faults.extend(["lose_answer", "cut_answer", "twice"])
                movement = Movement(SALE, "NET-2", [box])
                answer = await yaosu.submit(movement)
                assert answer.status == "accepted" and answer.replayed
                assert len(await yaosu.bills(bill_no="NET-2")) == 1
                proxy.faults.extend(["refuse"] * 5)
                with pytest.raises(NotReachedError):
                    await yaosu.submit(Movement(SALE, "NET-3", [box]))

    asyncio.run(play())


def test_large_bills_and_files_go_by_the_same_client(place: Place) -> None:
    first, second = place.boxes("pharmacy", 2)
    with place.client("pharmacy") as yaosu:
        done = yaosu.wait(yaosu.submit_large(Movement(SALE, "BIG-1", [first])), every_s=0.2, longest_s=300)
        assert done["state"] == "done" and done["result"]["status"] == "accepted"
        stamp = datetime.now(UTC).astimezone().isoformat()
        table = f"单据编号,单据类型,单据时间,追溯码\nFILE-1,321,{stamp},{second}\n".encode()
        sent = yaosu.send_file(table, "销售.csv")
        assert sent["state"] == "done" and sent["summary"]["accepted"] == 1
        assert yaosu.file(yaosu.send_file(table, "again.csv")["id"])["repeats"] == sent["id"]


def test_refusals_name_field_and_code(place: Place) -> None:
    with place.client("wholesaler") as yaosu:
        with pytest.raises(RefusedError) as refused:
            yaosu.submit(Movement(SHIP, "", ["x"], to_org=place.orgs["pharmacy"]))
        assert refused.value.code == "invalid_request"
        assert refused.value.findings[0]["where"] == "bill_no"
        answer = yaosu.submit(Movement(SHIP, "R-1", ["6924561884074"], to_org=place.orgs["pharmacy"]))
        assert answer.status == "refused" and answer.refused[0].next
        assert {b.bill_no for b in yaosu.bills(limit=200)} and yaosu.stock()
    with pytest.raises(ValueError, match="zone"):
        Movement(SHIP, "Z", [], happened_at=datetime(2026, 1, 1)).as_json()  # noqa: DTZ001
    with Yaosu(place.server.url, "yk_wrong") as yaosu, pytest.raises(RefusedError) as unknown:
        yaosu.stock()
    assert unknown.value.status == 401


def test_webhooks_are_read_only_when_genuine_and_fresh() -> None:
    secret, body = "whs_x", json.dumps({"kind": "notice"}).encode()
    now = int(datetime.now(UTC).timestamp())
    headers = {
        signing.EVENT: "e1",
        signing.KIND: "notice",
        signing.TIMESTAMP: str(now),
        signing.SIGNATURE: signing.sign(secret, now, body),
    }
    assert read_webhook(secret, headers, body).id == "e1"
    for wrong in (
        {signing.SIGNATURE: "v1=00"},
        {signing.TIMESTAMP: str(now - 1000)},
        {signing.TIMESTAMP: ""},
    ):
        with pytest.raises(WebhookError):
            read_webhook(secret, {**headers, **wrong}, body)
    with pytest.raises(WebhookError):
        read_webhook(secret, headers, body + b" ")
