"""`yaosu epcis …` on a database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner

from exchange.epcis.helpers import World, code, document, shipping
from yaosu.exchange.epcis.commands import app


@pytest.fixture
def runner(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    """Commands on the module's database."""
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_DATA", str(tmp_path / "data"))
    return CliRunner()


async def test_a_file_is_captured_and_asked_for(world: World, runner: CliRunner, tmp_path: Path) -> None:
    cases, boxes = await world.goods()
    file = tmp_path / "doc.json"
    file.write_bytes(orjson.dumps(document(shipping(cases, world.party(world.wholesaler)))))
    done = await asyncio.to_thread(
        runner.invoke, app, ["capture", str(file), "--org", str(world.maker), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert orjson.loads(done.output)["captured"] == 1
    assert (await world.unit(code(boxes[0])))[0] == "O"
    asked = await asyncio.to_thread(
        runner.invoke,
        app,
        ["query", f"MATCH_epc={cases[0]}", "EQ_bizStep=shipping", "--org", str(world.maker)],
    )
    assert asked.exit_code == 0 and cases[0] in asked.output
    marked = await asyncio.to_thread(
        runner.invoke, app, ["query", f"MATCH_epc={cases[0]}", "--org", str(world.maker), "--xml"]
    )
    assert "<epcisq:EPCISQueryDocument" in marked.output


async def test_what_is_wrong_is_printed_and_ends_with_one(
    world: World, runner: CliRunner, tmp_path: Path
) -> None:
    file = tmp_path / "doc.json"
    file.write_bytes(orjson.dumps(document(shipping(["urn:epc:id:sgtin:1.2.3"], "urn:x:1"))))
    done = await asyncio.to_thread(runner.invoke, app, ["capture", str(file), "--org", str(world.maker)])
    assert done.exit_code == 1 and "/epcisBody/eventList/0/epcList/0" in done.output
    party = await asyncio.to_thread(
        runner.invoke, app, ["party", "6901234009996", str(world.wholesaler), "--org", str(world.maker)]
    )
    assert party.exit_code == 0 and "6901234009996" in party.output
    bad = await asyncio.to_thread(runner.invoke, app, ["query", "EQ_color=red", "--org", str(world.maker)])
    assert bad.exit_code == 1
