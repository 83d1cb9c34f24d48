"""Periodic checks: what does not hold becomes a task, is answered, comes back or closes by itself (R-E2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from access.helpers import make_account
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify import service as notify
from yaosu.quality import checks, clock
from yaosu.quality.measures import RULES
from yaosu.registry.lists import delivered
from yaosu.settings import Settings

NOW = datetime.now(UTC)


async def figures(
    db: Connection, market: Market, org: int, now: datetime = NOW
) -> dict[str, dict[str, object]]:
    """What a check of `org` measures, by rule."""
    number = await checks.run(db, market.registry, org, origin="hand", account_id=None, owner=None, now=now)
    found = await checks.get(db, market.subject(org), number)
    return {one["rule"]: one for one in found["figures"]}


def test_every_rule_of_the_list_is_measured_and_every_measure_is_in_the_list() -> None:
    """R-E2, D11: a rule without a measure would be a duty nobody looks at."""
    assert {item.code for item in delivered().get("quality_rule")} == set(RULES)
    assert {item.attrs["area"] for item in delivered().get("quality_rule")} == set(checks.AREAS)


async def test_a_firm_in_order_has_no_findings(db: Connection) -> None:
    """All that was shipped was received, the books agree with the boxes."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    found = await figures(db, market, market.wholesaler)
    assert all(one["held"] for one in found.values()), found
    assert await checks.findings(db, market.subject(market.wholesaler)) == []


async def test_a_shipment_that_nobody_received_is_a_finding_for_both_sides(db: Connection) -> None:
    """The buyer has a notice open, the seller has goods in transit, each with a link to it."""
    market = await make_market(db)
    goods = await activate(market)
    bill = await market.ship(market.maker, market.wholesaler, goods.cases)
    later = NOW + timedelta(days=10)
    buyer = (await figures(db, market, market.wholesaler, later))["matching_notices"]
    assert (buyer["value"], buyer["qty"], buyer["held"]) == (1, 20, False)
    assert buyer["links"][0]["href"] == f"/receive/{bill.bill_id}"  # type: ignore[index]
    seller = (await figures(db, market, market.maker, later))["balance_transit"]
    assert (seller["value"], seller["qty"]) == (1, 20)


async def test_late_bills_are_measured_as_a_share(db: Connection) -> None:
    """One of two bills was uploaded three days after it happened: 50 percent, over the limit of 5."""
    market = await make_market(db)
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases[:1], happened_at=NOW - timedelta(days=3))
    await market.ship(market.maker, market.wholesaler, goods.cases[1:])
    late = (await figures(db, market, market.maker))["timeliness_late"]
    # the activation of the market's goods is a bill of the maker too
    assert (late["value"], late["of"], late["held"]) == (33.3, 3, False)


async def test_codes_issued_and_never_activated_are_counted_by_the_ledger(db: Connection) -> None:
    """100 issued four months ago, 20 activated: 80 idle."""
    market = await make_market(db)
    await activate(market)
    request = await db.fetchval(
        "INSERT INTO code_request (org, drug_id, filing_id, total, made_at) VALUES ($1, $2, 1, 100, $3) RETURNING id",
        market.maker,
        market.drug_id,
        NOW - timedelta(days=120),
    )
    await db.execute("INSERT INTO code_range VALUES ($1, 1, 'cn20', 'T000001', 1, 0, 100)", request)
    idle = (await figures(db, market, market.maker))["activation_idle"]
    assert (idle["value"], idle["of"]) == (80, 100)


