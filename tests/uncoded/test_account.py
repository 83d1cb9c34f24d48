"""Goods without codes enter with a proof, are kept apart, and leave by one of four ends (R-C8, R-D1, R-B3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import pytest_asyncio

from circulation.helpers import activate
from uncoded.helpers import BEFORE, PDF, Shop, make_shop, png
from yaosu.circulation import service as circulation
from yaosu.circulation.model import Movement, Quantity
from yaosu.db.engine import Pool
from yaosu.errors import YaosuError
from yaosu.settings import load
from yaosu.uncoded import clock, counts, ends, intake, requests, service
from yaosu.uncoded.model import Item, Opening

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(pool: Pool) -> AsyncIterator[Shop]:
    async with make_shop(pool) as made:
        yield made


async def test_goods_bought_before_the_date_enter_with_their_proof(shop: Shop) -> None:
    """专帐: product, batch, invoice, place and proof; the quantity is the ledger's."""
    made = await shop.open(shop.pharmacy, 120, "E-001")
    assert made.bill_id and len(made.lot_ids) == 1
    lot = await shop.lot(shop.pharmacy, made.lot_ids[0])
    assert (lot.entered, lot.left, lot.zone, lot.invoice_date) == (120, 120, "无码专区 A-01", BEFORE)
    assert lot.proof_id and lot.supplier == shop.supplier
    assert await shop.left(shop.pharmacy) >= 120
    await shop.market.conserved()


async def test_goods_bought_after_the_date_are_refused_with_law_and_date(shop: Shop) -> None:
    """R-B3: nothing enters, and the refusal names the day and the source."""
    before = await shop.left(shop.pharmacy)
    with pytest.raises(YaosuError) as refused:
        await shop.open(shop.pharmacy, 5, invoice_date=date(2026, 1, 1))
    (found,) = refused.value.findings
    assert found.code == "uncoded_purchase_blocked"
    assert "2026-01-01" in found.text() and "鲁药监规" in found.text()
    assert await shop.left(shop.pharmacy) == before


async def test_the_movement_door_refuses_the_same(shop: Shop) -> None:
    """No way round by the plain movement door."""
    movement = Movement(
        type=21,
        bill_no="ROUND-1",
        owner=shop.pharmacy,
        happened_at=datetime.now(UTC),
        codes=(),
        header={"invoice_no": "1", "invoice_date": "2026-05-01"},
        quantities=[Quantity(shop.drug_id, "R1", 5, date(2025, 1, 1), date(2059, 12, 31))],
        body=b"{}",
    )
    with pytest.raises(YaosuError) as refused:
        await circulation.submit(
            shop.pool, shop.doors.committer, shop.doors.registry, shop.who(shop.pharmacy), movement
        )
    assert "uncoded_purchase_blocked" in {f.code for f in refused.value.findings}


async def test_a_sale_does_not_make_goods_older_than_they_entered(shop: Shop) -> None:
    """R-C8: the dates go by the purchase that the bill names, so the movement door looks whether there was such one."""

    def sale(number: str, qty: int, bought: date) -> Movement:
        return Movement(
            type=23,
            bill_no=number,
            owner=shop.pharmacy,
            happened_at=datetime.now(UTC),
            codes=(),
            header={"receipt_no": number, "reason": "historical", "invoice_date": bought.isoformat()},
            quantities=[Quantity(shop.drug_id, "OLDER", qty)],
            body=b"{}",
        )

    async def sell(movement: Movement) -> str:
        result = await circulation.submit(
            shop.pool, shop.doors.committer, shop.doors.registry, shop.who(shop.pharmacy), movement
        )
        return result.results[0].verdict if result.results else result.status

    await shop.open(shop.pharmacy, 10, "OLDER", invoice_date=date(2025, 8, 1))
    assert await sell(sale("LIE-1", 1, BEFORE)) == "uncoded_bought_later"
    old = (await shop.open(shop.pharmacy, 4, "OLDER")).lot_ids[0]
    assert await sell(sale("TRUE-1", 3, BEFORE)) in ("", "accepted")
    assert await sell(sale("LIE-2", 2, BEFORE)) == "uncoded_bought_later"
    # a correction of the true sale takes its own goods back first
    more = replace(sale("TRUE-1", 4, BEFORE), revision=2)
    assert await sell(more) in ("", "accepted")
    assert (await shop.lot(shop.pharmacy, old)).left == 0
    await shop.market.conserved()


