"""The registry as its users meet it: API and pages on the real server."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest_asyncio

from access.helpers import key_headers
from registry.helpers import make_org, uscc
from yaosu.db.engine import Connection, Pool

_prefixes = itertools.count(8300001)
_numbers = itertools.count(50_000_001)
PAGE = {"accept": "text/html"}


def product_body(mah: int, *identifiers: str, **more: object) -> dict[str, object]:
    """A product with a box and, when named, a case of 200."""
    levels = [{"level": 1, "contains": 1, "identifier": identifiers[0]}]
    if len(identifiers) > 1:
        levels.append({"level": 2, "contains": 200, "identifier": identifiers[1]})
    body: dict[str, object] = {
        "generic_name": "复方接口胶囊",
        "dosage_form": "胶囊剂",
        "strength": "0.3g",
        "package_size": "24粒/盒",
        "shelf_life": 24,
        "shelf_life_unit": 2,
        "registration_class": "tcm",
        "approval_no": "国药准字Z45021428",
        "mah_id": mah,
        "manufacturer_id": mah,
        "levels": levels,
    }
    return {**body, **more}


@pytest_asyncio.fixture(loop_scope="module")
async def committed(pool: Pool) -> AsyncIterator[Connection]:
    """A connection whose work the server sees."""
    async with pool.acquire() as conn:
        yield conn


async def maker(conn: Connection) -> tuple[int, dict[str, str]]:
    """A maker and the header of its key."""
    org_id = await make_org(conn, uscc=uscc(next(_numbers)), name=f"接口药厂{next(_numbers)}")
    return org_id, await key_headers(conn, org_id)


async def test_nothing_of_the_registry_is_shown_to_nobody(client: httpx.AsyncClient) -> None:
    for path in (
        "orgs",
        "orgs/1",
        "products",
        "products/1",
        "filings",
        "code-lists",
        "resolve/1",
        "exports/orgs",
    ):
        assert (await client.get(f"/api/v1/{path}")).status_code == 401, path
    for path in ("/orgs", "/products", "/filings", "/code-lists", "/orgs/import", "/products/export.csv"):
        answer = await client.get(path, headers=PAGE)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/login"), path


async def test_a_maker_files_registers_and_resolves_in_consecutive_requests(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    org_id, auth = await maker(committed)
    box, case = str(next(_prefixes)), str(next(_prefixes))
    filed = await client.post(
        "/api/v1/filings",
        headers=auth,
        json={
            "org_id": org_id,
            "scheme": "cn20",
            "rule_text": "7位药品标识码",
            "filed_on": "2025-01-01",
            "prefixes": [box, case],
        },
    )
    assert filed.status_code == 201, filed.text
    made = await client.post("/api/v1/products", headers=auth, json=product_body(org_id, box, case))
    assert made.status_code == 201, made.text
    assert made.json()["ratio"] == "1:200"
    found = (await client.get(f"/api/v1/resolve/{case}0000000000001", headers=auth)).json()
    assert (found["kind"], found["level"], found["units_per"]) == ("known", 2, 200)
    assert found["drug_id"] == made.json()["id"]


async def test_a_retail_barcode_is_refused_with_its_likely_cause(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    _, auth = await maker(committed)
    answer = await client.get("/api/v1/resolve/6924561884074", headers=auth)
    assert answer.status_code == 422
    assert answer.json()["code"] == "code_is_retail_barcode"


async def test_a_maker_cannot_register_the_product_of_another(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    _, auth = await maker(committed)
    other, _ = await maker(committed)
    answer = await client.post(
        "/api/v1/products", headers=auth, json=product_body(other, str(next(_prefixes)))
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "product_not_yours")


async def test_contacts_of_others_are_not_shown(client: httpx.AsyncClient, committed: Connection) -> None:
    number = uscc(next(_numbers))
    held = await make_org(
        committed, 2, uscc=number, name="保密医药有限公司", contact_name="张三", contact_phone="13800000000"
    )
    _, auth = await maker(committed)
    answer = await client.get(f"/api/v1/orgs/{held}", headers=auth)
    assert answer.json()["name"] == "保密医药有限公司"
    assert "13800000000" not in answer.text and "张三" not in answer.text
    page = await client.get(f"/orgs/{held}", headers={**auth, **PAGE})
    assert page.status_code == 200 and "13800000000" not in page.text
    own = await client.get(f"/api/v1/orgs/{held}", headers=await key_headers(committed, held))
    assert own.json()["contact_phone"] == "13800000000"


async def test_a_stale_change_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    org_id, auth = await maker(committed)
    prefix = str(next(_prefixes))
    made = (await client.post("/api/v1/products", headers=auth, json=product_body(org_id, prefix))).json()
    body = product_body(org_id, prefix, trade_name="新名", version=made["version"])
    first = await client.put(f"/api/v1/products/{made['id']}", headers=auth, json=body)
    assert first.status_code == 200 and first.json()["version"] == 2
    body["trade_name"] = "旧人的名"
    second = await client.put(f"/api/v1/products/{made['id']}", headers=auth, json=body)
    assert (second.status_code, second.json()["code"]) == (409, "stale_version")
    assert (await client.get(f"/api/v1/products/{made['id']}", headers=auth)).json()["trade_name"] == "新名"


async def test_the_operators_code_list_item_is_in_force_at_once_and_names_its_source(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    auth = await key_headers(committed, None)
    answer = await client.put(
        "/api/v1/code-lists/return_reason/7",
        headers=auth,
        json={"zh": "包装污损", "en": "Soiled", "source": "某通知"},
    )
    assert answer.status_code == 200, answer.text
    items = (await client.get("/api/v1/code-lists/return_reason", headers=auth)).json()["items"]
    assert [i["zh"] for i in items if i["code"] == "7"] == ["包装污损"]
    _, maker_auth = await maker(committed)
    body = {"zh": "a", "en": "b", "source": "c"}
    refused = await client.put("/api/v1/code-lists/return_reason/8", headers=maker_auth, json=body)
    assert refused.status_code == 403


async def test_strange_input_gets_a_clear_refusal(client: httpx.AsyncClient, committed: Connection) -> None:
    _, auth = await maker(committed)
    for path in (
        "orgs?q=%00",
        "orgs?q=" + "x" * 300,
        "orgs/99999999999999",
        "products/0",
        "products?after=-1",
        "code-lists/..%2Fx",
        "code-lists/none_such",
        "filings/2147483647",
        "resolve/" + "9" * 5000,
        "resolve/%00",
        "exports/passwords",
        "imports/passwords/template",
    ):
        answer = await client.get(f"/api/v1/{path}", headers=auth)
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
    assert (await client.get("/api/v1/orgs?q=%25_'--", headers=auth)).json()["items"] == []


async def test_every_page_shows_in_both_languages(client: httpx.AsyncClient, committed: Connection) -> None:
    org_id, auth = await maker(committed)
    prefix = str(next(_prefixes))
    made = (
        await client.post(
            "/api/v1/products",
            headers=auth,
            json=product_body(org_id, prefix, generic_name="<b>页面胶囊</b>"),
        )
    ).json()
    operator = await key_headers(committed, None)
    pages = [
        (auth, "/orgs"),
        (auth, "/orgs?q=接口"),
        (auth, f"/orgs/{org_id}"),
        (auth, f"/orgs/{org_id}/edit"),
        (auth, "/products"),
        (auth, f"/products?q={prefix}"),
        (auth, f"/products/{made['id']}"),
        (auth, f"/products/{made['id']}/edit"),
        (auth, "/products/new"),
        (auth, "/products/import"),
        (auth, "/filings"),
        (auth, "/code-lists"),
        (operator, "/orgs"),
        (operator, "/orgs/new"),
        (operator, "/orgs/import"),
        (operator, f"/orgs/{org_id}/edit"),
        (operator, "/filings"),
    ]
    lists = (await client.get("/api/v1/code-lists", headers=auth)).json()["items"]
    pages += [(operator, f"/code-lists/{one['name']}") for one in lists]
    for who, path in pages:
        for lang in ("zh", "en"):
            answer = await client.get(
                path, headers={**who, **PAGE}, params={**dict(httpx.URL(path).params), "lang": lang}
            )
            assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
            assert "<b>页面胶囊" not in answer.text, path


async def test_a_product_is_registered_and_changed_through_the_form(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    org_id, auth = await maker(committed)
    box, case = str(next(_prefixes)), str(next(_prefixes))
    form = {
        "generic_name": "表单片",
        "dosage_form": "片剂",
        "strength": "0.1g",
        "package_size": "12片/盒",
        "prep_units_per": "12",
        "shelf_life": "36",
        "shelf_life_unit": "2",
        "registration_class": "chemical",
        "prescription": "rx",
        "approval_no": "国药准字H20201234",
        "mah_id": str(org_id),
        "manufacturer_id": str(org_id),
        "level_1_contains": "1",
        "level_1_identifier": box,
        "level_2_identifier": case,
        "level_2_contains": "",
    }
    headers = {**auth, **PAGE}
    refused = await client.post("/products/new", headers=headers, data=form)
    assert refused.status_code == 422 and "装量" in refused.text and "表单片" in refused.text
    form["level_2_contains"] = "100"
    made = await client.post("/products/new", headers=headers, data=form)
    assert made.status_code == 303, made.text[:800]
    place = made.headers["location"]
    changed = await client.post(
        f"{place}/edit", headers=headers, data={**form, "version": "1", "trade_name": "康"}
    )
    assert changed.status_code == 303, changed.text[:800]
    page = await client.get(place, headers=headers)
    assert "1:100" in page.text and "康" in page.text


async def test_a_file_is_previewed_and_confirmed_on_the_pages(
    client: httpx.AsyncClient, committed: Connection
) -> None:
    operator = {**await key_headers(committed, None), **PAGE}
    number = uscc(next(_numbers))
    text = (
        f"企业名称*,企业类型*,行政区划代码*,统一社会信用代码\n页面导入医药有限公司,批发企业,370102,{number}\n"
    )
    shown = await client.post(
        "/orgs/import", headers=operator, files={"file": ("a.csv", text.encode("gb18030"))}
    )
    assert shown.status_code == 200 and "确认导入 1 行" in shown.text, shown.text[:800]
    preview = shown.text.split('name="id" value="')[1].split('"')[0]
    done = await client.post("/orgs/import/confirm", headers=operator, data={"id": preview})
    assert done.status_code == 303
    found = (await client.get(f"/api/v1/orgs?q={number}", headers=operator)).json()["items"]
    assert [o["name"] for o in found] == ["页面导入医药有限公司"]
    again = await client.post("/orgs/import/confirm", headers=operator, data={"id": preview})
    assert again.status_code == 404


async def test_every_operation_of_the_registry_is_described_with_an_example(
    client: httpx.AsyncClient,
) -> None:
    schema = (await client.get("/api/v1/openapi.json")).json()
    seen = 0
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if "registry" not in operation.get("tags", []):
                continue
            seen += 1
            assert operation["summary"] and operation["description"], path
            assert "401" in operation["responses"], (method, path)
            for status in ("200", "201"):
                answer = operation["responses"].get(status, {}).get("content", {}).get("application/json")
                if answer is not None:
                    name = answer["schema"]["$ref"].rpartition("/")[2]
                    fields = schema["components"]["schemas"][name]["properties"]
                    example = schema["components"]["schemas"][name]["examples"][0]
                    assert example and set(example) <= set(fields), name
                    # the framework leaves out what is null in an example
                    for field in set(fields) - set(example):
                        assert {"type": "null"} in fields[field]["anyOf"], (name, field)
    assert seen >= 25