async def test_books_that_were_tampered_with_are_found(db: Connection) -> None:
    """A balance changed behind the ledger's back differs from entries and from the boxes."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    await db.execute("UPDATE balance SET qty = qty + 3 WHERE org = $1 AND status = 'I'", market.wholesaler)
    found = (await figures(db, market, market.wholesaler))["balance_books"]
    assert found["value"] == 2
    assert goods.batch_no in found["links"][0]["text"]  # type: ignore[index]


async def finding_of(db: Connection, market: Market) -> tuple[Goods, int, int]:
    """A wholesaler with an overdue notice, checked ten days later; its goods, account and finding."""
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases)
    account, _ = await make_account(db, market.wholesaler, "quality")
    await checks.run(
        db, market.registry, market.wholesaler,
        origin="hand", account_id=account, owner=account, now=NOW + timedelta(days=10),
    )  # fmt: skip
    (found,) = await checks.findings(db, market.subject(market.wholesaler))
    return goods, account, found["id"]


async def test_a_finding_is_answered_opened_again_and_closes_when_the_rule_holds(db: Connection) -> None:
    """Its whole life stays in the history."""
    market = await make_market(db)
    subject = market.subject(market.wholesaler)
    goods, account, number = await finding_of(db, market)
    await checks.answer(db, subject, number, "承运商延误，已催")
    run = {"origin": "hand", "account_id": None, "owner": account}
    await checks.run(db, market.registry, market.wholesaler, now=NOW + timedelta(days=11), **run)  # type: ignore[arg-type]
    found, _ = await checks.finding(db, subject, number)
    assert (found["state"], found["answer"]) == ("open", "承运商延误，已催")
    assert found["due_at"] > NOW + timedelta(days=12)
    result = await market.move(102, market.wholesaler, goods.cases, from_org=market.maker)
    assert result.status == "accepted"
    await checks.run(db, market.registry, market.wholesaler, now=NOW + timedelta(days=12), **run)  # type: ignore[arg-type]
    found, events = await checks.finding(db, subject, number)
    assert found["state"] == "closed"
    assert [e["kind"] for e in events] == ["found", "answered", "reopened", "gone"]
    with pytest.raises(YaosuError, match="closed"):
        await checks.answer(db, subject, number, "再说一次")


async def test_a_finding_is_closed_by_hand_only_after_an_answer(db: Connection) -> None:
    """Somebody has to say what was done first."""
    market = await make_market(db)
    subject = market.subject(market.wholesaler)
    _, _, number = await finding_of(db, market)
    with pytest.raises(YaosuError) as refused:
        await checks.close(db, subject, number, "没问题")
    assert refused.value.code == "quality_not_answered"
    await checks.answer(db, subject, number, "已核实")
    await checks.close(db, subject, number, "供货方已撤回")
    assert (await checks.finding(db, subject, number))[0]["state"] == "closed"


async def test_findings_of_others_do_not_exist(db: Connection) -> None:
    """Another firm's finding answers like a number that is none."""
    market = await make_market(db)
    _, _, number = await finding_of(db, market)
    for verb in (checks.finding(db, market.subject(market.other), number),
                 checks.answer(db, market.subject(market.other), number, "x")):  # fmt: skip
        with pytest.raises(YaosuError) as refused:
            await verb
        assert refused.value.code == "not_found"
    assert await checks.findings(db, market.subject(market.other)) == []


async def test_the_clock_runs_a_planned_check_once_and_tells_of_an_overdue_finding_once(
    db: Connection, tmp_path: Path
) -> None:
    """Due plans are checked and moved on; a passed deadline is told on the message page."""
    market = await make_market(db)
    goods = await activate(market)
    await market.ship(market.maker, market.wholesaler, goods.cases, happened_at=NOW - timedelta(days=9))
    account, _ = await make_account(db, market.wholesaler, "quality")
    await checks.set_plan(db, market.subject(market.wholesaler), "day", account)
    settings = Settings(tmp_path, "", "127.0.0.1", 0, "http://test")
    for _ in range(3):
        await db.execute(
            "UPDATE quality_plan SET next_at = now() - interval '1 minute' WHERE next_at > $1", NOW
        )
        await clock.tick(db, settings)
        await db.execute("UPDATE quality_finding SET due_at = now() - interval '1 minute'")
    made = await db.fetch("SELECT origin FROM quality_check WHERE org = $1", market.wholesaler)
    assert [r["origin"] for r in made] == ["clock"] * 3
    assert await db.fetchval("SELECT next_at > now() FROM quality_plan WHERE org = $1", market.wholesaler)
    (found,) = await checks.findings(db, market.subject(market.wholesaler))
    assert (found["rule"], found["owner"]) == ("matching_notices", account)
    kinds = [m.kind for m in await notify.messages(db, market.subject(market.wholesaler))]
    assert kinds.count("notice_quality_found") == 1
    assert kinds.count("notice_quality_overdue") == 1


async def test_an_overdue_finding_is_told_once_per_deadline(db: Connection) -> None:
    """The message page has one message, however often the clock looks."""
    market = await make_market(db)
    _, _, number = await finding_of(db, market)
    late = NOW + timedelta(days=30)
    assert await checks.tell_overdue(db, market.registry, late) >= 1
    _, events = await checks.finding(db, market.subject(market.wholesaler), number)
    assert [e["kind"] for e in events].count("overdue") == 1


@pytest.mark.parametrize(
    ("every", "moment", "expected"),
    [
        ("day", "2026-12-31T10:00:00+08:00", "2027-01-01"),
        ("week", "2026-11-22T23:30:00+08:00", "2026-11-23"),
        ("week", "2026-11-23T01:00:00+08:00", "2026-11-30"),
        ("month", "2026-01-31T00:00:00+08:00", "2026-02-01"),
    ],
)
def test_the_next_check_is_tomorrow_monday_or_the_first(every: str, moment: str, expected: str) -> None:
    """By China's calendar."""
    found = checks.next_after(every, datetime.fromisoformat(moment))
    assert found.isoformat() == f"{expected}T02:00:00+08:00"