async def test_expiry_counts_by_the_day_in_china_whatever_zone_the_bill_is_written_in(shop: Shop) -> None:
    """The last day of the batch is 2026-03-31: 15:59 UTC is still that day in China, 16:00 UTC is not."""
    item = Item(shop.drug_id, "ZONE", 10, date(2024, 4, 1), date(2026, 3, 31))
    await shop.open(shop.pharmacy, 10, items=(item,))
    last = datetime(2026, 3, 31, 15, 59, tzinfo=UTC)
    answers = []
    for n, moment in enumerate(
        (last, last + timedelta(minutes=1), last.astimezone(timezone(timedelta(hours=-9))))
    ):
        movement = Movement(
            type=23,
            bill_no=f"ZONE-{n}",
            owner=shop.pharmacy,
            happened_at=moment,
            codes=(),
            header={"receipt_no": "1", "reason": "historical", "invoice_date": BEFORE.isoformat()},
            quantities=[Quantity(shop.drug_id, "ZONE", 1)],
            body=b"{}",
        )
        result = await circulation.submit(
            shop.pool, shop.doors.committer, shop.doors.registry, shop.who(shop.pharmacy), movement
        )
        answers.append(result.results[0].verdict if result.results else "")
    assert answers[1] == "expired" and "expired" not in (answers[0], answers[2])


async def test_exempt_products_enter_whenever_they_were_bought(shop: Shop) -> None:
    """R-A6: 中药饮片 are never coded."""
    made = await shop.open(shop.far, 10, drug_id=shop.herbs, invoice_date=date(2026, 10, 1))
    lot = await shop.lot(shop.far, made.lot_ids[0])
    assert lot.exempt and lot.due is None and not lot.overdue(date(2030, 1, 1))


async def test_without_a_proof_nothing_enters(shop: Shop) -> None:
    with pytest.raises(YaosuError) as refused:
        await shop.open(shop.pharmacy, 5, proof_id=999_999)
    assert {f.code for f in refused.value.findings} == {"uncoded_proof_missing"}
    foreign = await shop.proof(shop.far)
    with pytest.raises(YaosuError):
        await shop.open(shop.pharmacy, 5, proof_id=foreign)


async def test_every_mistake_of_an_entry_is_named_at_once(shop: Shop) -> None:
    items = (
        Item(999_999, "X", 1),
        Item(shop.drug_id, "NEW", 0, date(2025, 1, 1), date(2024, 1, 1)),
        Item(shop.drug_id, "NEW2", 5),
        Item(shop.drug_id, "", 5),
    )
    one = Opening("", BEFORE, items, "A", await shop.proof(shop.pharmacy))
    with pytest.raises(YaosuError) as refused:
        await intake.open_account(shop.doors, shop.who(shop.pharmacy), one)
    assert {f.code for f in refused.value.findings} == {
        "uncoded_invoice_no",
        "uncoded_supplier_missing",
        "uncoded_product_unknown",
        "uncoded_qty",
        "dates_reversed",
        "uncoded_batch_dates",
        "uncoded_batch_missing",
    }


async def test_sent_twice_under_one_number_it_enters_once(shop: Shop) -> None:
    proof, when = await shop.proof(shop.pharmacy), (await shop.book(shop.pharmacy))[0].entered_at
    item = Item(shop.drug_id, "TWICE", 9, date(2024, 5, 1), date(2059, 4, 30))
    one = Opening("T-1", BEFORE, (item,), "A", proof, shop.supplier, "", "WR-TWICE", when)
    first = await intake.open_account(shop.doors, shop.who(shop.pharmacy), one)
    again = await intake.open_account(shop.doors, shop.who(shop.pharmacy), one)
    assert first.bill_id == again.bill_id and first.lot_ids == again.lot_ids
    assert (await shop.lot(shop.pharmacy, first.lot_ids[0])).left == 9


