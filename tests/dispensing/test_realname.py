"""Real-name sales over HTTP: sell, limits, register, files, repeated buying, and nothing personal left open (R-C2)."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import pytest_asyncio
from openpyxl import load_workbook

from access.helpers import key_headers
from dispensing.realname_world import Street, Till, dump, make_street
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
    assert [(r["qty"], r["taken_back"], r["net"]) for r in found["items"]] == [(-2, False, 0), (2, True, 0)]
    back = found["items"][0]
    assert (back["corrects"], back["corrects_revision"], back["reason"]) == (first["bill_id"], 1, "顾客退回")
    assert back["number"] == found["items"][1]["number"] != ""


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
        async with pool.acquire() as conn, conn.transaction():  # time passes
            await conn.execute("SET LOCAL session_replication_role = replica")  # lines are never altered
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


async def lines(till: Till, bill_no: str) -> list[dict[str, Any]]:
    """The register of a bill, oldest first."""
    found = await till.post("/dispensing/register/search", {"bill_no": bill_no})
    return list(reversed(found["items"]))


def told(rows: list[dict[str, Any]]) -> list[tuple[int, bool, int | None]]:
    """Quantity, whether taken back, which revision it takes back."""
    return [(r["qty"], r["taken_back"], r["corrects_revision"]) for r in rows]


async def came_back(till: Till, sale: dict[str, Any], codes: list[str]) -> dict[str, Any]:
    """The customer brings boxes of a sale back."""
    back = {
        "type": 116,
        "bill_no": f"TH-{sale['bill_no']}",
        "happened_at": sale["happened_at"],
        "codes": codes,
        "header": {"reason_text": "顾客退回"},
    }
    done: dict[str, Any] = await till.post("/movements", back)
    assert done["status"] == "accepted"
    return done


async def test_a_correction_gives_back_what_was_not_bought(street: Street) -> None:
    who = person()
    body = street.there.sale(2, person=who)
    assert (await street.there.post("/dispensing/sales", body))["status"] == "accepted"
    fewer = {**body, "revision": 2, "codes": body["codes"][:1]}
    corrected = await street.there.post("/dispensing/sales", fewer)
    assert (corrected["status"], corrected["revision"]) == ("accepted", 2)
    rows = await lines(street.there, body["bill_no"])
    assert sorted(told(rows), key=str) == [(-2, False, 1), (1, False, None), (2, True, None)]
    assert sum(r["qty"] for r in rows) == sum(r["net"] for r in rows) == 1
    assert (await street.there.post("/dispensing/sales", street.there.sale(1, person=who)))["status"] == (
        "accepted"
    )
    refused = await street.there.post("/dispensing/sales", street.there.sale(1, person=who))
    assert refused["results"][0]["verdict"] == "limit_per_person"


async def test_a_sale_of_which_a_box_came_back_is_corrected_and_its_register_with_it(street: Street) -> None:
    """R-X3, R-C2: header corrected, a late scan appended, no document shown again; nothing leaves the register."""
    who = person(name="钱七")
    body = street.there.sale(1, person=who)
    sold = await street.there.post("/dispensing/sales", body)
    back = await came_back(street.there, body, body["codes"])
    late = street.there.boxes.pop()
    second = {k: v for k, v in body.items() if k != "person"} | {
        "revision": 2,
        "codes": [*body["codes"], late],
        "header": {"doctor": "甲", "prescription_no": "CF-9", "correct_reason": "漏扫"},
    }
    shown = await street.there.post("/movements/preview", second)
    assert (shown["possible"], [k["code"] for k in shown["kept"]]) == (True, body["codes"])
    done = await street.there.post("/movements", second)
    assert [r["verdict"] for r in done["results"]] == ["kept", "accepted"]
    rows = await lines(street.there, body["bill_no"])
    assert told(rows) == [(1, True, None), (-1, False, 1), (2, False, None)]
    reversing, new = rows[1:]
    assert (reversing["corrects"], reversing["reason"]) == (sold["bill_id"], "漏扫")
    assert reversing["recorded_at"] >= rows[0]["recorded_at"]
    assert (new["doctor"], new["prescription_no"], rows[0]["doctor"]) == ("甲", "CF-9", "")
    assert len({r["number"] for r in rows}) == 1 and new["name"] == "钱*"
    assert sorted(new["codes"]) == sorted(second["codes"])
    # the box that came back is no free allowance, and a third revision carries the lines on
    more = await street.there.post("/dispensing/sales", street.there.sale(1, person=who))
    assert more["results"][0]["verdict"] == "limit_per_person"
    third = {**second, "revision": 3, "header": {"doctor": "乙", "correct_reason": "医师写错"}}
    corrected = await street.there.post("/movements", third)
    assert corrected["status"] == "accepted"
    rows = await lines(street.there, body["bill_no"])
    assert sum(r["qty"] for r in rows) == 2
    assert told(rows)[3:] == [(-2, False, 2), (2, False, None)]
    # what came back stands in the way of a void, which names it; once that return is taken back, the sale is
    void = f"/bills/{corrected['bill_id']}/void", {"reason": "重复录入"}
    refused = await street.there.post(*void, 409)
    assert [(f["code"], f["params"]["bill_no"]) for f in refused["findings"]] == [
        ("moved_on_since", back["bill_no"])
    ]
    await street.there.post(f"/bills/{back['bill_id']}/void", {"reason": "登记有误"})
    assert (await street.there.post(*void))["status"] == "void"
    assert sum(r["qty"] for r in await lines(street.there, body["bill_no"])) == 0
    assert (await street.there.post("/dispensing/sales", street.there.sale(2, person=who)))["status"] == (
        "accepted"
    )


async def test_a_correction_beyond_a_limit_is_refused_by_name_and_the_sale_stands(
    street: Street, pool: Pool
) -> None:
    who = person()
    body = street.there.sale(2, person=who)
    assert (await street.there.post("/dispensing/sales", body))["status"] == "accepted"
    await came_back(street.there, body, body["codes"][:1])
    plain = {k: v for k, v in body.items() if k != "person"}
    more = {**plain, "revision": 2, "codes": [*body["codes"], street.there.boxes.pop()]}
    for path in ("/movements/preview", "/movements"):
        refused = await street.there.post(path, more)
        result = refused.get("result", refused)
        assert result["status"] == "refused"
        assert {r["verdict"] for r in result["results"]} == {"limit_per_sale"}
    assert told(await lines(street.there, body["bill_no"])) == [(2, False, None)]
    async with pool.acquire() as conn:
        states = "SELECT array_agg(status ORDER BY code) FROM unit WHERE code = ANY($1)"
        assert await conn.fetchval(states, body["codes"][1:]) == ["S"]


async def test_a_correction_may_be_of_another_person_who_then_has_bought(street: Street) -> None:
    wrong, right = person(), person(name="孙八")
    body = street.there.sale(2, person=wrong)
    assert (await street.there.post("/dispensing/sales", body))["status"] == "accepted"
    await came_back(street.there, body, body["codes"][:1])
    second = {**body, "revision": 2, "person": right, "header": {"correct_reason": "刷错证件"}}
    assert (await street.there.post("/dispensing/sales", second))["status"] == "accepted"
    rows = await lines(street.there, body["bill_no"])
    assert [(r["qty"], r["name"][0]) for r in rows] == [(2, "买"), (-2, "买"), (2, "孙")]
    refused = await street.there.post("/dispensing/sales", street.there.sale(1, person=right))
    assert refused["results"][0]["verdict"] == "limit_per_person"
    assert (await street.there.post("/dispensing/sales", street.there.sale(2, person=wrong)))["status"] == (
        "accepted"
    )


async def test_printout_and_file_show_the_lines_the_reason_and_the_net(street: Street) -> None:
    body = street.there.sale(2, person=person())
    assert (await street.there.post("/dispensing/sales", body))["status"] == "accepted"
    fewer = {**body, "revision": 2, "codes": body["codes"][:1], "header": {"correct_reason": "多扫一盒"}}
    assert (await street.there.post("/dispensing/sales", fewer))["status"] == "accepted"
    content = await street.there.post(
        "/dispensing/register/file", {"bill_no": body["bill_no"], "format": "xlsx"}
    )
    cells = [str(c.value) for row in load_workbook(io.BytesIO(content)).active for c in row if c.value]
    whole = "\n".join(cells)
    for text in ("冲正第1版", "多扫一盒", "已冲正", "第2版", "-2盒", "登记 3盒，冲正 2盒，净额 1盒"):
        assert text in whole, text
