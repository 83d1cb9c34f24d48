"""The benchmark at small sizes: every row measures real work and its baseline, and says so in the agreed form."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from yaosu.bench import report
from yaosu.bench.commands import ROWS, add_to, measure
from yaosu.bench.load import Job, drive
from yaosu.bench.measure import SMALL, TARGETS, Row, interleave
from yaosu.bench.relation_file import relation_lines
from yaosu.bench.rows import issue, parse, recall_locate
from yaosu.codes import NotACode
from yaosu.codes import parse as parse_code

TINY = replace(
    SMALL,
    boxes=400,
    bill_codes=40,
    bill_sets=1,
    http_seconds=0.5,
    http_warm_up=0.1,
    connections=(2, 4),
    store_boxes=8_000,
    mixed_seconds=0.5,
    mixed_rate=60,
    pallet_boxes=400,
    pallet_bills=2,
    recall_big=20_000,
    disk_pallets=12,
    holders=60,
    issue_codes=20_000,
    parse_strings=400,
    way_bills=2,
    way_sales=6,
    way_stores=2,
)
WITHOUT_BASELINE = {"verify_p99_ms", "bytes_per_box", "parse"}


async def _measured(server_address: str, *names: str) -> dict[str, dict[str, object]]:
    said: list[str] = []
    _, failed, content = await measure(names, TINY, 3, server_address, said.append)
    assert failed == {}
    assert said
    rows = json.loads(json.dumps(content))["rows"]
    assert [row["id"] for row in rows] == list(names)
    return {row["id"]: row for row in rows}


def _in_form(row: dict[str, object]) -> None:
    assert row["runs"] == 3
    assert row["verdict"] in ("aim", "hold", "missed")
    spread = row["spread"]
    assert isinstance(spread, dict)
    sides = ["ours"] if row["id"] in WITHOUT_BASELINE else ["ours", "baseline"]
    for side in sides:
        assert 0 < spread[side]["min"] <= spread[side]["median"] <= spread[side]["max"]
        assert row[side] == spread[side]["median"]
    if row["id"] in WITHOUT_BASELINE:
        assert row["baseline"] is None
        assert row["ratio"] is None
    else:
        assert row["ratio"] == pytest.approx(row["ours"] / row["baseline"])


async def test_rows_on_bills_and_files_measure_both_sides(server_address: str) -> None:
    rows = await _measured(
        server_address, "activate", "box_bill", "pallet", "recall_locate", "issue", "parse"
    )
    for row in rows.values():
        _in_form(row)
    assert rows["activate"]["extra"]["codes"] == 400 + 40 + 2  # type: ignore[index]
    assert rows["box_bill"]["extra"]["out_of_case"]["ratio"] > 0  # type: ignore[index]
    # the same number of holders on both sides: only the boxes differ
    located = rows["recall_locate"]["extra"]
    assert located["holders_listed"] == located["holders_listed_baseline"] == 61  # type: ignore[index]


async def test_rows_over_http_load_a_real_server_and_its_empty_endpoint(server_address: str) -> None:
    rows = await _measured(server_address, "sale_http", "verify_http", "verify_p99_ms")
    for row in rows.values():
        _in_form(row)
    assert rows["sale_http"]["extra"]["sales"] > 0  # type: ignore[index]
    assert set(rows["sale_http"]["extra"]["by_connections"]) == {"2", "4"}  # type: ignore[index]
    assert {"verify", "sale", "receipt"} <= set(rows["verify_p99_ms"]["extra"]["by_kind_ms"])  # type: ignore[index]


async def test_a_way_in_moves_the_same_bills_as_the_native_api(server_address: str) -> None:
    rows = await _measured(server_address, "way_file", "way_yibao")
    for row in rows.values():
        _in_form(row)


async def test_disk_per_box_is_the_sum_of_its_parts(server_address: str) -> None:
    row = (await _measured(server_address, "bytes_per_box"))["bytes_per_box"]
    _in_form(row)
    parts = row["extra"]["by_part"]  # type: ignore[index]
    assert {"unit", "unit_pkey", "bill_line"} <= set(parts)
    assert sum(parts.values()) == pytest.approx(row["ours"], rel=0.05)
    assert row["extra"]["more_per_box_sold_singly"]["median"] > 0  # type: ignore[index]


async def test_nothing_is_left_on_the_server(server_address: str) -> None:
    await _measured(server_address, "pallet")
    with psycopg.connect(server_address) as conn:
        left = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'yaosu_bench_%'").fetchall()
    assert left == []


async def test_a_row_that_fails_is_named_and_the_others_are_measured(server_address: str) -> None:
    # more boxes in the bill than pallets can be made of: the pallet row cannot be prepared
    broken = replace(TINY, pallet_boxes=0)
    rows, failed, content = await measure(("pallet", "parse"), broken, 3, server_address, lambda _: None)
    assert [row.id for row in rows] == ["parse"]
    assert set(failed) == {"pallet"}
    assert content["failed"] == failed


async def test_a_load_of_refused_requests_is_no_measurement(unused_tcp_port_server: int) -> None:
    job = Job(
        "127.0.0.1", unused_tcp_port_server, 1, ["GET / HTTP/1.1\r\nhost: x\r\n\r\n"], ["{}"], seconds=0.2
    )
    with pytest.raises(RuntimeError, match="not the expected answer"):
        await drive(job)


@pytest.fixture
async def unused_tcp_port_server() -> object:
    """A server that refuses everything."""
    import asyncio

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_sides_take_turns_and_begin_in_turn() -> None:
    calls: list[tuple[str, int]] = []

    def side(name: str) -> object:
        async def once(run: int) -> float:
            calls.append((name, run))
            return float(len(calls))

        return once

    ours, baseline = await interleave(2, side("ours"), side("baseline"))  # type: ignore[arg-type]
    assert calls == [("ours", 0), ("baseline", 0), ("baseline", 1), ("ours", 1)]
    assert (ours, baseline) == ([1.0, 4.0], [2.0, 3.0])


@pytest.mark.parametrize(
    ("id", "ours", "baseline", "verdict"),
    [
        ("activate", 6.0, 10.0, "aim"),
        ("activate", 3.5, 10.0, "hold"),
        ("activate", 3.4, 10.0, "missed"),
        ("pallet", 1.2, 1.0, "aim"),
        ("pallet", 2.0, 1.0, "hold"),
        ("pallet", 2.1, 1.0, "missed"),
        ("verify_p99_ms", 34.0, None, "aim"),
        ("verify_p99_ms", 101.0, None, "missed"),
        ("bytes_per_box", 350.0, None, "hold"),
        ("parse", 49_000.0, None, "missed"),
    ],
)
def test_verdicts_follow_the_design(id: str, ours: float, baseline: float | None, verdict: str) -> None:
    row = Row(id, "x", [ours], None if baseline is None else [baseline], "work")
    assert row.verdict == verdict


def test_a_recall_that_takes_a_second_misses_the_aim_whatever_the_ratio() -> None:
    assert Row("recall_locate", "ms", [1100.0], [1100.0], "work", aim_also=False).verdict == "hold"


def test_every_row_of_the_design_has_a_target() -> None:
    assert set(TARGETS) == set(ROWS)


def test_a_relation_file_holds_every_code_once_in_full_packages() -> None:
    levels = [[f"8{n:019d}" for n in range(25)], [f"9{n:019d}" for n in range(3)]]
    text = "".join(relation_lines(levels, (10,), "B1"))
    assert [text.count(f'curCode="{code}"') for level in levels for code in level] == [1] * 28
    assert text.count(f'parentCode="{levels[1][0]}"') == 10
    # the last one is not full, and says so
    assert f'curCode="{levels[1][2]}" packLayer="2" flag="2"' in text


def test_boxes_are_spread_over_all_holders_and_none_is_invented() -> None:
    for boxes, holders in ((10_000_000, 4_000), (10_000, 4_000), (61, 60)):
        held = recall_locate.spread_boxes(boxes, holders)
        assert len(held) == holders
        assert min(held) >= 1
        assert sum(held) < boxes


def test_the_baseline_of_issuing_writes_random_digits_and_nothing_else() -> None:
    text = b"".join(issue._random_digits(70_000, 1))
    lines = text.split(b"\n")
    assert lines.pop() == b""
    assert len(set(lines)) == len(lines) == 70_000
    assert all(len(line) == 20 and line.isdigit() for line in lines)


def test_the_mixture_of_scans_is_mostly_codes_and_has_what_is_none() -> None:
    found = [parse_code(text) for text in parse.mixture(1_000)]
    refused = sum(isinstance(one, NotACode) for one in found)
    assert 40 <= refused <= 200
    assert len({str(one) for one in found}) > 900


def test_the_command_refuses_rows_it_does_not_know() -> None:
    app = Typer()
    add_to(app)
    done = CliRunner().invoke(app, ["--rows", "activate,speed"])
    assert done.exit_code == 2
    assert "speed" in done.output


def test_the_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    report.write(path, {"rows": []})
    assert json.loads(path.read_text()) == {"rows": []}
    assert list(path.parent.iterdir()) == [path]


def test_the_table_shows_both_sides_ratio_and_verdict() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    report.show(console, [Row("activate", "codes/s", [700.0, 650.0], [1000.0, 1000.0], "the work")])
    text = console.export_text()
    for part in ("activate", "675", "1,000", "0.675", "aim", "the work"):
        assert part in text


def test_a_benchmark_that_is_told_to_end_leaves_no_database_and_no_folder(tmp_path: Path) -> None:
    """SIGTERM while its PostgreSQL runs; every row at full size takes minutes, so it cannot have been done before."""
    # a socket's address has a length limit, and test folders are deep
    with tempfile.TemporaryDirectory(prefix="yb-") as place:
        env = {k: v for k, v in os.environ.items() if k != "YAOSU_DATABASE_URL"}
        with (tmp_path / "out").open("wb") as out:
            bench = subprocess.Popen(
                [sys.executable, "-m", "yaosu.cli.main", "bench", "--rows", "issue"],
                env={**env, "TMPDIR": place},
                stdout=out,
                stderr=out,
            )
        until = time.monotonic() + 180
        pids: list[Path] = []
        while not pids and bench.poll() is None and time.monotonic() < until:
            pids = list(Path(place).glob("yaosu-bench-*/data/pg/postmaster.pid"))
            time.sleep(0.05)
        bench.send_signal(signal.SIGTERM)
        code = bench.wait(180)
        assert pids, (tmp_path / "out").read_text()
        assert code == 128 + signal.SIGTERM
        assert list(Path(place).glob("yaosu*")) == []