async def test_one_invoice_proves_one_purchase(shop: Shop) -> None:
    """The same paper cannot bring the same batch in twice, unless the first entry was void."""
    first = await shop.open(shop.pharmacy, 5, "ONE-PAPER", invoice_no="PAPER-1")
    with pytest.raises(YaosuError) as refused:
        await shop.open(shop.pharmacy, 5, "ONE-PAPER", invoice_no="PAPER-1")
    assert {f.code for f in refused.value.findings} == {"uncoded_invoice_used"}
    await shop.open(shop.pharmacy, 5, "OTHER-BATCH", invoice_no="PAPER-1")
    await circulation.void(
        shop.pool,
        shop.doors.committer,
        shop.doors.registry,
        shop.who(shop.pharmacy),
        first.bill_id,
        "录入错误",
        b"{}",
    )
    assert (await shop.open(shop.pharmacy, 6, "ONE-PAPER", invoice_no="PAPER-1")).bill_id


async def test_only_pictures_and_documents_are_proofs(shop: Shop) -> None:
    """The bytes decide, whatever the file is called."""
    who = shop.who(shop.pharmacy)
    cases = {
        b"": "uncoded_proof_empty",
        b"MZ\x90\x00 invoice.pdf": "uncoded_proof_kind",
        b"<svg onload=alert(1)>": "uncoded_proof_kind",
        b"%PDF-1.4 cut off": "uncoded_proof_kind",
        PDF + b"\0" * (5 << 20): "uncoded_proof_large",
    }
    async with shop.pool.acquire() as conn:
        for body, code in cases.items():
            with pytest.raises(YaosuError) as refused:
                await service.keep_proof(conn, who, body, "发票.pdf")
            assert refused.value.code == code
        assert await service.keep_proof(conn, who, PDF, "../../etc/发票.exe")
        made = await service.keep_proof(conn, who, png(70_000), "a")
        assert made == await service.keep_proof(conn, who, png(70_000), "b")
        found = await service.proof(conn, who, made)
        assert found["name"] == "a.png" and found["media"] == "image/png"
        with pytest.raises(YaosuError) as hidden:
            await service.proof(conn, shop.who(shop.far), made)
        assert hidden.value.code == "not_found"


async def test_goods_are_settled_from_the_account_with_number_and_reason(shop: Shop) -> None:
    """R-C8: bought before 2025-07-01, they are settled from it for now."""
    lot_id = (await shop.open(shop.pharmacy, 10)).lot_ids[0]
    who = shop.who(shop.pharmacy)
    result = await ends.sell(shop.doors, who, lot_id, 3, "JS-0001", "historical")
    assert result.bill_id
    assert (await shop.lot(shop.pharmacy, lot_id)).left == 7
    for receipt, reason in (("", "historical"), ("JS-2", "because"), ("JS-2", "settlement.oxygen")):
        with pytest.raises(YaosuError):
            await ends.sell(shop.doors, who, lot_id, 1, receipt, reason)
    header = await shop.pool.fetchval("SELECT header FROM bill WHERE id = $1", result.bill_id)
    assert header["receipt_no"] == "JS-0001" and header["reason"] == "historical"
    await shop.market.conserved()


async def test_goods_bought_too_late_are_not_settled(shop: Shop) -> None:
    """R-C8: they may have entered (山东 blocks purchases half a year later), but settlement is refused."""
    lot_id = (await shop.open(shop.pharmacy, 10, invoice_date=date(2025, 8, 1))).lot_ids[0]
    with pytest.raises(YaosuError) as refused:
        await ends.sell(shop.doors, shop.who(shop.pharmacy), lot_id, 1, "JS-3", "historical")
    assert refused.value.code == "uncoded_settlement_blocked"
    assert (await shop.lot(shop.pharmacy, lot_id)).left == 10


