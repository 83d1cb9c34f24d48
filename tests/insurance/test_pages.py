"""The pages of the insurance room for a pharmacy and for the bureau, and the command line."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from access.helpers import PASSWORD, make_account
from insurance.helpers import Scene, make_scene, stocked
from yaosu.db.engine import Pool
from yaosu.insurance.commands import app

PAGES = (
    "/insurance",
    "/insurance?tab=overdue",
    "/insurance/settlements",
    "/insurance/messages",
    "/insurance/dossier",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[Scene]:
    """A committed scene with a duplicate in it."""
    async with pool.acquire() as conn:
        made = await make_scene(conn)
        await client._transport.app.state.yaosu.parts["registry"].refresh(conn, full=True)  # type: ignore[attr-defined]
        goods = await stocked(made, made.market.pharmacy)
        await made.settle(made.pharmacy.institution, goods.boxes[:1], number="S1")
        await made.settle(made.pharmacy.institution, goods.boxes[:1], number="S2")
        yield made


async def _sign_in(client: httpx.AsyncClient, scene: Scene, org: int, role: str) -> dict[str, str]:
    _, login = await make_account(scene.conn, org, role)
    client.cookies.clear()
    made = await client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    assert made.status_code in (200, 201), made.text
    return {"accept": "text/html"}


def _csrf(page: str) -> str:
    found = re.search(r'name="_csrf" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)


async def test_a_pharmacy_explains_on_the_page_and_the_bureau_decides(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    (case,) = await scene.cases()
    url = f"/insurance/cases/{case['id']}"
    html = await _sign_in(client, scene, scene.market.pharmacy, "quality")
    for path in (*PAGES, url, f"/insurance/dossier?case={case['id']}"):
        answer = await client.get(path, headers=html)
        assert answer.status_code == 200, (path, answer.text[:500])
    page = (await client.get(url, headers=html)).text
    assert "本机构已结算" in page
    empty = await client.post(f"{url}/say", data={"_csrf": _csrf(page), "text": " "}, headers=html)
    assert empty.status_code == 422
    done = await client.post(
        f"{url}/say", data={"_csrf": _csrf(page), "text": "连续扫码 & 复核"}, headers=html
    )
    assert done.status_code == 303
    assert "连续扫码 &amp; 复核" in (await client.get(url, headers=html)).text
    add = await client.post(
        f"{url}/files",
        data={"_csrf": _csrf(page)},
        files={"file": ("票.pdf", b"%PDF-1.4 x", "application/pdf")},
        headers=html,
    )
    assert add.status_code == 303
    wrong = await client.post(
        f"{url}/files", data={"_csrf": _csrf(page)}, files={"file": ("x.exe", b"MZ", "a/b")}, headers=html
    )
    assert wrong.status_code == 422
    code = case["code"]
    told = {"_csrf": _csrf(page), "code": code, "text": "补充"}
    said = await client.post("/insurance/dossier", data=told, headers=html)
    assert said.status_code == 303
    paper = await client.get(f"/insurance/dossier?code={code}&format=pdf", headers=html)
    assert paper.content.startswith(b"%PDF")
    assert (await client.get("/insurance/institutions", headers=html)).status_code == 403

    html = await _sign_in(client, scene, scene.bureau, "insurer_admin")
    for path in (*PAGES, url, "/insurance/institutions", f"/insurance/dossier?code={code}"):
        answer = await client.get(path, headers=html)
        assert answer.status_code == 200, (path, answer.text[:500])
    page = (await client.get(url, headers=html)).text
    end = {"_csrf": _csrf(page), "result": "data_error", "text": "重复提交"}
    assert (await client.post(f"{url}/close", data=end, headers=html)).status_code == 303
    assert "数据差错" in (await client.get(url, headers=html)).text


async def test_a_bureau_registers_on_the_page_and_sees_the_keys_once(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    html = await _sign_in(client, scene, scene.bureau, "insurer_admin")
    page = (await client.get("/insurance/institutions", headers=html)).text
    form = {"_csrf": _csrf(page), "code": "H37010299001", "name": "社区医院", "region": "370102"}
    made = await client.post("/insurance/institutions", data=form, headers=html)
    assert made.status_code == 200
    assert "只显示这一次" in made.text
    again = await client.post("/insurance/institutions", data=form, headers=html)
    assert again.status_code == 409
    assert "已登记" in again.text
    listed = await client.get("/insurance/institutions?q=H37010299001", headers=html)
    assert "社区医院" in listed.text
    assert "只显示这一次" not in listed.text
    assert (await client.get("/trace", headers=html)).status_code == 403


def test_the_command_line_says_the_same(scene: Scene, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    run = CliRunner().invoke
    shop, bureau = str(scene.market.pharmacy), str(scene.bureau)
    listed = run(app, ["cases", "--org", bureau])
    assert listed.exit_code == 0, listed.output
    (case,) = orjson.loads(listed.stdout)["items"]
    shown = run(app, ["case", str(case["id"]), "--org", shop])
    assert orjson.loads(shown.stdout)["number"] == case["number"]
    checked = run(app, ["check", case["code"], "--org", shop, "--act", "S9"])
    assert orjson.loads(checked.stdout)["decision"] == "refuse"
    made = run(app, ["dossier", case["code"], "--org", shop])
    assert orjson.loads(made.stdout)["digest"]["sha256"]
    late = run(app, ["answer", str(case["id"]), "--org", shop, "--text", "x"])
    assert late.exit_code == 1
    assert run(app, ["institutions", "--org", shop]).exit_code == 1
    assert len(orjson.loads(run(app, ["institutions", "--org", bureau]).stdout)["items"]) >= 2
