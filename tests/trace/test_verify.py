"""Verify says what a code is, how it stands, and no more about others than the reader may know (R-B2, D10)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from access.helpers import make_org as bare_org
from circulation.helpers import Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.trace import service


async def _verify(market: Market, org: int, *codes: str, lang: str = "zh") -> list[dict[str, Any]]:
    found: Any = await service.verify_codes(market.conn, market.registry, market.subject(org), codes, lang)
    return list(found)


async def test_a_box_inside_a_travelling_pallet_is_on_its_way(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4, pallets=1)
    await market.ship(market.maker, market.wholesaler, goods.pallets)
    (body,) = await _verify(market, market.wholesaler, goods.boxes[0])
    assert body["status"]["code"] == "O"
    assert body["inside"] == {"code": goods.pallets[0], "parent": goods.cases[0]}
    assert body["holder"]["org_id"] == market.maker
    assert body["destination"]["org_id"] == market.wholesaler
    assert body["batches"][0]["batch_no"] == goods.batch_no
    assert [w["code"] for w in body["warnings"]] == ["trace_in_transit"]
    assert goods.pallets[0] in body["explanation"]


async def test_a_stranger_learns_what_the_box_is_and_not_who_has_it(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    (body,) = await _verify(market, market.other, goods.boxes[0])
    assert body["product"]["drug_id"] == market.drug_id
    assert body["status"]["code"] == "I"
    assert body["holder_hidden"]
    assert body["holder"] is body["destination"] is body["inside"] is body["since"] is None
    card = market.registry.org(market.wholesaler)
    assert card is not None
    assert card.name not in str(body)


async def test_the_seller_sees_the_buyer_and_not_the_buyers_buyer(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    (one,) = await _verify(market, market.maker, goods.boxes[0])
    assert one["holder"]["org_id"] == market.wholesaler
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases)
    (two,) = await _verify(market, market.maker, goods.boxes[0])
    assert two["holder"] is None
    await db.execute(
        "INSERT INTO data_grant (grantor_org, grantee_org, fields) VALUES ($1, $2, '{flow,parties,codes}')",
        market.pharmacy,
        market.maker,
    )
    (three,) = await _verify(market, market.maker, goods.boxes[0])
    assert three["holder"]["org_id"] == market.pharmacy


async def test_a_regulator_sees_holders_of_its_region_and_the_read_is_written_down(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    office = await bare_org(db, 110, "370000")
    far = await bare_org(db, 110, "650000")
    await market.registry.refresh(db, full=True)
    (seen,) = await _verify(market, office, goods.boxes[0])
    assert seen["holder"]["org_id"] == market.maker
    row = await db.fetchrow("SELECT * FROM read_record WHERE org_id = $1", office)
    assert row is not None
    assert row["owner_org"] == market.maker
    (unseen,) = await _verify(market, far, goods.boxes[0])
    assert unseen["holder"] is None


async def test_many_scans_of_every_kind_answer_in_order(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    codes = [
        goods.boxes[0],
        "6901234567892",
        "nonsense",
        "99999990000000000000",
        goods.cases[1],
        "83857930000000000001",
    ]
    found = await _verify(market, market.maker, *codes)
    assert [f["kind"] for f in found] == [
        "unit",
        "not_a_code",
        "not_a_code",
        "unknown",
        "unit",
        "not_activated",
    ]
    assert all(f["message"] for f in found)
    assert found[4]["qty"] == 10
    assert found[5]["product"]["drug_id"] == market.drug_id


async def test_odd_states_are_explained_with_the_next_step(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, expires_on=date(2026, 3, 31))
    (body,) = await _verify(market, market.maker, goods.boxes[0])
    assert body["verdict"] == "trace_expired"
    assert body["next"]
    scanned = f"]d201{'0' * 14}"
    assert (await _verify(market, market.maker, scanned))[0]["found"] is False
    sold = await activate(market)
    await market.pass_on(market.maker, market.pharmacy, sold.cases)
    await market.move(321, market.pharmacy, sold.boxes[:1])
    (gone,) = await _verify(market, market.other, sold.boxes[0], lang="en")
    assert gone["verdict"] == "trace_sold"
    assert "sold" in gone["message"].lower()


async def test_more_than_a_thousand_codes_are_refused(db: Connection) -> None:
    market = await make_market(db)
    with pytest.raises(YaosuError) as refused:
        await _verify(market, market.maker, *["1"] * 1001)
    assert refused.value.code == "trace_too_many_codes"


async def test_where_a_batch_is_comes_from_the_ledger_and_hides_others(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:3])
    await market.ship(market.wholesaler, market.pharmacy, goods.cases[:1])
    await market.pass_on(market.wholesaler, market.hospital, goods.cases[1:2])

    async def where(org: int) -> dict[str, Any]:
        found: Any = await service.where(
            db, market.registry, market.subject(org), market.drug_id, goods.batch_no
        )
        return dict(found)

    maker = await where(market.maker)
    assert maker["activated"] == 40
    assert maker["totals"] == {"I": 30, "O": 10}
    named = {(i["holder"]["org_id"] if i["holder"] else None, i["status"]): i["qty"] for i in maker["items"]}
    assert named == {(market.maker, "I"): 10, (None, "I"): 20, (None, "O"): 10}
    assert maker["hidden_holders"] == 2
    assert maker["on_the_way"] == [{"from": None, "to": None, "qty": 10, "shipped_at": None}]

    trader = await where(market.wholesaler)
    assert trader["activated"] is None
    assert {(i["holder"]["org_id"], i["status"]): i["qty"] for i in trader["items"]} == {
        (market.wholesaler, "I"): 10,
        (market.wholesaler, "O"): 10,
    }
    (way,) = trader["on_the_way"]
    assert (way["from"]["org_id"], way["to"]["org_id"], way["qty"]) == (
        market.wholesaler,
        market.pharmacy,
        10,
    )

    with pytest.raises(YaosuError) as refused:
        await where(market.other)
    assert refused.value.http == 404


async def test_the_explanation_is_one_paragraph_in_the_readers_language(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    subject = market.subject(market.maker)
    zh: Any = await service.explain(db, market.registry, subject, goods.boxes[0], "zh")
    en: Any = await service.explain(db, market.registry, subject, goods.boxes[0], "en")
    assert "库存" in zh["text"]
    assert "In the stock of" in en["text"]
    assert "\n" not in zh["text"] + en["text"]


def test_every_status_a_package_can_have_is_explained() -> None:
    """A status without words would fail the whole answer about the code."""
    from yaosu.errors import registry as messages
    from yaosu.rules.bill_types import bill_types

    statuses = {one.post for one in bill_types().values() if one.kind != "uncoded"}
    assert {f"explain_{s}" for s in statuses} <= set(messages())
