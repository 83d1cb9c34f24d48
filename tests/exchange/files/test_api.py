"""Files over the API: told by content, previewed, answered, sent, every line accounted for (R-I1, R-X2, R-X10)."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from exchange.files.world import World, make_world, number, scan_xml, stamp, table
from yaosu.db.engine import Pool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with pool.acquire() as conn:
        yield await make_world(conn)


@pytest.mark.parametrize("older", [False, True], ids=["names on Event", "names on Events"])
@pytest.mark.parametrize("encoding", ["UTF-8", "GB18030", "UTF-16"])
async def test_a_scan_bill_in_either_variant_and_any_encoding_is_a_movement(
    world: World, client: httpx.AsyncClient, older: bool, encoding: str
) -> None:
    goods = await world.goods(world.market.maker, cases=1)
    no = number()
    data = scan_xml(
        "SalesWareHouseOut",
        [(no, world.uscc(world.market.wholesaler), goods.boxes)],
        older=older,
        encoding=encoding,
    )
    got = await world.post(client, world.market.maker, data, name="无关.txt", send=True)
    assert got.status_code == 201, got.text
    answer = got.json()
    assert (answer["state"], answer["format"]) == ("done", "scan_xml")
    assert answer["summary"] | {"bills": 1, "accepted": 10, "refused": 0} == answer["summary"]
    assert {await world.market.status(c) for c in goods.boxes} == {
        ("O", world.market.maker, world.market.wholesaler)
    }


async def test_a_partner_nobody_knows_is_asked_for_once_and_remembered(
    world: World, client: httpx.AsyncClient
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=2)
    data = scan_xml("OA", [(number(), "老客户 （一部）", goods.boxes[:10])])
    got = (await world.post(client, market.maker, data, send=True)).json()
    assert got["state"] == "preview"
    assert [(q["kind"], q["text"]) for q in got["questions"]] == [("partner", "老客户 (一部)")]
    refused = await client.post(f"/api/v1/files/{got['id']}/send", headers=world.head(market.maker))
    assert (refused.status_code, refused.json()["code"]) == (422, "file_questions")
    chosen = await client.post(
        f"/api/v1/files/{got['id']}/choices",
        headers=world.head(market.maker),
        json={"partners": {"老客户 (一部)": market.pharmacy}},
    )
    assert chosen.json()["ready"], chosen.text
    assert chosen.json()["bills"][0]["verdicts"]["ok"] == 10
    sent = (await client.post(f"/api/v1/files/{got['id']}/send", headers=world.head(market.maker))).json()
    assert sent["summary"]["accepted"] == 10
    # written with other brackets and blanks, it is the same firm
    more = scan_xml("OA", [(number(), "老客户(一部)", goods.boxes[10:])])
    again = (await world.post(client, market.maker, more, send=True)).json()
    assert (again["state"], again["summary"]["accepted"]) == ("done", 10)
    kept = (await client.get("/api/v1/files/partners", headers=world.head(market.maker))).json()["items"]
    assert [p["partner"] for p in kept] == [market.pharmacy]
    gone = await client.delete(
        "/api/v1/files/partners", headers=world.head(market.maker), params={"text": "老客户（一部）"}
    )
    assert gone.status_code == 204


async def test_every_line_of_a_mixed_file_ends_somewhere_and_the_totals_add_up(
    world: World, client: httpx.AsyncClient
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    good, held, partner = number(), number(), world.name(market.wholesaler)
    rows = [
        ("说明：示例文件", "", "", "", ""),
        (good, "201", stamp(), partner, goods.boxes[0]),
        ("", "", "", "", goods.boxes[1]),
        (good, "销售出库", "", "", "83857930000000000000"),
        (held, "201", stamp(), partner, goods.boxes[2]),
        (held, "201", "", "", "8.38579E+19"),
        ("合计", "", "", "", ""),
    ]
    got = (await world.post(client, market.maker, table(rows, encoding="gb18030"), name="出库.csv")).json()
    assert got["totals"] == {"readable": 4, "unreadable": 1, "ignored": 3}
    assert got["lines"] == 8 and got["held"] == 1
    (problem,) = got["problems"]
    assert (problem["code"], problem["where"]) == ("file_code_rounded", "line 7, 追溯码")
    assert "文本格式" in problem["next"]
    sent = (await client.post(f"/api/v1/files/{got['id']}/send", headers=world.head(market.maker))).json()
    total = sent["summary"]
    assert total["lines"] == total["accepted"] + total["refused"] + total["ignored"] == 8
    assert (total["accepted"], total["refused"], total["ignored"]) == (2, 3, 3)
    # the bill with an unreadable line was not sent, so that the corrected file may use its number
    assert await market.status(goods.boxes[2]) == await market.status(goods.boxes[3])
    text = (
        await client.get(f"/api/v1/files/{got['id']}/result.csv", headers=world.head(market.maker))
    ).content
    lines = list(csv.reader(io.StringIO(text.decode("utf-8-sig"))))
    assert len(lines) == 1 + 8
    by_line = {row[0]: row for row in lines[1:]}
    assert by_line["3"][5] == "已受理" and by_line["6"][6] == "file_bill_held" and by_line["7"][8]
    fixed = table([(held, "201", stamp(), partner, goods.boxes[2])])
    again = (await world.post(client, market.maker, fixed, send=True)).json()
    assert again["summary"]["accepted"] == 1
    book = await client.get(f"/api/v1/files/{got['id']}/result.xlsx", headers=world.head(market.maker))
    assert book.content[:2] == b"PK"
    page = await client.get(
        f"/api/v1/files/{got['id']}/lines", headers=world.head(market.maker), params={"outcome": "refused"}
    )
    assert [i["line"] for i in page.json()["items"]] == [5, 7, 6] or len(page.json()["items"]) == 3


async def test_the_same_file_twice_is_recognised_and_does_nothing_twice(
    world: World, client: httpx.AsyncClient, pool: Pool
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    no = number()
    data = f"${world.name(market.maker)},{no}\n".encode("gb18030")
    await market.ship(market.maker, market.wholesaler, goods.boxes)
    data += "".join(f"{c},阿莫西林,B1,2026-01-01\n" for c in goods.boxes).encode("gb18030") + b"#10\n"
    first = (await world.post(client, market.wholesaler, data, name="码.txt", send=True)).json()
    assert (first["format"], first["summary"]["accepted"]) == ("client_txt", 10), first
    second = (await world.post(client, market.wholesaler, data, name="又.txt", send=True)).json()
    assert second["repeats"] == first["id"] and second["summary"] == first["summary"]
    # asked to go again, it gets the same answers from the same bill
    third = (await world.post(client, market.wholesaler, data, send=True, again=True)).json()
    assert third["repeats"] is None and third["summary"] == first["summary"]
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM bill WHERE bill_no = $1", no) == 1


async def test_two_people_at_one_preview_see_the_same_before_it_is_sent(
    world: World, client: httpx.AsyncClient, pool: Pool
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    no, head = number(), world.head(market.maker)
    names = ["某处大药房", "某处医院"]
    data = scan_xml("OA", [(no, names[0], goods.boxes[:5]), (f"{no}-2", names[1], goods.boxes[5:])])
    got = (await world.post(client, market.maker, data)).json()
    url = f"/api/v1/files/{got['id']}"
    # both answer a question at once: neither answer is lost
    answers = await asyncio.gather(
        *(
            client.post(f"{url}/choices", headers=head, json={"partners": {name: org}})
            for name, org in zip(names, (market.pharmacy, market.hospital), strict=True)
        )
    )
    assert {a.status_code for a in answers} == {200}
    shown = (await client.get(url, headers=head)).json()
    assert shown["ready"] and len(shown["choices"]["partners"]) == 2 and shown["version"] != got["version"]
    late = await client.post(f"{url}/send", headers=head, params={"version": got["version"]})
    assert (late.status_code, late.json()["code"]) == (409, "file_changed")
    # both confirm at once, and one asks again because the answer was lost
    sent = await asyncio.gather(
        *(client.post(f"{url}/send", headers=head, params={"version": shown["version"]}) for _ in range(2))
    )
    assert {a.status_code for a in sent} <= {200, 409} and any(a.status_code == 200 for a in sent)
    again = await client.post(f"{url}/send", headers=head, params={"version": shown["version"]})
    assert (again.status_code, again.json()["summary"]["accepted"]) == (200, 10), again.text
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM bill WHERE bill_no LIKE $1 || '%'", no) == 2


async def test_the_same_file_from_two_places_at_once_is_booked_once(
    world: World, client: httpx.AsyncClient, pool: Pool
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    no = number()
    data = scan_xml("OA", [(no, world.uscc(market.wholesaler), goods.boxes)])
    both = await asyncio.gather(*(world.post(client, market.maker, data, send=True) for _ in range(4)))
    assert {a.status_code for a in both} <= {201, 409}, [a.text for a in both]
    assert {a.json()["summary"]["accepted"] for a in both if a.status_code == 201} == {10}
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM bill WHERE bill_no = $1", no) == 1


async def test_a_plain_list_of_codes_asks_for_what_it_does_not_say(
    world: World, client: httpx.AsyncClient
) -> None:
    market = world.market
    goods = await world.goods(market.maker, cases=1)
    data = "追溯码\n".encode() + "\n".join(goods.boxes).encode()
    got = (await world.post(client, market.maker, data)).json()
    assert got["format"] == "code_list"
    assert {q["kind"] for q in got["questions"]} == {"type", "bill_no"}
    url = f"/api/v1/files/{got['id']}"
    wrong = await client.post(f"{url}/choices", headers=world.head(market.maker), json={"type": 999})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "file_choice_invalid")
    body = {"type": 201, "bill_no": number(), "partner": market.pharmacy}
    ready = await client.post(f"{url}/choices", headers=world.head(market.maker), json=body)
    assert ready.json()["ready"], ready.text
    sent = (await client.post(f"{url}/send", headers=world.head(market.maker))).json()
    assert (sent["summary"]["accepted"], sent["summary"]["ignored"]) == (10, 1)


async def test_a_file_is_its_organisations_own(world: World, client: httpx.AsyncClient) -> None:
    market = world.market
    got = (
        await world.post(
            client, market.maker, table([(number(), "215", stamp(), "", "83857930000000000001")])
        )
    ).json()
    for way in ("", "/lines", "/result.csv", "/content"):
        answer = await client.get(f"/api/v1/files/{got['id']}{way}", headers=world.head(market.wholesaler))
        assert answer.status_code == 404, way
    for way in ("send", "choices"):
        answer = await client.post(
            f"/api/v1/files/{got['id']}/{way}", headers=world.head(market.wholesaler), json={}
        )
        assert answer.status_code == 404, way
    assert (await client.get("/api/v1/files")).status_code == 401
    gone = await client.delete(f"/api/v1/files/{got['id']}", headers=world.head(market.maker))
    assert gone.status_code == 204
    assert (
        await client.get(f"/api/v1/files/{got['id']}", headers=world.head(market.maker))
    ).status_code == 404


async def test_a_relation_file_goes_to_the_reader_that_knows_it(
    world: World, client: httpx.AsyncClient
) -> None:
    relation = (
        b'<?xml version="1.0" encoding="UTF-8"?><Document><Events><Event Name="RelationCreate">\n'
        b'<Relation productCode="1" cascade="1:10"><Batch batchNo="B" madeDate="2026-01-01" '
        b'validateDate="2027-01-01">\n'
        b'<Code curCode="99999999999999999999" packLayer="1" flag="0"/>\n'
        b"</Batch></Relation></Event></Events></Document>\n"
    )
    got = (await world.post(client, world.market.maker, relation, name="scan.csv", send=True)).json()
    assert (got["kind"], got["state"], got["relation"]["ok"]) == ("relation", "preview", False)
    assert got["relation"]["findings"][0]["where"] == "line 3"
    refused = await client.post(f"/api/v1/files/{got['id']}/send", headers=world.head(world.market.maker))
    assert refused.json()["code"] == "relation_refused"
    nobody = await world.post(client, world.market.wholesaler, relation)
    assert nobody.status_code == 403


async def test_the_template_with_its_example_is_read_as_nothing_but_ignored_lines(
    world: World, client: httpx.AsyncClient
) -> None:
    for form in ("xlsx", "csv"):
        empty = await client.get(f"/api/v1/files/template.{form}", headers=world.head(world.market.maker))
        assert empty.status_code == 200
        got = await world.post(client, world.market.maker, empty.content)
        assert (got.status_code, got.json()["code"]) == (422, "file_no_lines")
