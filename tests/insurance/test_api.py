"""The bureau's room over HTTP: checks, cases, dossiers, institutions, and whose is whose (R-C7, R-X11, D10)."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pypdf
import pytest_asyncio

from access.helpers import key_headers
from circulation.helpers import activate
from insurance.helpers import YIBAO, Scene, make_scene, register, stocked
from registry.helpers import make_org
from yaosu.db.engine import Pool
from yaosu.insurance import clock
from yaosu.insurance.dossier import digest
from yaosu.registry.model import OrgType

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
Headers = Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(client: httpx.AsyncClient, pool: Pool) -> AsyncIterator[Scene]:
    """A committed scene that the server knows."""
    async with pool.acquire() as conn:
        made = await make_scene(conn)
        await client._transport.app.state.yaosu.parts["registry"].refresh(conn, full=True)  # type: ignore[attr-defined]
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(scene: Scene) -> dict[str, Headers]:
    """Keys of everybody."""
    conn = scene.conn
    far = await make_org(conn, OrgType.GOVERNMENT, region="650000", sub_type=1103)
    drug = await make_org(conn, OrgType.GOVERNMENT, region="370000", sub_type=1101)
    await scene.market.registry.refresh(conn, full=True)
    found: dict[str, Headers] = {
        "bureau": await key_headers(conn, scene.bureau),
        "far": await key_headers(conn, far),
        "drug": await key_headers(conn, drug),
    }
    for name in ("pharmacy", "hospital", "wholesaler"):
        found[name] = await key_headers(conn, getattr(scene.market, name))
    return found


def _lines(codes: list[str], **more: Any) -> list[dict[str, Any]]:
    return [{"med_list_codg": YIBAO, "quantity": len(codes), "codes": codes, **more}]


async def _settle(client: httpx.AsyncClient, who: Headers, act: str, codes: list[str], **more: Any) -> Any:
    body = {"act": act, "record": True, "lines": _lines(codes), **more}
    answer = await client.post("/api/v1/insurance/settlement-checks", json=body, headers=who)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def disputed(client: httpx.AsyncClient, scene: Scene, callers: dict[str, Headers]) -> dict[str, Any]:
    """A box sold with its invoice at the pharmacy, then claimed by the hospital."""
    market = scene.market
    await scene.conn.execute(
        "INSERT INTO account (id, login, name, password_hash, org_id, role) OVERRIDING SYSTEM VALUE "
        "VALUES (1, 'clerk', '王店员', 'x', $1, 'sales')",
        market.pharmacy,
    )
    goods = await activate(market, cases=1)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await market.ship(market.wholesaler, market.pharmacy, goods.cases)
    await market.move(
        102, market.pharmacy, goods.cases, from_org=market.wholesaler, bill_no="RK1",
        header={"invoice_no": "FP88001", "delivery_note": "SH77"},
    )  # fmt: skip
    await market.move(321, market.pharmacy, goods.boxes[:1], bill_no="XS1", header={"receipt_no": "XP1"})
    box = goods.boxes[0]
    first = await _settle(client, callers["pharmacy"], "XS1", [box])
    assert first["decision"] == "ok"
    second = await _settle(client, callers["hospital"], "MZ1", [box])
    assert second["decision"] == "refuse"
    (case,) = (
        await client.get("/api/v1/insurance/cases", params={"code": box}, headers=callers["bureau"])
    ).json()["items"]
    return {"box": box, "case": case, "answer": second, "goods": goods}


async def test_a_check_answers_with_reason_and_next_step_and_names_no_other_institution(
    disputed: dict[str, Any], scene: Scene
) -> None:
    (verdict,) = disputed["answer"]["codes"]
    assert (verdict["verdict"], verdict["severity"]) == ("settled_elsewhere", "refuse")
    assert "370102" in verdict["message"]
    assert verdict["next"]
    assert verdict["case"] == disputed["case"]["number"]
    assert scene.pharmacy.institution.name not in str(disputed["answer"])
    assert "institution" not in str(verdict["findings"])


async def test_a_case_shows_each_side_its_own_and_the_bureau_both(
    client: httpx.AsyncClient, disputed: dict[str, Any], callers: dict[str, Headers], scene: Scene
) -> None:
    url = f"/api/v1/insurance/cases/{disputed['case']['id']}"
    views = {
        who: (await client.get(url, headers=callers[who])).json()
        for who in ("bureau", "hospital", "pharmacy")
    }
    shop, ward = scene.pharmacy.institution.name, scene.hospital.institution.name
    assert (views["bureau"]["institution"]["name"], views["bureau"]["other"]["name"]) == (ward, shop)
    assert views["hospital"]["side"] == "later"
    assert shop not in str(views["hospital"])
    assert views["pharmacy"]["side"] == "earlier"
    assert ward not in str(views["pharmacy"])
    assert "MZ1" not in str(views["pharmacy"])
    assert [f["rule"] for f in views["pharmacy"]["findings"]] == ["settled_again"]
    for who, status in (("far", 404), ("wholesaler", 403), ("drug", 403)):
        assert (await client.get(url, headers=callers[who])).status_code == status


async def test_an_institution_explains_adds_files_and_the_bureau_closes(
    client: httpx.AsyncClient, scene: Scene, callers: dict[str, Headers]
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    box = goods.boxes[0]
    await _settle(client, callers["pharmacy"], "C1", [box])
    await _settle(client, callers["pharmacy"], "C2", [box])
    listed = await client.get("/api/v1/insurance/cases", params={"code": box}, headers=callers["pharmacy"])
    (case,) = listed.json()["items"]
    assert case["hints"][0]["code"] == "double_scan"
    url = f"/api/v1/insurance/cases/{case['id']}"
    shop, bureau = callers["pharmacy"], callers["bureau"]
    said = await client.post(f"{url}/statements", json={"text": "收银员扫了两次"}, headers=shop)
    assert (said.status_code, said.json()["state"]) == (200, "answered")
    assert (await client.post(f"{url}/statements", json={"text": "x"}, headers=bureau)).status_code == 403
    files = {"file": ("小票.png", PNG, "image/png")}
    made = await client.post(f"{url}/files", files=files, headers=shop)
    assert made.status_code == 201
    again = await client.post(f"{url}/files", files=files, headers=shop)
    assert again.json() == made.json()
    wrong = await client.post(
        f"{url}/files", files={"file": ("x.html", b"<html>", "text/html")}, headers=shop
    )
    assert wrong.json()["code"] == "insurance_file_kind"
    got = await client.get(f"{url}/files/{made.json()['id']}", headers=bureau)
    assert got.content == PNG
    assert got.headers["content-disposition"].startswith("attachment")
    other = await client.get(f"{url}/files/{made.json()['id']}", headers=callers["hospital"])
    assert other.status_code == 404
    for body, code in (({"result": "nope", "text": "x"}, "insurance_result_unknown"),):
        refused = await client.post(f"{url}/close", json=body, headers=bureau)
        assert refused.json()["code"] == code
    mine = await client.post(f"{url}/close", json={"result": "explained", "text": "x"}, headers=shop)
    assert mine.status_code == 403
    done = await client.post(
        f"{url}/close", json={"result": "data_error", "text": "重复提交"}, headers=bureau
    )
    assert (done.json()["state"], done.json()["result"]) == ("closed", "data_error")
    states = [r["state"] for r in await scene.rows(box)]
    assert states == ["S", "W"]
    late = await client.post(f"{url}/statements", json={"text": "x"}, headers=shop)
    assert late.json()["code"] == "insurance_case_closed"
    told = await scene.conn.fetch(
        "SELECT kind FROM message WHERE org = $1 AND link = $2 ORDER BY id",
        scene.market.pharmacy,
        f"/insurance/cases/{case['id']}",
    )
    news = [r["kind"] for r in told]
    assert news == ["notice_insurance_case", "notice_insurance_closed"]


async def test_a_settlement_taken_back_may_be_settled_again(
    client: httpx.AsyncClient, scene: Scene, callers: dict[str, Headers]
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    shop = callers["pharmacy"]
    await _settle(client, shop, "T1", goods.boxes[:2])
    url = "/api/v1/insurance/settlements/take-back"
    assert (await client.post(url, json={"act": "T1"}, headers=shop)).json() == {"act": "T1", "codes": 2}
    gone = await client.post(url, json={"act": "T1"}, headers=shop)
    assert (gone.status_code, gone.json()["code"]) == (409, "insurance_settlement_ended")
    assert (await _settle(client, shop, "T2", goods.boxes[:2]))["decision"] == "ok"
    listed = await client.get(
        "/api/v1/insurance/settlements", params={"code": goods.boxes[0]}, headers=callers["bureau"]
    )
    assert [r["state"] for r in listed.json()["items"]] == ["S", "B"]
    for who in ("hospital", "far"):
        other = await client.get(
            "/api/v1/insurance/settlements", params={"code": goods.boxes[0]}, headers=callers[who]
        )
        assert other.json()["items"] == []


async def test_a_bureau_checks_for_institutions_of_its_region_only(
    client: httpx.AsyncClient, scene: Scene, callers: dict[str, Headers]
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    body = {"act": "B1", "lines": _lines(goods.boxes[:1])}
    url = "/api/v1/insurance/settlement-checks"
    none = await client.post(url, json=body, headers=callers["bureau"])
    assert none.json()["code"] == "insurance_institution_needed"
    named = {**body, "institution": scene.pharmacy.institution.code}
    assert (await client.post(url, json=named, headers=callers["bureau"])).json()["decision"] == "ok"
    assert (await client.post(url, json=named, headers=callers["far"])).status_code == 404
    assert (await client.post(url, json=named, headers=callers["hospital"])).status_code == 404
    assert (await client.post(url, json=body, headers=callers["wholesaler"])).status_code == 403


async def test_the_dossier_of_a_duplicate_holds_what_the_pharmacy_needs(
    client: httpx.AsyncClient, disputed: dict[str, Any], callers: dict[str, Headers], scene: Scene
) -> None:
    """R-X11: history, bills, invoice, operator, receipt check, settlements, explanation, digest; in one click."""
    box, shop = disputed["box"], callers["pharmacy"]
    await client.put(
        f"/api/v1/insurance/explanations/{box}", json={"text": "本店凭发票购进，只售出一次。"}, headers=shop
    )
    answer = await client.get(f"/api/v1/insurance/dossiers/{box}", headers=shop)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    (view,) = body["views"]
    assert {b["bill_no"]: b["side"] for b in view["bills"]}["RK1"] == "purchase"
    by_no = {b["bill_no"]: b for b in view["bills"]}
    assert by_no["RK1"]["papers"] == {"invoice_no": "FP88001", "delivery_note": "SH77"}
    assert (by_no["XS1"]["side"], by_no["XS1"]["papers"]) == ("sale", {"receipt_no": "XP1"})
    assert by_no["XS1"]["operator"] == "王店员"
    # the supplier's bill names the pharmacy: its number is shown, its operator is not
    supplier = [b for b in view["bills"] if b["side"] == "other"]
    assert supplier
    assert all(b["operator"] is None for b in supplier)
    assert [c["outcome"] for c in view["receipt_checks"]] == ["matched"]
    assert [s["numbers"]["doc"] for s in body["settlements"]] == ["XS1"]
    assert body["statements"][-1]["text"] == "本店凭发票购进，只售出一次。"
    assert [c["number"] for c in body["cases"]] == [disputed["case"]["number"]]
    # the trade between maker and wholesaler is not the pharmacy's to see, and that is said
    maker = scene.market.registry.org(scene.market.maker)
    assert maker is not None
    assert any(e["hidden"] for e in view["events"])
    assert any("其他单位之间" in text for text in body["left_out"])
    assert "MZ1" not in str(body)
    assert body["digest"] == digest(body)
    changed = {**body, "code": "x"}
    assert digest(changed) != body["digest"]


async def test_the_dossier_prints_as_a_paper_that_says_the_same(
    client: httpx.AsyncClient, disputed: dict[str, Any], callers: dict[str, Headers]
) -> None:
    box = disputed["box"]
    for url in (
        f"/api/v1/insurance/dossiers/{box}",
        f"/api/v1/insurance/cases/{disputed['case']['id']}/dossier",
    ):
        answer = await client.get(url, params={"format": "pdf"}, headers=callers["pharmacy"])
        assert answer.headers["content-type"] == "application/pdf"
        text = "".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(answer.content)).pages)
        plain = text.replace("\n", "").replace(" ", "")
        for word in (
            box,
            "FP88001",
            "RK1",
            "XS1",
            disputed["case"]["number"],
            "药品追溯码说明材料",
            "SHA-256",
        ):
            assert word in plain, word


async def test_a_bureau_opens_dossiers_of_its_settlements_and_is_written_down(
    client: httpx.AsyncClient, disputed: dict[str, Any], callers: dict[str, Headers], scene: Scene
) -> None:
    url = f"/api/v1/insurance/dossiers/{disputed['box']}"
    body = (await client.get(url, headers=callers["bureau"])).json()
    assert {v["organisation"]["id"] for v in body["views"]} == {
        scene.market.pharmacy,
        scene.market.hospital,
    }
    assert "FP88001" in str(body)
    reads = await scene.conn.fetch(
        "SELECT owner_org FROM read_record WHERE what = $1 AND org_id = $2",
        f"insurance dossier {disputed['box']}",
        scene.bureau,
    )
    assert {r["owner_org"] for r in reads} == {scene.market.pharmacy, scene.market.hospital}
    assert (await client.get(url, headers=callers["far"])).json()["code"] == "insurance_no_dossier"
    assert (await client.get(url, headers=callers["drug"])).status_code == 403
    # goods that nobody settled are not the bureau's
    other = disputed["goods"].boxes[5]
    plain = await client.get(f"/api/v1/insurance/dossiers/{other}", headers=callers["bureau"])
    assert plain.status_code == 404
    own = await client.get(f"/api/v1/insurance/dossiers/{other}", headers=callers["pharmacy"])
    assert own.json()["settlements"] == []


async def test_a_dossier_shows_the_opened_box_and_the_deliveries_of_its_bills(
    client: httpx.AsyncClient, callers: dict[str, Headers], scene: Scene
) -> None:
    market = scene.market
    goods = await stocked(scene, market.hospital)
    box = goods.boxes[0]
    await market.move(7, market.hospital, [box])
    used = await market.move(323, market.hospital, [box], parts={box: 6})
    delivery = await scene.conn.fetchval(
        "INSERT INTO delivery (org, target_id, event, target, kind, body, bill_id, state, answer) "
        "VALUES ($1, 1, gen_random_uuid(), 'yibao', '3505A', '{}', $2, 'accepted', '成功') RETURNING id",
        market.hospital,
        used.bill_id,
    )
    await scene.conn.execute(
        "INSERT INTO delivery_attempt (delivery_id, n, what, state, answer) VALUES ($1, 1, 'send', 'accepted', '成功')",
        delivery,
    )
    (view,) = (await client.get(f"/api/v1/insurance/dossiers/{box}", headers=callers["hospital"])).json()[
        "views"
    ]
    assert (view["split"]["total"], view["split"]["left"]) == (24, 18)
    assert [e["kind"] for e in view["split"]["entries"]] == ["open", "dispense"]
    (sent,) = view["deliveries"]
    assert (sent["to"], sent["state"], sent["answer"], len(sent["attempts"])) == (
        "yibao",
        "accepted",
        "成功",
        1,
    )
    # the pharmacy never had this box
    other = (await client.get(f"/api/v1/insurance/dossiers/{box}", headers=callers["pharmacy"])).json()
    assert "yibao" not in str(other.get("views", []))


async def test_institutions_are_registered_shown_without_secrets_and_ended(
    client: httpx.AsyncClient, callers: dict[str, Headers]
) -> None:
    bureau, url = callers["bureau"], "/api/v1/insurance/institutions"
    body = {"code": "H37010200555", "name": "社区卫生服务中心", "region": "370102"}
    made = await client.post(url, json=body, headers=bureau)
    assert made.status_code == 201
    one = made.json()
    assert one["secret"]
    assert one["private_key"]
    listed = await client.get(url, params={"q": "H37010200555"}, headers=bureau)
    assert one["secret"] not in listed.text
    assert [i["name"] for i in listed.json()["items"]] == ["社区卫生服务中心"]
    assert (await client.post(url, json=body, headers=bureau)).json()[
        "code"
    ] == "insurance_institution_exists"
    bad = await client.post(url, json={**body, "code": "H37010200556", "public_key": "zz"}, headers=bureau)
    assert bad.json()["code"] == "insurance_key_invalid"
    renewed = await client.post(f"{url}/{one['id']}/keys", json={}, headers=bureau)
    assert renewed.json()["secret"] != one["secret"]
    for who in ("far", "hospital"):
        status = (await client.delete(f"{url}/{one['id']}", headers=callers[who])).status_code
        assert status in (403, 404)
    assert (await client.delete(f"{url}/{one['id']}", headers=bureau)).status_code == 204
    stored = await client.get("/api/v1/insurance/messages", headers=bureau)
    assert stored.json() == {"items": [], "next": None}


async def test_the_public_learns_how_often_and_nothing_else(
    client: httpx.AsyncClient, callers: dict[str, Headers], scene: Scene
) -> None:
    goods = await stocked(scene, scene.market.pharmacy)
    never, once = goods.boxes[:2]
    await _settle(client, callers["pharmacy"], "PUB1", [once])
    assert (await client.get(f"/api/v1/public/insurance/{never}")).json()["state"] == "none"
    body = (await client.get(f"/api/v1/public/insurance/{once}")).json()
    assert set(body) == {"code", "state", "message", "next", "first_sold_on"}
    assert body["state"] == "once"
    assert (await client.get("/api/v1/public/insurance/6901234567892")).status_code == 422


async def test_a_case_nobody_explained_is_told_once_when_it_is_late(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.hospital)
    await scene.settle(scene.pharmacy.institution, goods.boxes[:1], number="LATE1")
    case = await scene.conn.fetchval("SELECT max(id) FROM insurance_case")
    await scene.conn.execute(
        "UPDATE insurance_case SET due_at = $2 WHERE id = $1", case, datetime(2026, 1, 1, tzinfo=UTC)
    )
    for _ in range(2):
        await clock.tick(scene.conn, None)  # type: ignore[arg-type]
    told = await scene.conn.fetch(
        "SELECT org FROM message WHERE kind = 'notice_insurance_overdue' AND ref = $1", f"insurance {case} overdue"
    )  # fmt: skip
    assert {r["org"] for r in told} == {scene.market.pharmacy, scene.bureau}


async def test_an_institution_of_another_chain_is_nobodys(scene: Scene) -> None:
    """Headquarters see their stores' cases (R-B7), and no others."""
    from yaosu.insurance import remit

    await register(scene, scene.market.store, "P37010200300")
    head = await remit.reader_of(scene.conn, scene.market.registry, scene.staff(scene.market.pharmacy))
    store = await remit.reader_of(scene.conn, scene.market.registry, scene.staff(scene.market.store))
    assert set(store.institutions) < set(head.institutions)
    assert len(store.institutions) == 1