async def test_overdue_goods_are_not_sold_but_returned(shop: Shop) -> None:
    """R-D1: past the clearing date of 新疆 the goods stand still until they go back; the supplier is told."""
    lot_id = (await shop.open(shop.far, 10)).lot_ids[0]
    who = shop.who(shop.far)
    lot = await shop.lot(shop.far, lot_id)
    assert lot.due == date(2026, 2, 28) and lot.overdue(service.today())
    with pytest.raises(YaosuError) as refused:
        await ends.sell(shop.doors, who, lot_id, 1, "JS-4", "historical")
    assert "2026-03-01" in refused.value.findings[0].text()
    result = await ends.give_back(shop.doors, who, lot_id, 10, "逾期未补码")
    assert result.bill_id and (await shop.lot(shop.far, lot_id)).left == 0
    told = await shop.pool.fetchval(
        "SELECT count(*) FROM message WHERE org = $1 AND kind = 'notice_uncoded_returned'", shop.supplier
    )
    assert told == 1


async def test_two_people_cannot_take_the_same_goods(shop: Shop) -> None:
    lot_id = (await shop.open(shop.pharmacy, 5, "RACE")).lot_ids[0]
    await shop.open(shop.pharmacy, 50, "RACE")
    who = shop.who(shop.pharmacy)
    tries = [
        ends.sell(shop.doors, who, lot_id, 2, f"JS-R{n}", "historical", bill_no=f"RACE-{n}") for n in range(8)
    ]
    done = await asyncio.gather(*tries, return_exceptions=True)
    sold = [d for d in done if not isinstance(d, BaseException)]
    assert len(sold) == 2
    assert all(d.code == "uncoded_not_enough" for d in done if isinstance(d, YaosuError))
    assert (await shop.lot(shop.pharmacy, lot_id)).left == 1
    drawn = await shop.pool.fetchval("SELECT count(*) FROM uncoded_draw WHERE bill_no LIKE 'RACE-%'")
    assert drawn == 2
    await shop.market.conserved()


async def test_a_repeated_sale_sells_once(shop: Shop) -> None:
    lot_id = (await shop.open(shop.pharmacy, 5)).lot_ids[0]
    other = (await shop.open(shop.pharmacy, 5)).lot_ids[0]
    who = shop.who(shop.pharmacy)
    await ends.sell(shop.doors, who, lot_id, 5, "JS-9", "historical", bill_no="ONCE-1")
    with pytest.raises(YaosuError) as refused:
        await ends.sell(shop.doors, who, other, 5, "JS-9", "historical", bill_no="ONCE-1")
    assert refused.value.code == "uncoded_number_used"
    assert (await shop.lot(shop.pharmacy, lot_id)).left == 0
    assert (await shop.lot(shop.pharmacy, other)).left == 5


async def test_a_void_sale_gives_the_goods_back_to_their_lot(shop: Shop) -> None:
    lot_id = (await shop.open(shop.pharmacy, 6)).lot_ids[0]
    who = shop.who(shop.pharmacy)
    result = await ends.sell(shop.doors, who, lot_id, 4, "JS-V", "historical")
    await circulation.void(
        shop.pool, shop.doors.committer, shop.doors.registry, who, result.bill_id, "录入错误", b"{}"
    )
    lot = await shop.lot(shop.pharmacy, lot_id)
    assert lot.left == 6 and lot.draws == []
    await shop.market.conserved()


async def test_a_count_by_two_people_explains_and_posts_a_shortage(shop: Shop) -> None:
    """专项核验 (R-D1): two names, an explained difference, posted as loss."""
    lot_id = (await shop.open(shop.pharmacy, 20)).lot_ids[0]
    who = shop.who(shop.pharmacy)
    for counter, checker, text in (("甲", "甲", "破损"), ("甲", "", "破损"), ("甲", "乙", "")):
        with pytest.raises(YaosuError) as refused:
            await counts.verify(shop.doors, who, lot_id, 18, counter, checker, text)
        assert refused.value.code == "uncoded_invalid"
    _, bill_no = await counts.verify(shop.doors, who, lot_id, 18, "甲", "乙", "破损两盒")
    assert bill_no and (await shop.lot(shop.pharmacy, lot_id)).left == 18
    _, none = await counts.verify(shop.doors, who, lot_id, 18, "甲", "乙")
    assert none == ""
    # a surplus has no purchase behind it: on record, not in the books
    _, surplus = await counts.verify(shop.doors, who, lot_id, 19, "甲", "乙", "多出一盒，待查")
    assert surplus == "" and (await shop.lot(shop.pharmacy, lot_id)).left == 18
    async with shop.pool.acquire() as conn:
        found = await counts.listed(conn, who, lot=lot_id)
        assert [r["counted"] for r in found] == [19, 18, 18]
        assert await counts.listed(conn, shop.who(shop.far), lot=lot_id) == []


