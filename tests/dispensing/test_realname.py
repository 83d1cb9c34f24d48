"""Real-name sales over HTTP: sell, limits, register, files, repeated buying, and nothing personal left open (R-C2)."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import pytest_asyncio
from openpyxl import load_workbook

from access.helpers import key_headers
from dispensing.realname_world import Street, dump, make_street
from people.helpers import card
from yaosu.db.engine import Pool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def street(client: httpx.AsyncClient, pool: Pool) -> Street:
    """Shops with goods."""
    return await make_street(client, pool, 60)


def person(number: str = "", name: str = "买买提江", phone: str = "13912345678") -> dict[str, Any]:
    """Somebody at the counter."""
    return {"kind": "1", "number": number or card(), "name": name, "phone": phone}


async def test_a_sale_with_person_and_bill_in_one_call(street: Street) -> None:
    body = street.here.sale(2, person=person())
    sold = await street.here.post("/dispensing/sales", body)
    assert (sold["status"], sold["accepted"]) == ("accepted", 2)
    again = await street.here.post("/dispensing/sales", body)
    assert (again["replayed"], again["bill_id"]) == (True, sold["bill_id"])
    found = await street.here.post("/dispensing/register/search", {"bill_no": body["bill_no"]})
    (row,) = found["items"]
    assert row["product"] == "复方盐酸伪麻黄碱缓释胶囊"
    assert (row["qty"], sorted(row["codes"])) == (2, sorted(body["codes"]))
    assert row["batch_no"] == street.goods.batch_no
    assert row["maker"]
    number = body["person"]["number"]
    assert (row["name"], row["number"]) == ("买***", f"{number[:4]}**********{number[-4:]}")
    assert row["kind_name"] == "身份证"


async def test_without_a_document_the_codes_are_refused_and_told_what_to_do(street: Street) -> None:
    body = street.here.sale(1)
    for path in ("/dispensing/sales", "/movements"):
        refused = await street.here.post(path, body)
        assert refused["status"] == "refused"
        (one,) = refused["results"]
        assert one["verdict"] == "real_name_needed"
        assert "复方盐酸伪麻黄碱缓释胶囊" in one["message"]
        assert "身份证件" in one["next"]
    sold = await street.here.post("/dispensing/sales", {**body, "person": person()})
    assert sold["status"] == "accepted"  # nothing had been recorded under the number


async def test_the_limit_holds_across_shops_and_a_void_frees_it(street: Street) -> None:
    who = person()
    first = await street.here.post("/dispensing/sales", street.here.sale(2, person=who))
    assert first["status"] == "accepted"
    body = street.far.sale(1, person=who)
    refused = await street.far.post("/dispensing/sales", body)
    assert refused["results"][0]["verdict"] == "limit_per_person"
    await street.here.post(f"/bills/{first['bill_id']}/void", {"reason": "顾客退回"})
    assert (await street.far.post("/dispensing/sales", body))["status"] == "accepted"
    found = await street.here.post("/dispensing/register/search", {"document": {"number": who["number"]}})
    assert [r["taken_back"] for r in found["items"]] == [True]


async def test_internal_use_is_no_way_round_the_register(street: Street) -> None:
    """R-C2: the box would leave for nobody named; as a use it meets the same rule as a sale."""
    used = street.here.sale(1, type=320)
    refused = await street.here.post("/movements", used)
    assert [r["verdict"] for r in refused["results"]] == ["real_name_needed"]


async def test_three_boxes_are_too_many_for_one_sale(street: Street) -> None:
    refused = await street.here.post("/dispensing/sales", street.here.sale(3, person=person()))
    assert {r["verdict"] for r in refused["results"]} == {"limit_per_sale"}


async def test_ten_sales_of_one_person_at_once_stay_within_the_limit(street: Street) -> None:
    who = person()
    tills = [(street.here, street.there, street.far)[n % 3] for n in range(9)]
    answers = await asyncio.gather(*(t.post("/dispensing/sales", t.sale(1, person=who)) for t in tills))
    assert sorted(a["status"] for a in answers).count("accepted") == 2
    assert {a["results"][0]["verdict"] for a in answers if a["status"] == "refused"} == {"limit_per_person"}


async def test_a_wrong_number_is_refused_without_repeating_it(street: Street) -> None:
    wrong = card()[:-1] + "?"
    answer = await street.here.client.post(
        "/api/v1/dispensing/sales",
        json=street.here.sale(1, person=person(wrong)),
        headers=street.here.headers,
    )
    assert answer.status_code == 422
    assert answer.json()["findings"][0]["code"] == "identity_card_shape"
    assert wrong[:17] not in answer.text


async def test_a_header_is_no_place_for_persons(street: Street) -> None:
    for header in ({"customer_id": "1"}, {"note": card()}):
        answer = await street.here.client.post(
            "/api/v1/dispensing/sales",
            json=street.here.sale(1, person=person(), header=header),
            headers=street.here.headers,
        )
        assert answer.status_code == 422
        assert answer.json()["findings"][0]["code"] == "personal_in_header"
        assert str(next(iter(header.values()))) not in answer.text or header == {"customer_id": "1"}


async def test_the_till_registers_first_and_sells_with_the_number(street: Street) -> None:
    who = person(name="张三")
    asked = await street.here.post("/people/check", {"number": who["number"]})
    assert asked == {"ok": True, "message": "", "next": "", "known": None}
    made = await street.here.post("/people", who)
    assert made["name"] == "张*"
    asked = await street.here.post("/people/check", {"number": who["number"]})
    assert asked["known"]["person_id"] == made["person_id"]
    # the next time no name has to be typed
    again = await street.here.post("/people", {"number": who["number"]})
    assert again == made
    code = street.here.boxes[-1]
    context = {"type": 321}
    looked = await street.here.post("/dispensing/sales/check", {"codes": [code], "context": context})
    assert looked["results"][0]["verdict"] == "real_name_needed"
    assert looked["results"][0]["severity"] == "warn"
    assert looked["demands"][0]["per_sale"] == 2
    context |= {"person_id": str(made["person_id"])}
    looked = await street.here.post("/dispensing/sales/check", {"codes": [code], "context": context})
    assert looked["results"][0]["severity"] == "ok"
    sold = await street.here.post("/movements", street.here.sale(1, person_id=made["person_id"]))
    assert sold["status"] == "accepted"


async def test_a_shop_cannot_sell_to_a_person_it_did_not_register(street: Street) -> None:
    made = await street.here.post("/people", person())
    body = street.there.sale(1, person_id=made["person_id"])
    refused = await street.there.post("/movements", body)
    assert refused["results"][0]["verdict"] == "person_unknown"
    await street.there.post(f"/people/{made['person_id']}/unmask", {"reason": "别家的客人"}, 404)


async def test_registers_of_others_stay_closed_but_the_region_is_open_to_its_regulator(
    street: Street,
) -> None:
    who = person()
    sold = street.here.sale(1, person=who)
    await street.here.post("/dispensing/sales", sold)
    far = street.far.sale(1, person=person())
    await street.far.post("/dispensing/sales", far)
    for till in (street.there, street.far):
        found = await till.post("/dispensing/register/search", {"bill_no": sold["bill_no"]})
        assert found["items"] == []
    found = await street.office.post("/dispensing/register/search", {"limit": 200})
    numbers = {r["bill_no"] for r in found["items"]}
    assert sold["bill_no"] in numbers
    assert far["bill_no"] not in numbers


async def test_pages_of_the_register_fit_together(street: Street) -> None:
    for _ in range(3):
        await street.here.post("/dispensing/sales", street.here.sale(1, person=person()))
    whole = await street.here.post("/dispensing/register/search", {"limit": 200})
    paged: list[Any] = []
    after = ""
    while True:
        page = await street.here.post("/dispensing/register/search", {"limit": 2, "after": after})
        paged += page["items"]
        if not page["next"]:
            break
        after = page["next"]
    assert paged == whole["items"]
    assert len(whole["items"]) >= 3
    await street.here.post("/dispensing/register/search", {"after": "1.2.x"}, 422)


async def test_files_are_masked_unless_a_reason_is_given_and_recorded(street: Street, pool: Pool) -> None:
    who = person(name="阿依古丽")
    sold = street.here.sale(1, person=who)
    await street.here.post("/dispensing/sales", sold)
    filters = {"format": "xlsx", "bill_no": sold["bill_no"]}

    def texts(content: bytes) -> str:
        sheet = load_workbook(io.BytesIO(content)).active
        assert sheet is not None
        return " ".join(str(c) for row in sheet.iter_rows(values_only=True) for c in row if c is not None)

    masked = texts(await street.here.post("/dispensing/register/file", filters))
    assert sold["codes"][0] in masked
    assert who["number"] not in masked
    assert "阿依古丽" not in masked
    reason = {"reason": "药监检查第3号"}
    full = texts(await street.here.post("/dispensing/register/file", {**filters, **reason}))
    assert who["number"] in full
    assert "阿依古丽" in full
    async with pool.acquire() as conn:
        entries = await conn.fetch("SELECT action, details FROM audit WHERE org_id = $1", street.here.org)
        plain = await key_headers(conn, street.here.org, ["person.read", "export.read"])
    told = [(e["action"], e["details"].get("reason")) for e in entries]
    assert ("person.unmask", "药监检查第3号") in told
    assert ("real_name.export", "药监检查第3号") in told
    answer = await street.here.client.post(
        "/api/v1/dispensing/register/file", json={**filters, **reason}, headers=plain
    )
    assert answer.status_code == 403
    made = await street.here.post("/dispensing/register/file", {**filters, "format": "pdf"})
    assert made.startswith(b"%PDF")


async def test_the_submission_is_kept_as_received_and_opens_with_a_reason(street: Street) -> None:
    body = street.here.sale(1, person=person())
    sold = await street.here.post("/dispensing/sales", body)
    stored = await street.here.client.get(
        f"/api/v1/bills/{sold['bill_id']}/submission", headers=street.here.headers
    )
    assert stored.content.startswith(b"enc:v1:")
    opened = await street.here.post(
        f"/dispensing/sales/{sold['bill_id']}/submission", {"reason": "核对原始报文"}
    )
    assert body["person"]["number"].encode() in opened
    await street.there.post(
        f"/dispensing/sales/{sold['bill_id']}/submission", {"reason": "核对原始报文"}, 404
    )


async def test_repeated_buying_is_flagged_to_the_shop_and_over_shops_to_the_regulator(
    street: Street, pool: Pool
) -> None:
    who = person(name="赵六")
    for till, days in ((street.here, 21), (street.here, 14), (street.there, 7), (street.there, 0)):
        await till.post("/dispensing/sales", till.sale(2, person=who))
        async with pool.acquire() as conn:  # time passes
            await conn.execute(
                "UPDATE people.purchase SET happened_at = happened_at - make_interval(days => $2) "
                "WHERE bill_id = (SELECT max(bill_id) FROM people.purchase WHERE org = $1)",
                till.org,
                days,
            )

    async def flags(till: Any) -> list[Any]:
        answer = await till.client.get("/api/v1/dispensing/repeat-buyers", headers=till.headers)
        return [i for i in answer.json()["items"] if i["name"] == "赵*"]

    assert await flags(street.here) == []
    (one,) = await flags(street.office)
    assert (one["flag"], one["packages"], one["shops"]) == ("ephedrine_month", 8, 2)


async def test_nothing_personal_is_readable_in_database_log_or_errors(
    street: Street, pool: Pool, capfd: Any
) -> None:
    who = person(name="古丽娜尔", phone="13987654321")
    await street.here.post("/dispensing/sales", street.here.sale(1, person=who))
    await street.here.post("/dispensing/register/search", {"document": {"number": who["number"]}})
    await street.here.post("/dispensing/sales", street.here.sale(3, person=who))
    wrong = {**who, "name": "", "number": who["number"][:-2] + "00"}
    await street.here.post("/people", wrong, 422)
    async with pool.acquire() as conn:
        everything = await dump(conn)
    out, err = capfd.readouterr()
    assert "enc:v1:" in everything
    for secret in (who["number"], who["number"][6:14] + who["number"][14:17], who["phone"], who["name"]):
        assert secret not in everything
        assert secret.encode().decode("latin-1") not in everything
        assert secret not in out + err


async def test_strangers_and_the_anonymous_get_nothing(street: Street, client: httpx.AsyncClient) -> None:
    for path in ("/dispensing/sales", "/dispensing/register/search", "/dispensing/register/file", "/people"):
        assert (await client.post(f"/api/v1{path}", json={})).status_code == 401


async def test_a_correction_gives_back_what_was_not_bought(street: Street) -> None:
    who = person()
    body = street.there.sale(2, person=who)
    assert (await street.there.post("/dispensing/sales", body))["status"] == "accepted"
    fewer = {**body, "revision": 2, "codes": body["codes"][:1]}
    corrected = await street.there.post("/dispensing/sales", fewer)
    assert (corrected["status"], corrected["revision"]) == ("accepted", 2)
    found = await street.there.post("/dispensing/register/search", {"bill_no": body["bill_no"]})
    assert sorted((r["qty"], r["taken_back"]) for r in found["items"]) == [(1, False), (2, True)]
    assert (await street.there.post("/dispensing/sales", street.there.sale(1, person=who)))["status"] == (
        "accepted"
    )
    refused = await street.there.post("/dispensing/sales", street.there.sale(1, person=who))
    assert refused["results"][0]["verdict"] == "limit_per_person"


async def test_a_correction_never_loses_a_purchase_whose_box_came_back(street: Street) -> None:
    who = person()
    body = street.there.sale(2, person=who)
    assert (await street.there.post("/dispensing/sales", body))["status"] == "accepted"
    back = {
        "type": 116,
        "bill_no": f"TH-{body['bill_no']}",
        "happened_at": body["happened_at"],
        "codes": body["codes"][:1],
        "header": {"reason_text": "顾客退回"},
    }
    assert (await street.there.post("/movements", back))["status"] == "accepted"
    refused = await street.there.post(
        "/dispensing/sales", {**body, "revision": 2, "header": {"doctor": "甲"}}, 409
    )
    (finding,) = refused["findings"]
    assert (finding["code"], finding["params"]["bill_no"]) == ("moved_on_since", back["bill_no"])
    found = await street.there.post("/dispensing/register/search", {"bill_no": body["bill_no"]})
    assert [(r["qty"], r["taken_back"]) for r in found["items"]] == [(2, False)]
    more = await street.there.post("/dispensing/sales", street.there.sale(1, person=who))
    assert more["results"][0]["verdict"] == "limit_per_person"
