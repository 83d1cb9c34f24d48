"""`yaosu dispense split`: the same doors from the server's command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dispensing.split_helpers import ward_on
from yaosu.db.engine import open_pool
from yaosu.dispensing import split_pools
from yaosu.dispensing.split_commands import app

run = CliRunner().invoke


def test_parts_are_dispensed_drawn_and_listed(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_DATA", str(tmp_path))

    async def prepared() -> tuple[int, int, int, list[str]]:
        pool = await open_pool(database)
        async with ward_on(pool) as ward:
            boxes = (await ward.boxes()).boxes
            async with pool.acquire() as conn, conn.transaction():
                made = await split_pools.create(conn, ward.desk, "三病区", "ward")
            found = ward.market.hospital, ward.market.drug_id, made, boxes
        await pool.close()
        return found

    org, drug, pool_id, boxes = asyncio.run(prepared())
    by = ["--org", str(org)]
    file = tmp_path / "parts.json"
    file.write_text(json.dumps({"number": "CL-1", "lines": [{"code": boxes[0], "units": 6}]}))
    done = run(app, ["dispense", str(file), *by, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["lines"][0]["parts"][0]["trdn_flag"] == "1"
    file.write_text(json.dumps({"number": "CT-1", "lines": [{"code": boxes[0], "units": 2}]}))
    back = run(app, ["return", str(file), *by, "--json"])
    assert back.exit_code == 0 and json.loads(back.stdout)["kind"] == "return", back.output
    file.write_text(
        json.dumps({"number": "CS-9", "reason": "掉落", "lines": [{"code": boxes[0], "units": 2}]})
    )
    lost = run(app, ["lose", str(file), *by])
    assert lost.exit_code == 0 and "CS-9: 1 盒" in lost.output, lost.output
    file.write_text(
        json.dumps({"number": "CS-8", "reason": "掉落", "lines": [{"code": boxes[0], "units": 99}]})
    )
    assert run(app, ["lose", str(file), *by]).exit_code == 1
    codes = tmp_path / "codes.txt"
    codes.write_text("\n".join(boxes[1:3]))
    assert run(app, ["load", str(pool_id), str(codes), "--number", "ZC-1", *by]).exit_code == 0
    draw = tmp_path / "draw.json"
    draw.write_text(json.dumps({"number": "BY-1", "drug_id": drug, "units": 30, "prescription_no": "ZY-1"}))
    assert run(app, ["draw", str(pool_id), str(draw), *by]).exit_code == 0
    draw.write_text(json.dumps({"number": "BY-2", "drug_id": drug, "units": 300}))
    short = run(app, ["draw", str(pool_id), str(draw), *by])
    assert short.exit_code == 1 and "池内该药品可发 18" in short.output
    listed = json.loads(run(app, ["pools", *by, "--json"]).stdout)
    assert listed[0]["levels"][0]["units"] == 18
    ledger = json.loads(run(app, ["boxes", *by, "--json"]).stdout)
    assert sorted(b["left"] for b in ledger) == [18, 18]
    out = tmp_path / "ledger.xlsx"
    assert run(app, ["boxes", *by, "--out", str(out)]).exit_code == 0 and out.read_bytes()[:2] == b"PK"
    assert json.loads(run(app, ["box", boxes[0], *by]).stdout)["dispensed"] == 4
    assert run(app, ["box", boxes[9], *by]).exit_code == 1
    nothing = run(app, ["close-expired", "--number", "CS-1", "--reason", "过期", *by])
    assert nothing.exit_code == 1 and "没有已过期" in nothing.output