async def test_n_boxes_become_n_units_when_their_codes_arrive(shop: Shop) -> None:
    """R-D1: asked of the supplier, shipped by it, scanned in; quantity becomes units and nothing is made of nothing."""
    async with shop.pool.acquire() as conn:
        market = shop.market
        market.conn = conn
        goods = await activate(market, cases=2, per_case=10, batch_no="CODED-1")
        await market.pass_on(market.maker, shop.supplier, goods.cases)
        made = await shop.open(
            shop.pharmacy,
            12,
            items=(Item(shop.drug_id, "CODED-1", 12),),
        )
        lot_id = made.lot_ids[0]
        buyer, seller = shop.who(shop.pharmacy), shop.who(shop.supplier)
        async with conn.transaction():
            asked = await requests.ask(conn, shop.doors.registry, buyer, lot_id, 10, "历史库存补码")
        with pytest.raises(YaosuError) as refused:
            await requests.ask(conn, shop.doors.registry, buyer, lot_id, 3)
        assert refused.value.code == "uncoded_not_enough"
        shipped = await market.ship(shop.supplier, shop.pharmacy, [goods.cases[0]], bill_no="SHIP-CODES")
        async with conn.transaction():
            await requests.answer(
                conn, shop.doors.registry, seller, asked, "in_place", "码标已寄出", shipped.bill_no
            )
        units = await market.stock(shop.pharmacy)
        before = await shop.left(shop.pharmacy)
        # not one of the lot's product
        with pytest.raises(YaosuError):
            await ends.supplement(shop.doors, buyer, lot_id, ["83859010000000010001"])
        result = await ends.supplement(shop.doors, buyer, lot_id, goods.boxes_of(0)[:4])
        assert result.status == "accepted", [(r.code, r.verdict) for r in result.results]
        assert await market.stock(shop.pharmacy) == units + 4
        assert await shop.left(shop.pharmacy) == before - 4
        assert (await shop.lot(shop.pharmacy, lot_id)).left == 8
        rest = await ends.supplement(shop.doors, buyer, lot_id, goods.boxes_of(0)[4:])
        assert rest.qty == 6 and (await shop.lot(shop.pharmacy, lot_id)).left == 2
        row = await requests.one(conn, buyer, asked)
        assert (row["state"], row["done_qty"]) == ("done", 10)
        with pytest.raises(YaosuError) as closed:
            await requests.withdraw(conn, buyer, asked)
        assert closed.value.code == "uncoded_request_closed"
        kinds = await conn.fetch("SELECT org, kind FROM message ORDER BY id")
        assert (shop.supplier, "notice_uncoded_codes_asked") in {tuple(r) for r in kinds}
        assert (shop.pharmacy, "notice_uncoded_codes_coming") in {tuple(r) for r in kinds}
        assert (shop.supplier, "notice_uncoded_codes_done") in {tuple(r) for r in kinds}
        await market.conserved()
        # more codes than the lot has left are refused before anything moves
        await market.ship(shop.supplier, shop.pharmacy, [goods.cases[1]], bill_no="SHIP-2")
        with pytest.raises(YaosuError) as enough:
            await ends.supplement(shop.doors, buyer, lot_id, goods.boxes_of(1)[:3], notice="SHIP-2")
        assert enough.value.code == "uncoded_not_enough"


