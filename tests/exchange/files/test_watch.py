"""A folder for ERPs that can only drop files, against a real server process: killed, cut off, doubled (R-I1, R-X2)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from exchange.files.world import World, make_world, number, scan_xml, stamp, table
from exchange.running import COMES_WITHIN_S, Running, running
from exchange.running import until as becomes
from yaosu.db.engine import Connection, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_S = 120.0
"""With files that look cut off: far longer than these tests take to complete one, however busy the machine is."""


@pytest.fixture(scope="module")
def server(
    server_address: str, template_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(server_address, template_name, tmp_path_factory.mktemp("server")) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def conn(server: Running) -> AsyncIterator[Connection]:
    opened = await connect(server.database)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(conn: Connection, server: Running) -> World:
    made = await make_world(conn)

    async def heard() -> bool:
        """The process hears of firms and products by notification."""
        address = f"/api/v1/products/{made.market.drug_id}"
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            seen = await client.get(address, headers=made.head(made.market.maker))
        return seen.status_code == 200

    await becomes(heard)
    return made


class Watching:
    """`yaosu files watch` as a process of its own."""

    def __init__(
        self, server: Running, key: str, folder: Path, *more: str, patience: float = PATIENCE_S
    ) -> None:
        self.command = (
            *(sys.executable, "-m", "yaosu.cli.main", "files", "watch", str(folder)),
            *("--server", server.url, "--settle", "0.4", "--patience", str(patience), *more),
        )
        self.env = {**os.environ, "YAOSU_API_KEY": key}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, env=self.env, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()


async def until(path: Path, seconds: float = COMES_WITHIN_S) -> Path:
    """Wait for a file."""
    end = time.monotonic() + seconds
    while not path.exists():  # noqa: ASYNC240 - a look at a local folder
        assert time.monotonic() < end, (
            f"{path.name} did not come; there are {sorted(path.parent.parent.rglob('*'))}"
        )
        await asyncio.sleep(0.05)
    return path


@pytest_asyncio.fixture(loop_scope="module")
async def watching(server: Running, world: World, tmp_path: Path) -> AsyncIterator[Watching]:
    one = Watching(server, world.keys[world.market.maker], tmp_path)
    one.start()
    yield one
    one.kill()


async def test_dropped_files_are_sent_and_moved_with_their_results(
    watching: Watching, world: World, tmp_path: Path
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=3)
    partner = world.uscc(market.wholesaler)
    (tmp_path / "好.xml").write_bytes(scan_xml("OA", [(number(), partner, goods.boxes[:10])]))
    # a name as old software on a Chinese system writes it
    raw = os.fsencode(tmp_path) + b"/" + "出库单.txt".encode("gb18030")
    (tmp_path / "OA").mkdir()
    with open(raw, "wb") as file:  # noqa: ASYNC230, PTH123 - a name that is no text
        file.write(
            table([(number(), "201", stamp(), partner, c) for c in goods.boxes[10:11]], encoding="gb18030")
        )
    (tmp_path / "坏.csv").write_bytes(table([(number(), "201", stamp(), partner, "8.38579E+19")]))
    # kind named by the subfolder; the temporary name of a writer is left alone
    listed = table([(number(), partner, goods.boxes[11])], heads=("单号", "客户", "追溯码"))
    (tmp_path / "OA" / "清单.csv").write_bytes(listed)
    (tmp_path / "正在写.xml.tmp").write_bytes(b"<Document")
    await until(tmp_path / "done" / "好.xml")
    await until(tmp_path / "failed" / "坏.csv")
    await until(tmp_path / "OA" / "done" / "清单.csv")
    await until(tmp_path / "done" / os.fsdecode("出库单.txt".encode("gb18030")))
    good = (tmp_path / "done" / "好.xml.result.csv").read_text("utf-8-sig")
    assert good.count(",已受理,") == 10
    bad = (tmp_path / "failed" / "坏.csv.result.csv").read_text("utf-8-sig")
    assert "file_code_rounded" in bad and "文本格式" in bad
    assert "未受理" in (tmp_path / "failed" / "坏.csv.result.txt").read_text("utf-8-sig")
    assert (tmp_path / "正在写.xml.tmp").exists()
    assert (await market.status(goods.boxes[11]))[0] == "O"


async def test_a_file_still_being_written_waits_for_its_end(
    server: Running, watching: Watching, world: World, tmp_path: Path
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    await until(tmp_path / ".yaosu-watch.lock")
    data = scan_xml("OA", [(number(), world.uscc(market.wholesaler), goods.boxes)])
    slow = tmp_path / "慢.xml"
    slow.write_bytes(data[:400])
    # longer than it takes a file to count as complete: what looks cut off is given more patience
    await asyncio.sleep(1.2)
    assert slow.exists()
    with slow.open("ab") as file:
        file.write(data[400:])
    await until(tmp_path / "done" / "慢.xml")
    assert (await market.status(goods.boxes[0]))[0] == "O"
    # a table that stops amid a line is given time, too: a cut one could not be told from a whole one
    more = await world.goods(market.maker, cases=1)
    partner = world.uscc(market.wholesaler)
    rows = table([(number(), "201", stamp(), partner, c) for c in more.boxes[:1]])
    half = tmp_path / "半.csv"
    half.write_bytes(rows[:-6])
    await asyncio.sleep(1.2)
    assert half.exists()
    half.write_bytes(rows)
    await until(tmp_path / "done" / "半.csv")
    watching.kill()
    watching = Watching(server, world.keys[market.maker], tmp_path, patience=1)
    (tmp_path / "断.xml").write_bytes(data[:400])
    watching.start()
    try:
        await until(tmp_path / "failed" / "断.xml")
    finally:
        watching.kill()
    assert "file_cut" in (tmp_path / "failed" / "断.xml.result.csv").read_text("utf-8-sig")


async def test_killed_in_the_middle_nothing_is_lost_and_nothing_done_twice(
    server: Running, world: World, conn: Connection, tmp_path: Path
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=4)
    partner = world.uscc(market.wholesaler)
    numbers = [number("K") for _ in range(8)]
    for n, no in enumerate(numbers):
        part = goods.boxes[n * 5 : n * 5 + 5]
        (tmp_path / f"{n}.xml").write_bytes(scan_xml("OA", [(no, partner, part)]))
    one = Watching(server, world.keys[market.maker], tmp_path)
    one.start()
    await until(tmp_path / "done" / "0.xml")
    one.kill()
    # the server goes away, too, and comes back while the watcher waits
    one.start()
    server.kill()
    await asyncio.sleep(1.0)
    server.start()
    try:
        for n in range(8):
            await until(tmp_path / "done" / f"{n}.xml")
    finally:
        one.kill()
    query = "SELECT bill_no, count(*) FROM bill WHERE bill_no = ANY($1) GROUP BY 1"
    assert {r["bill_no"]: r["count"] for r in await conn.fetch(query, numbers)} == dict.fromkeys(numbers, 1)
    for n in range(8):
        result = (tmp_path / "done" / f"{n}.xml.result.csv").read_text("utf-8-sig")
        assert result.count(",已受理,") == 5, result
    # the same content under another name: recognised, done, and no second bill
    (tmp_path / "again.xml").write_bytes((tmp_path / "done" / "0.xml").read_bytes())
    (tmp_path / "0.xml").write_bytes((tmp_path / "done" / "1.xml").read_bytes())
    once = Watching(server, world.keys[market.maker], tmp_path, "--once")
    once.start()
    assert once.process is not None
    await asyncio.to_thread(once.process.communicate, None, COMES_WITHIN_S)
    assert "与此前的文件相同" in (tmp_path / "done" / "again.xml.result.txt").read_text("utf-8-sig")
    assert (tmp_path / "done" / "0~2.xml").exists()
    assert {r["bill_no"]: r["count"] for r in await conn.fetch(query, numbers)} == dict.fromkeys(numbers, 1)


async def test_one_folder_has_one_watcher_and_a_wrong_key_ends_it(
    server: Running, watching: Watching, world: World, tmp_path: Path
) -> None:
    await until(tmp_path / ".yaosu-watch.lock")
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.csv").write_bytes(table([("1", "201", stamp(), "x", "83857930000000000001")]))
    wrong = Watching(server, "yk_wrong", other, "--once")
    second, ended = await asyncio.gather(ended_with(watching), ended_with(wrong))
    assert second.returncode == 1 and b"file_folder_taken" in second.stderr
    assert ended.returncode == 1 and (other / "a.csv").exists()


async def ended_with(one: Watching) -> subprocess.CompletedProcess[bytes]:
    """Run it once more, to its end."""
    return await asyncio.to_thread(
        subprocess.run, one.command, env=one.env, capture_output=True, timeout=COMES_WITHIN_S, check=False
    )


async def test_the_server_itself_watches_a_folder_for_an_organisation(server: Running, world: World) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    async with httpx.AsyncClient(base_url=server.url, headers=world.head(market.maker), timeout=60) as client:
        got = await client.put("/api/v1/files/folder", json={"active": True})
        assert got.status_code == 200, got.text
    folder = server.data / "folders" / str(market.maker)
    (folder / "a.xml").write_bytes(scan_xml("OA", [(number(), world.uscc(market.wholesaler), goods.boxes)]))
    await until(folder / "done" / "a.xml")
    assert (await market.status(goods.boxes[0]))[0] == "O"
