"""Large bills as jobs, and bills from the command line: the same door, the same answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import orjson
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from access.helpers import key_headers
from circulation.helpers import Market, activate, make_market
from yaosu.circulation import tasks
from yaosu.circulation.commands import app
from yaosu.db.engine import Pool
from yaosu.db.jobs import ensure_schema

BODY = {"type": 201, "happened_at": "2026-09-30T10:00:00+08:00"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool, database: str) -> AsyncIterator[Market]:
    await ensure_schema(database)
    async with pool.acquire() as conn:
        made = await make_market(conn)
        yield made
        await made.conserved()


async def test_a_bill_beyond_ten_thousand_codes_runs_as_a_job_with_the_same_result(
    market: Market, client: httpx.AsyncClient, pool: Pool, database: str
) -> None:
    goods = await activate(market, cases=101, per_case=100)
    headers = await key_headers(market.conn, market.maker)
    body = {**BODY, "bill_no": "BIG", "to_org": market.wholesaler, "codes": [*goods.boxes, "not a code"]}
    direct = await client.post("/api/v1/movements", json=body, headers=headers)
    assert direct.status_code == 422
    queued = await client.post("/api/v1/movements/jobs", json=body, headers=headers)
    assert queued.status_code == 202
    await tasks.run_job(database, UUID(queued.json()["job"]))
    answer = (await client.get(queued.json()["url"], headers=headers)).json()
    assert answer["state"] == "done"
    result = answer["result"]
    assert (result["status"], result["accepted"], result["refused"]) == ("partial", 10_100, 1)
    assert [r["raw"] for r in result["results"] if r["severity"] == "refused"] == ["not a code"]
    assert await market.stock(market.maker, "O") == 10_100


async def test_a_job_of_another_organisation_is_not_shown(
    market: Market, client: httpx.AsyncClient, database: str
) -> None:
    own, other = [await key_headers(market.conn, o) for o in (market.maker, market.other)]
    body = {**BODY, "bill_no": "HIDDEN", "to_org": market.wholesaler, "codes": ["x"]}
    queued = await client.post("/api/v1/movements/jobs", json=body, headers=own)
    assert (await client.get(queued.json()["url"], headers=other)).status_code == 404


def run(database: str, data: Path, *args: str, stdin: bytes | None = None) -> tuple[int, str]:
    env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(data)}
    result = CliRunner().invoke(app, list(args), input=stdin, env=env)
    return result.exit_code, result.output


async def test_a_list_of_codes_is_shipped_from_the_command_line_shown_and_voided(
    market: Market, database: str, tmp_path: Path
) -> None:
    goods = await activate(market)
    file = tmp_path / "codes.txt"
    file.write_text("\ufeff" + "\r\n".join(goods.cases), "utf-8")
    options = [
        "--org",
        str(market.maker),
        "--type",
        "201",
        "--bill-no",
        "CLI-1",
        "--to",
        str(market.wholesaler),
    ]
    code, text = await asyncio.to_thread(run, database, tmp_path, "submit", str(file), *options, "--json")
    assert code == 0, text
    answer = orjson.loads(text[text.index("{") :])
    assert (answer["status"], answer["qty"]) == ("accepted", 20)
    bill = str(answer["bill_id"])
    code, text = await asyncio.to_thread(run, database, tmp_path, "show", bill)
    assert code == 0 and orjson.loads(text)["bill_no"] == "CLI-1"
    void = ["void", bill, "--reason", "wrong receiver", "--org", str(market.maker)]
    code, text = await asyncio.to_thread(run, database, tmp_path, *void)
    assert code == 0, text
    assert await market.status(goods.cases[0]) == ("I", market.maker, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--type", "201", "--bill-no", "CLI-2"], "收货方"),
        (["--type", "201", "--to", "1"], "bill_no"),
        (["--type", "999", "--bill-no", "CLI-2", "--to", "1"], "999"),
    ],
)
async def test_what_is_missing_is_named_and_the_exit_code_says_refused(
    market: Market, database: str, tmp_path: Path, options: list[str], expected: str
) -> None:
    arguments = ["submit", "-", "--org", str(market.maker), *options]
    code, text = await asyncio.to_thread(run, database, tmp_path, *arguments, stdin=b"83857930000000000001\n")
    assert code == 1
    assert expected in text