async def test_a_request_is_seen_by_its_two_sides_only(shop: Shop) -> None:
    lot_id = (await shop.open(shop.pharmacy, 5)).lot_ids[0]
    async with shop.pool.acquire() as conn:
        made = await requests.ask(conn, shop.doors.registry, shop.who(shop.pharmacy), lot_id, 5)
        for stranger in (shop.far, shop.market.hospital):
            with pytest.raises(YaosuError) as hidden:
                await requests.one(conn, shop.who(stranger), made)
            assert hidden.value.code == "not_found"
        # the holder cannot answer itself, the supplier cannot withdraw
        with pytest.raises(YaosuError):
            await requests.answer(conn, shop.doors.registry, shop.who(shop.pharmacy), made, "declined", "不")
        with pytest.raises(YaosuError):
            await requests.withdraw(conn, shop.who(shop.supplier), made)
        await requests.answer(conn, shop.doors.registry, shop.who(shop.supplier), made, "declined", "已停产")
        assert (await requests.one(conn, shop.who(shop.pharmacy), made))["state"] == "declined"


async def test_goods_that_came_by_the_movement_door_get_their_papers_later(shop: Shop) -> None:
    """They show as lacking a proof; papers cannot make the purchase older than the bill says."""
    movement = Movement(
        type=21,
        bill_no="BARE-1",
        owner=shop.pharmacy,
        happened_at=datetime.now(UTC) - timedelta(minutes=5),
        codes=(),
        header={"invoice_no": "B-1", "invoice_date": "2025-08-15"},
        quantities=[Quantity(shop.drug_id, "BARE", 8, date(2025, 1, 1), date(2059, 12, 31))],
        body=b"{}",
    )
    who = shop.who(shop.pharmacy)
    await circulation.submit(shop.pool, shop.doors.committer, shop.doors.registry, who, movement)
    bare = next(lot for lot in await shop.book(shop.pharmacy) if lot.bill_no == "BARE-1")
    assert bare.id is None and bare.left == 8 and bare.proof_id is None
    proof = await shop.proof(shop.pharmacy)
    async with shop.pool.acquire() as conn:
        older = Opening("B-1", BEFORE, (), "B-02", proof, shop.supplier)
        with pytest.raises(YaosuError) as refused:
            await intake.attach(conn, shop.doors.registry, who, "BARE-1", older)
        assert refused.value.findings[0].code == "uncoded_invoice_differs"
        same = Opening("B-1", date(2025, 8, 15), (), "B-02", proof, shop.supplier)
        (lot_id,) = await intake.attach(conn, shop.doors.registry, who, "BARE-1", same)
    lot = await shop.lot(shop.pharmacy, lot_id)
    assert lot.left == 8 and lot.zone == "B-02"


async def test_holders_are_told_before_at_and_after_the_clearing_date_once_each(shop: Shop) -> None:
    """R-D1: 新疆 2026-02-28; the pharmacy in 山东, where no such day is set, hears nothing."""
    await shop.open(shop.far, 3)
    lists = shop.doors.registry.lists

    async def told() -> list[tuple[int, str]]:
        rows = await shop.pool.fetch(
            "SELECT org, kind FROM message WHERE kind LIKE 'notice_uncoded_%due' ORDER BY id"
        )
        return [tuple(r) for r in rows]

    async with shop.pool.acquire() as conn:
        assert await clock.remind(conn, lists, date(2025, 10, 1)) == 0
        for day in ("2025-12-15", "2026-01-29", "2026-01-30", "2026-02-28", "2026-02-28"):
            await clock.remind(conn, lists, date.fromisoformat(day))
        before = await told()
        await clock.remind(conn, lists, date(2026, 3, 1))
        await clock.remind(conn, lists, date(2026, 3, 9))
    assert before == [(shop.far, "notice_uncoded_due")] * 3
    assert await told() == [*before, (shop.far, "notice_uncoded_overdue")]


async def test_the_clock_works_once_a_day(shop: Shop) -> None:
    async with shop.pool.acquire() as conn:
        await clock.tick(conn, load())
        claimed = await conn.fetchval("SELECT day FROM uncoded_reminded")
        assert claimed == service.today()
        await conn.execute("DELETE FROM message")
        await clock.tick(conn, load())
        assert await conn.fetchval("SELECT count(*) FROM message") == 0
