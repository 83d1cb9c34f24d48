"""Files too large for one request run as a job; the same commands on the server's own command line (R-I1)."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from click.testing import Result
from typer.testing import CliRunner

from exchange.files.world import World, make_world, number, scan_xml, stamp, table
from yaosu.cli.server import run_jobs
from yaosu.db.engine import Pool
from yaosu.exchange.files.commands import app
from yaosu.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        yield await make_world(conn)


async def work(database: str, folder: Path) -> None:
    """The worker, until nothing is left."""
    await run_jobs(Settings(folder, database, "127.0.0.1", 0, "http://test"), database, until_empty=True)


async def test_a_large_file_is_a_job_and_taken_up_where_it_was_broken_off(
    world: World, client: httpx.AsyncClient, database: str, pool: Pool, tmp_path: Path
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=60, per_case=10)
    head, partner = world.head(market.maker), world.uscc(market.wholesaler)
    numbers = [number("L") for _ in range(600)]
    bills = [(no, partner, [code]) for no, code in zip(numbers, goods.boxes, strict=True)]
    data = scan_xml("OA", bills)
    got = (await world.post(client, market.maker, data, send=True)).json()
    assert got["state"] == "sending" and got["progress"]["state"] == "queued", got
    # confirmed twice, it is one job all the same
    again = (await client.post(f"/api/v1/files/{got['id']}/send", headers=head)).json()
    assert again["job"] == got["job"]
    # somebody got as far as the first ten bills before the lights went out
    for bill in bills[:10]:
        sent = (
            await world.post(client, market.maker, scan_xml("OA", [bill], at=_at(data)), send=True)
        ).json()
        assert sent["summary"]["accepted"] == 1
    await work(database, tmp_path)
    done = (await client.get(f"/api/v1/files/{got['id']}", headers=head)).json()
    assert done["state"] == "done", done["progress"]
    assert done["summary"] == done["summary"] | {"bills": 600, "lines": 600, "accepted": 600, "refused": 0}
    job = (await client.get(f"/api/v1/jobs/{got['job']}", headers=head)).json()
    assert (job["state"], job["done"]) == ("done", 600)
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM bill WHERE bill_no = ANY($1)", numbers) == 600
    text = (await client.get(f"/api/v1/files/{got['id']}/result.csv", headers=head)).content.decode(
        "utf-8-sig"
    )
    assert len(list(csv.reader(io.StringIO(text)))) == 601


def _at(data: bytes) -> str:
    """The time a file names."""
    return data.split(b'ActDate="')[1].split(b'"')[0].decode()


async def test_one_bill_beyond_the_limit_of_a_call_goes_through_the_same_door(
    world: World, client: httpx.AsyncClient, database: str, tmp_path: Path
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1_010, per_case=10)
    no = number("L")
    data = table([(no, "201", stamp(), world.uscc(market.wholesaler), c) for c in goods.boxes[:10_050]])
    got = (await world.post(client, market.maker, data, send=True)).json()
    assert got["state"] == "sending", got
    await work(database, tmp_path)
    done = (await client.get(f"/api/v1/files/{got['id']}", headers=world.head(market.maker))).json()
    assert done["summary"]["accepted"] == 10_050, done
    await market.conserved()


async def test_the_command_line_checks_sends_and_exports(world: World, database: str, tmp_path: Path) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    file, no = tmp_path / "出库.csv", number("C")
    file.write_bytes(table([(no, "201", stamp(), world.uscc(market.wholesaler), c) for c in goods.boxes[:3]]))
    env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(tmp_path / "data")}

    async def run(*args: object) -> Result:
        # beside this test's loop: a command has a loop of its own
        return await asyncio.to_thread(CliRunner().invoke, app, [str(a) for a in args], env=env)

    looked = await run("check", file, "--org", market.maker)
    assert looked.exit_code == 0, looked.output
    assert (await market.status(goods.boxes[0]))[0] != "O"
    sent = await run("send", file, "--org", market.maker, "--result", tmp_path / "r.csv")
    assert sent.exit_code == 0, sent.output
    assert (tmp_path / "r.csv").read_text("utf-8-sig").count(",已受理,") == 3
    out = tmp_path / "out.xml"
    wrote = await run("export", out, "--org", market.maker, "--since", "2026-01-01", "--until", "2026-01-02")
    assert wrote.exit_code == 1 and "file_no_lines" in wrote.output
    since = stamp(60 * 24)
    wrote = await run("export", out, "--org", market.maker, "--since", since, "--until", stamp(-60))
    assert wrote.exit_code == 0 and f'CorpOrderID="{no}"' in out.read_text("utf-8"), wrote.output
    bad = tmp_path / "bad.xml"
    bad.write_bytes(b"<Document><Events>")
    cut = await run("check", bad, "--org", market.maker)
    assert cut.exit_code == 1 and "file_cut" in cut.output
