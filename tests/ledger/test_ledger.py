"""Stock and statements tie, at any moment and on both time axes; nothing appears or vanishes (D4, R-X5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.ledger import service
from yaosu.subject import SYSTEM

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
AHEAD = timedelta(hours=1)


async def _traded(db: Connection) -> tuple[Market, Goods]:
    """40 boxes made; 30 to the wholesaler; 10 on to the pharmacy, 2 sold there; a case still on its way."""
    market = await make_market(db)
    goods = await activate(market, cases=4)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:3])
    await market.pass_on(market.wholesaler, market.pharmacy, goods.cases[:1])
    await market.ship(market.wholesaler, market.hospital, goods.cases[1:2])
    await market.move(321, market.pharmacy, goods.boxes[:2])
    return market, goods


async def test_stock_is_what_each_account_holds_and_only_the_readers_own(db: Connection) -> None:
    market, _ = await _traded(db)
    lines, cursor = await service.stock(db, market.subject(market.wholesaler), statuses=["I", "O", "Q"])
    assert cursor is None
    assert {(line.org, line.status): line.qty for line in lines} == {
        (market.wholesaler, "I"): 10,
        (market.wholesaler, "O"): 10,
    }
    others, _ = await service.stock(db, market.subject(market.other), org=market.wholesaler)
    assert others == []


async def test_stock_comes_page_by_page(db: Connection) -> None:
    market, _ = await _traded(db)
    await activate(market)
    subject = market.subject(market.maker)
    first, cursor = await service.stock(db, subject, limit=1)
    assert cursor is not None
    second, end = await service.stock(db, subject, limit=1, after=cursor)
    assert end is None
    assert first[0].batch_id < second[0].batch_id


async def test_an_export_holds_every_page_or_is_refused(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    market, _ = await _traded(db)
    for _ in range(3):
        await activate(market)
    subject = market.subject(market.maker)
    monkeypatch.setattr(service, "PAGE_MAX", 2)
    assert len(await service.whole_stock(db, subject)) == 4
    monkeypatch.setattr(service, "EXPORT_MAX", 3)
    with pytest.raises(YaosuError) as refused:
        await service.whole_stock(db, subject)
    assert refused.value.code == "ledger_export_too_large"


async def test_stock_at_a_past_moment_is_reckoned_back_from_the_balances(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market, cases=4)
    now = datetime.now(UTC)
    day = timedelta(days=1)
    await market.ship(market.maker, market.wholesaler, goods.cases[:1], happened_at=now - 10 * day)
    await market.ship(market.maker, market.wholesaler, goods.cases[1:2], happened_at=now - 5 * day)
    subject = market.subject(market.maker)

    async def held(at: datetime, axis: service.Axis) -> dict[str, int]:
        lines, _ = await service.stock(db, subject, statuses=["I", "O"], at=at, axis=axis)
        return {line.status: line.qty for line in lines}

    assert await held(now - 7 * day, "happened") == {"I": 30, "O": 10}
    assert await held(now - 11 * day, "happened") == {"I": 40}
    # a week ago nobody had told us yet: the activation too was recorded today
    assert await held(now - 7 * day, "recorded") == {}
    assert await held(now + AHEAD, "recorded") == {"I": 20, "O": 20}


async def test_a_shelf_is_counted_by_package_level(db: Connection) -> None:
    market, goods = await _traded(db)
    pharmacy, wholesaler = market.subject(market.pharmacy), market.subject(market.wholesaler)
    lines, mixed = await service.levels(db, pharmacy, market.pharmacy, market.drug_id, goods.batch_id)
    assert [(line.level, line.packages, line.qty) for line in lines] == [(2, 1, 8)]
    assert mixed == 0
    lines, _ = await service.levels(db, wholesaler, market.wholesaler, market.drug_id, goods.batch_id)
    assert [(line.level, line.packages, line.qty) for line in lines] == [(2, 1, 10)]
    await market.move(116, market.pharmacy, goods.boxes[:1])
    held, _ = await service.levels(db, pharmacy, market.pharmacy, market.drug_id, goods.batch_id, "Q")
    assert [(line.level, line.packages, line.qty) for line in held] == [(1, 1, 1)]
    with pytest.raises(YaosuError) as refused:
        await service.levels(db, wholesaler, market.pharmacy, market.drug_id, goods.batch_id)
    assert refused.value.http == 404


async def test_a_statement_ties_opening_in_out_and_closing(db: Connection) -> None:
    market, _ = await _traded(db)
    end = datetime.now(UTC) + AHEAD
    (line,) = await service.statement(db, market.subject(market.wholesaler), LONG_AGO, end)
    assert (line.opening, line.came, line.went, line.closing) == (0, {102: 30}, {201: 20}, 10)
    assert line.ties
    (made,) = await service.statement(db, market.subject(market.maker), LONG_AGO, end)
    assert (made.came, made.went, made.closing) == ({1: 40}, {201: 30}, 10)
    assert made.ties


async def test_what_was_taken_back_counts_against_its_own_type(db: Connection) -> None:
    market, goods = await _traded(db)
    await market.move(321, market.pharmacy, goods.boxes[2:5], bill_no="S-1")
    await market.move(321, market.pharmacy, [], bill_no="S-1", revision=2, void=True)
    end = datetime.now(UTC) + AHEAD
    (line,) = await service.statement(db, market.subject(market.pharmacy), LONG_AGO, end)
    assert (line.came, line.went, line.closing) == ({102: 10}, {321: 2}, 8)
    assert line.ties


async def test_consecutive_statements_meet_and_late_bills_are_told(db: Connection) -> None:
    market, goods = await _traded(db)
    now = datetime.now(UTC)
    middle = now - timedelta(days=3)
    await market.move(321, market.pharmacy, goods.boxes[5:6], happened_at=now - timedelta(days=4))
    subject = market.subject(market.pharmacy)
    early = {line.batch_no: line for line in await service.statement(db, subject, LONG_AGO, middle)}
    later = {line.batch_no: line for line in await service.statement(db, subject, middle, now + AHEAD)}
    assert early[goods.batch_no].closing == later[goods.batch_no].opening == -1
    assert early[goods.batch_no].late == -1
    assert all(line.ties for line in [*early.values(), *later.values()])


async def test_a_statement_is_not_for_others_and_needs_a_period(db: Connection) -> None:
    market, _ = await _traded(db)
    subject = market.subject(market.other)
    now = datetime.now(UTC)
    with pytest.raises(YaosuError) as refused:
        await service.statement(db, subject, LONG_AGO, now, org=market.wholesaler)
    assert refused.value.http == 404
    with pytest.raises(YaosuError) as empty:
        await service.statement(db, subject, now, now)
    assert empty.value.code == "ledger_time_range"


async def test_a_chains_headquarters_reads_its_stores_books(db: Connection) -> None:
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.store, goods.cases[:1])
    end = datetime.now(UTC) + AHEAD
    headquarters = market.subject(market.pharmacy)
    (line,) = await service.statement(db, headquarters, LONG_AGO, end, org=market.store)
    assert line.closing == 10


async def test_activated_equals_the_sum_of_accounts_and_of_units(db: Connection) -> None:
    market, goods = await _traded(db)
    (found,) = await service.conservation(db, SYSTEM, market.drug_id, goods.batch_no)
    assert found.activated == 40
    assert found.holds
    await service.assert_conserved(db)


@pytest.mark.parametrize(
    ("tampering", "kind"),
    [
        ("UPDATE balance SET qty = qty + 1 WHERE status = 'I' AND qty > 0", "unbalanced"),
        ("UPDATE unit SET qty = qty - 1 WHERE parent IS NULL AND qty > 1", "units"),
        ("DELETE FROM entry WHERE to_status = 'S'", "entries"),
    ],
)
async def test_the_check_finds_what_was_changed_behind_the_books(
    db: Connection, tampering: str, kind: str
) -> None:
    market, goods = await _traded(db)
    await db.execute(tampering)
    assert kind in {one.kind for one in await service.check(db)}
    with pytest.raises(AssertionError):
        await service.assert_conserved(db)
    if kind == "entries":
        end = datetime.now(UTC) + AHEAD
        (line,) = await service.statement(db, market.subject(market.pharmacy), LONG_AGO, end)
        assert (line.difference, line.ties) == (-2, False)
    else:
        (found,) = await service.conservation(db, SYSTEM, market.drug_id, goods.batch_no)
        assert not found.holds
