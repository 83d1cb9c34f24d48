"""`yaosu uncoded …`: the account from the server's own command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from openpyxl import load_workbook
from typer.testing import CliRunner, Result

from uncoded.helpers import make_shop, png
from yaosu.db.engine import open_pool
from yaosu.uncoded.commands import app

BASE = [
    "open",
    "--invoice",
    "I1",
    "--zone",
    "Z",
    "--supplier",
    "某公司",
    "--produced",
    "2024-01-01",
    "--expires",
    "2059-01-01",
]


def test_an_account_is_opened_used_and_written_out(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)

    async def prepare() -> tuple[int, int]:
        pool = await open_pool(database)
        async with make_shop(pool) as shop:
            found = shop.pharmacy, shop.drug_id
        await pool.close()
        return found

    org, drug = asyncio.run(prepare())
    proof = tmp_path / "发票.png"
    proof.write_bytes(png(3))

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--org", str(org), "--data", str(tmp_path)])

    goods = [*BASE, "--drug", str(drug), "--proof", str(proof), "--qty", "9"]
    opened = run(*goods, "--batch", "C-1", "--bought", "2025-06-01")
    assert opened.exit_code == 0, opened.output
    lot = str(json.loads(opened.output)["lot_ids"][0])
    late = run(*goods, "--batch", "C-2", "--bought", "2026-06-01")
    assert late.exit_code == 1 and "2026-01-01" in late.output
    assert run("sell", lot, "--qty", "2", "--receipt", "JS1").exit_code == 0
    assert run("return", lot, "--qty", "1", "--reason", "多购").exit_code == 0
    assert run("lose", lot, "--qty", "1", "--reason", "破损").exit_code == 0
    counted = run("verify", lot, "--counted", "4", "--counter", "甲", "--checker", "乙", "--explain", "短少")
    assert json.loads(counted.output)["bill_no"]
    assert run("sell", lot, "--qty", "9", "--receipt", "JS2").exit_code == 1
    assert run("ask", lot, "--qty", "1").exit_code == 1
    (found,) = json.loads(run("list", "--json").output)
    assert (found["entered"], found["left"], len(found["draws"])) == (9, 4, 4)
    assert "C-1" in run("list").output
    target = tmp_path / "专帐.xlsx"
    assert run("book", str(target)).exit_code == 0
    assert load_workbook(target).worksheets
