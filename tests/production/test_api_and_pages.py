"""The maker's day over HTTP: request codes, check, activate, pack; uploads resume; long work runs in the worker."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import zipfile
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from access.helpers import PASSWORD, key_headers, make_account, make_org
from production.helpers import BOX, CASE, MIDDLE, Row, code, make_product, tree
from yaosu.db.engine import Connection, Pool
from yaosu.production import commands, tasks, uploads
from yaosu.settings import Settings

PREFIX = {BOX: b"8344441", MIDDLE: b"8344442", CASE: b"8344443"}


def own(data: bytes) -> bytes:
    for old, new in PREFIX.items():
        data = data.replace(old.encode(), new)
    return data


class Maker:
    """A maker with an API key, a browser login and one product."""

    def __init__(self, org: int, drug_id: int, headers: dict[str, str], login: str) -> None:
        self.org, self.drug_id, self.headers, self.login = org, drug_id, headers, login


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(client: httpx.AsyncClient, pool: Pool) -> Maker:
    async with pool.acquire() as conn:
        org = await make_org(conn, 1)
        prefixes = tuple(p.decode() for p in PREFIX.values())
        drug_id = await make_product(conn, org, prefixes, (1, 4, 3))
        headers = await key_headers(conn, org)
        _, login = await make_account(conn, org, "admin")
    registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
    async with pool.acquire() as conn:
        await registry.refresh(conn)
    return Maker(org, drug_id, headers, login)


@pytest.fixture(scope="module")
def server_settings(client: httpx.AsyncClient) -> Settings:
    found: Settings = client._transport.app.state.yaosu.settings  # type: ignore[attr-defined]
    return found


async def test_codes_are_requested_and_downloaded(client: httpx.AsyncClient, mill: Maker) -> None:
    body = {
        "drug_id": mill.drug_id,
        "levels": [{"level": 1, "count": 120}, {"level": 2, "count": 30}],
        "client_ref": "SQ-1",
    }
    made = await client.post("/api/v1/code-requests", json=body, headers=mill.headers)
    assert made.status_code == 201, made.text
    again = await client.post("/api/v1/code-requests", json=body, headers=mill.headers)
    assert again.json()["id"] == made.json()["id"]
    number = made.json()["id"]
    got = await client.get(
        f"/api/v1/code-requests/{number}/codes?level=1&start=100&count=20", headers=mill.headers
    )
    assert got.status_code == 200 and len(got.text.split()) == 20
    packed = await client.get(f"/api/v1/code-requests/{number}/codes?format=csv.zip", headers=mill.headers)
    assert len(zipfile.ZipFile(io.BytesIO(packed.content)).namelist()) == 2
    origin = await client.get(
        "/api/v1/code-requests/origin", params={"code": got.text.split()[3]}, headers=mill.headers
    )
    assert (origin.json()["request_id"], origin.json()["number"]) == (number, 103)
    listed = await client.get("/api/v1/code-requests", headers=mill.headers)
    assert listed.json()["items"][0]["state"] == "downloaded"
    over = await client.get(
        f"/api/v1/code-requests/{number}/codes?level=1&start=110&count=20", headers=mill.headers
    )
    assert over.status_code == 422 and over.json()["code"] == "code_download_range"


@pytest_asyncio.fixture(loop_scope="module")
async def guessed(client: httpx.AsyncClient, mill: Maker, pool: Pool) -> None:
    """Codes of these tests are printed elsewhere: no range is issued under the prefixes."""
    async with pool.acquire() as conn:
        await conn.execute("DELETE FROM code_range")


@pytest.mark.usefixtures("guessed")
async def test_a_file_is_checked_activated_and_packed(client: httpx.AsyncClient, mill: Maker) -> None:
    data = own(tree(2, 3, 4).xml())
    dry = await client.post("/api/v1/relations?dry_run=true", content=data, headers=mill.headers)
    assert dry.status_code == 200, dry.text
    assert dry.json()["ok"] and dry.json()["boxes"] == 24
    sent = await client.post(
        "/api/v1/relations?stock_in=true", files={"file": ("第一批.xml", data)}, headers=mill.headers
    )
    assert sent.status_code == 200, sent.text
    assert sent.json()["codes"] == 32 and sent.json()["stock_bill"]
    again = await client.post("/api/v1/relations", content=data, headers=mill.headers)
    assert again.json()["repeated"] and again.json()["bill_id"] == sent.json()["bill_id"]
    bill = sent.json()["bill_id"]
    kept = await client.get(f"/api/v1/relations/{bill}/file", headers=mill.headers)
    assert kept.content == data
    one = await client.get(f"/api/v1/relations/{bill}", headers=mill.headers)
    assert one.json()["file_name"] == "第一批.xml"
    box, case = own(code(BOX, 1).encode()).decode(), own(code(CASE, 1).encode()).decode()
    out = await client.post("/api/v1/packing/unpack", json={"codes": [box]}, headers=mill.headers)
    assert out.status_code == 200 and out.json()["qty"] == 1, out.text
    wrong = await client.post(
        "/api/v1/packing/pack", json={"container": case, "codes": [box]}, headers=mill.headers
    )
    assert wrong.status_code == 422
    assert [f["code"] for f in wrong.json()["findings"]] == ["pack_level"]
    gone = await client.post(
        "/api/v1/packing/void", json={"codes": [box], "reason": "留样"}, headers=mill.headers
    )
    assert gone.status_code == 200, gone.text


@pytest.mark.usefixtures("guessed")
@pytest.mark.parametrize(
    ("data", "status", "expected"),
    [
        (b"", 422, "relation_empty"),
        (b"\x80\xff" * 9, 422, "relation_encoding"),
        (b"<!DOCTYPE x><x/>", 422, "relation_doctype"),
        (b"PK\x03\x04", 422, "archive_unreadable"),
        (gzip.compress(b"<Document>" + b" " * (64 << 20)), 422, "archive_ratio"),
        (b"<Document>" * 3000, 422, "relation_too_deep"),
        (
            b"code,level,batch_no,made_on,expires_on\n'; DROP TABLE unit;--,1,<b>,2026-01-01,2026-02-01",
            422,
            "relation_refused",
        ),
    ],
)
async def test_hostile_bodies_get_a_clear_refusal(
    client: httpx.AsyncClient, mill: Maker, data: bytes, status: int, expected: str
) -> None:
    found = await client.post("/api/v1/relations", content=data, headers=mill.headers)
    assert (found.status_code, found.json()["code"]) == (status, expected)
    assert found.json()["message"] and found.json()["next"]


async def test_an_upload_goes_on_where_it_stopped(client: httpx.AsyncClient, mill: Maker) -> None:
    data = own(tree(3, 3, 4, first=500).xml())
    body = {"name": "b.xml", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    begun = await client.post("/api/v1/uploads", json=body, headers=mill.headers)
    assert begun.status_code == 201, begun.text
    address = f"/api/v1/uploads/{begun.json()['id']}"

    async def send(offset: int, piece: bytes) -> httpx.Response:
        return await client.patch(
            address, content=piece, headers={**mill.headers, "upload-offset": str(offset)}
        )

    assert (await send(0, data[:1000])).json()["offset"] == 1000
    wrong = await send(0, data[:1000])
    assert wrong.status_code == 409 and wrong.json()["params"]["offset"] == 1000
    assert (await client.get(address, headers=mill.headers)).json()["state"] == "open"
    early = await client.post(
        "/api/v1/relations/jobs", json={"upload": begun.json()["id"]}, headers=mill.headers
    )
    assert early.status_code == 409 and early.json()["code"] == "upload_incomplete"
    much = await send(1000, data[1000:] + b"x")
    assert much.status_code == 413
    now = (await client.get(address, headers=mill.headers)).json()["offset"]
    done = await send(now, data[now:])
    assert done.json()["state"] == "complete", done.text
    assert (await client.delete(address, headers=mill.headers)).status_code == 204
    assert (await client.get(address, headers=mill.headers)).status_code == 404


async def test_a_damaged_upload_starts_again(client: httpx.AsyncClient, mill: Maker) -> None:
    body = {"name": "b.xml", "size": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}
    address = f"/api/v1/uploads/{(await client.post('/api/v1/uploads', json=body, headers=mill.headers)).json()['id']}"
    bad = await client.patch(address, content=b"abd", headers={**mill.headers, "upload-offset": "0"})
    assert (bad.status_code, bad.json()["code"]) == (422, "upload_digest")
    good = await client.patch(address, content=b"abc", headers={**mill.headers, "upload-offset": "0"})
    assert good.json()["state"] == "complete"


async def test_uploads_of_others_and_limits(client: httpx.AsyncClient, mill: Maker, pool: Pool) -> None:
    async with pool.acquire() as conn:
        other = await key_headers(conn, await make_org(conn, 1))
    begun = await client.post("/api/v1/uploads", json={"name": "b", "size": 3}, headers=other)
    address = f"/api/v1/uploads/{begun.json()['id']}"
    assert (await client.get(address, headers=mill.headers)).status_code == 404
    assert (
        await client.patch(address, content=b"a", headers={**mill.headers, "upload-offset": "0"})
    ).status_code == 404
    big = await client.post("/api/v1/uploads", json={"name": "b", "size": 3 << 30}, headers=other)
    assert big.json()["code"] == "upload_size"
    for _ in range(uploads.OPEN_MAX):
        last = await client.post("/api/v1/uploads", json={"name": "b", "size": 3}, headers=other)
    assert (last.status_code, last.json()["code"]) == (429, "upload_quota")
    assert (await client.patch(address, content=b"a", headers=other)).status_code == 422


async def upload(client: httpx.AsyncClient, headers: dict[str, str], name: str, data: bytes) -> str:
    begun = await client.post("/api/v1/uploads", json={"name": name, "size": len(data)}, headers=headers)
    number: str = begun.json()["id"]
    await client.patch(f"/api/v1/uploads/{number}", content=data, headers={**headers, "upload-offset": "0"})
    return number


@pytest.mark.usefixtures("guessed")
async def test_the_worker_checks_and_activates_uploads(
    client: httpx.AsyncClient, mill: Maker, server_settings: Settings, database: str
) -> None:
    number = await upload(client, mill.headers, "c.xml", own(tree(2, 3, 4, first=900).xml()))
    wrong = tree(1, 3, 4, first=2000)
    wrong.rows.append(Row(code(BOX, 7777), 1, code(MIDDLE, 7777)))
    bad = await upload(client, mill.headers, "bad.xml", own(wrong.xml()))
    queued = []
    for what in ({"upload": number, "dry_run": True}, {"upload": number, "stock_in": True}, {"upload": bad}):
        answer = await client.post("/api/v1/relations/jobs", json=what, headers=mill.headers)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "queued"
        queued.append(answer.json()["id"])
    await asyncio.wait_for(tasks.work(server_settings, database, until_empty=True), 300)
    seen = [(await client.get(f"/api/v1/jobs/{j}", headers=mill.headers)).json() for j in queued]
    assert [s["state"] for s in seen] == ["done", "done", "refused"]
    assert seen[0]["result"]["ok"] and seen[0]["result"]["boxes"] == 24
    assert seen[1]["result"]["stock_bill"] and seen[1]["finished_at"]
    assert seen[2]["result"]["findings"][0]["code"] == "relation_parent_missing"


@pytest.mark.usefixtures("guessed")
async def test_work_that_a_killed_worker_left_half_done_is_taken_up_again(
    client: httpx.AsyncClient, mill: Maker, server_settings: Settings, database: str, pool: Pool
) -> None:
    number = await upload(client, mill.headers, "k.xml", own(tree(1, 3, 4, first=6000).xml()))
    queued = await client.post("/api/v1/relations/jobs", json={"upload": number}, headers=mill.headers)
    async with pool.acquire() as conn:
        await conn.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL WHERE status = 'todo'"
        )
        await conn.execute("UPDATE job SET state = 'running', done = 5 WHERE id = $1", queued.json()["id"])
    await asyncio.wait_for(tasks.work(server_settings, database, until_empty=True), 300)
    seen = (await client.get(f"/api/v1/jobs/{queued.json()['id']}", headers=mill.headers)).json()
    assert seen["state"] == "done" and seen["result"]["boxes"] == 12, seen


async def test_nobody_unknown_gets_in(client: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", "/code-requests"),
        ("POST", "/code-requests"),
        ("GET", "/code-requests/1/codes"),
        ("POST", "/relations"),
        ("GET", "/relations/1/file"),
        ("POST", "/uploads"),
        ("PATCH", "/uploads/00000000-0000-0000-0000-000000000000"),
        ("GET", "/jobs/00000000-0000-0000-0000-000000000000"),
        ("POST", "/packing/void"),
    ):
        found = await client.request(method, f"/api/v1{path}", headers={"upload-offset": "0"})
        assert found.status_code == 401, path


async def test_the_pages_lead_from_request_to_activation(
    client: httpx.AsyncClient, mill: Maker, server_settings: Settings, database: str, pool: Pool
) -> None:
    signed = await client.post("/login", data={"login": mill.login, "password": PASSWORD, "next": "/"})
    assert signed.status_code == 303, signed.text
    page = await client.get("/code-requests", headers={"accept": "text/html"})
    assert page.status_code == 200 and "追溯码申请" in page.text
    token = page.text.split('name="csrf-token" content="')[1].split('"')[0]
    form = {"_csrf": token, "drug_id": str(mill.drug_id), "count_1": "10", "count_2": "", "purpose": "页面"}
    made = await client.post("/code-requests", data=form, headers={"accept": "text/html"})
    assert made.status_code == 303, made.text
    assert "下载码包" in (await client.get(made.headers["location"], headers={"accept": "text/html"})).text
    bad = await client.post(
        "/code-requests", data={**form, "count_1": "many"}, headers={"accept": "text/html"}
    )
    assert bad.status_code == 422 and "many" in bad.text
    async with pool.acquire() as conn:
        await conn.execute("DELETE FROM code_range")
    number = await upload(client, mill.headers, "页面.xml", own(tree(1, 3, 4, first=3000).xml()))
    sent = await client.post(
        "/relations",
        data={"_csrf": token, "upload": number, "action": "check"},
        headers={"accept": "text/html"},
    )
    assert sent.status_code == 303, sent.text
    where = sent.headers["location"]
    assert "排队中" in (await client.get(where, headers={"accept": "text/html"})).text
    await asyncio.wait_for(tasks.work(server_settings, database, until_empty=True), 300)
    state = await client.get(where + "/state", headers={"accept": "text/html"})
    assert "校验通过" in state.text and "激活 12 盒" in state.text
    sent = await client.post(
        "/relations",
        data={"_csrf": token, "upload": number, "action": "activate"},
        headers={"accept": "text/html"},
    )
    await asyncio.wait_for(tasks.work(server_settings, database, until_empty=True), 300)
    assert "已激活" in (await client.get(sent.headers["location"], headers={"accept": "text/html"})).text
    listed = await client.get("/relations", headers={"accept": "text/html"})
    assert "页面.xml" in listed.text
    bill = listed.text.split('href="/relations/')[-1].split('"')[0]
    assert "SHA-256" in (await client.get(f"/relations/{bill}", headers={"accept": "text/html"})).text
    box = own(code(BOX, 3000).encode()).decode()
    packing = await client.post(
        "/packing", data={"_csrf": token, "act": "unpack", "codes": box}, headers={"accept": "text/html"}
    )
    assert packing.status_code == 200 and "已完成" in packing.text, packing.text[-2000:]
    again = await client.post(
        "/packing", data={"_csrf": token, "act": "unpack", "codes": box}, headers={"accept": "text/html"}
    )
    assert again.status_code == 422 and "不在任何包装内" in again.text
    for act in ("pack", "replace", "void"):
        assert (await client.get(f"/packing?act={act}", headers={"accept": "text/html"})).status_code == 200
    client.cookies.clear()


async def test_the_command_line_does_the_same_with_exit_codes(
    db: Connection, mill: Maker, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_DATA", str(tmp_path))
    file = tmp_path / "d.xml"

    async def run(*words: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, commands.app, [*words, "--org", str(mill.org)])
        return result.exit_code, result.stdout

    status, printed = await run("request", "--product", str(mill.drug_id), "--level", "1=5")
    assert status == 0 and printed.strip().isdigit()
    out = tmp_path / "codes.txt"
    status, _ = await run("download", printed.strip(), "--out", str(out))
    codes = out.read_text().split()
    assert status == 0 and len(codes) == 5
    assert (await run("whose", codes[2]))[0] == 0
    assert (await run("whose", code("8344441", 5)))[0] == 1
    assert (await run("request", "--product", str(mill.drug_id), "--level", "one"))[0] == 2
    rows = tree(0, 0, 0)
    rows.rows = [Row(c, 1) for c in codes]
    file.write_bytes(rows.xml())
    status, printed = await run("validate", str(file), "--json")
    assert status == 0 and json.loads(printed)["ok"]
    status, printed = await run("activate", str(file), "--stock-in", "--json")
    assert status == 0 and json.loads(printed)["boxes"] == 5
    file.write_bytes(rows.xml("\r\n"))
    assert (await run("validate", str(file)))[0] == 1
    assert (await run("activate", str(file)))[0] == 1
