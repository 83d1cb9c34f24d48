"""Dates of the uncoded account: what may be bought, settled and kept without codes, where and until when."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.helpers import make_org, make_product
from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.registry import lists
from yaosu.registry.model import Item, OrgType
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.uncoded_rules import clear_by, countdown, exempt, never_coded, refusal

SHANDONG, XINJIANG, YUNNAN = "370102", "650102", "530102"


async def _registry(db: Connection) -> tuple[Registry, int, int]:
    maker = await make_org(db)
    tablets = await make_product(db, maker)
    herbs = await make_product(
        db, maker, levels=(("袋", 1, "8385701"), ("箱", 20, "8385702")), flags=frozenset({"decoction"})
    )
    return await load_registry(db), tablets, herbs


def _buy(registry: Registry, drug: int, region: str, bought: date, on: date) -> Finding | None:
    return refusal(
        registry,
        bill_type=21,
        owner_region=region,
        owner_type=OrgType.RETAIL,
        drug_id=drug,
        on=on,
        purchased_on=bought,
    )


async def test_goods_without_codes_may_not_be_bought_after_the_date_of_the_region(db: Connection) -> None:
    """R-B3: the last day before the date is free, the date itself is not; law and date are named."""
    registry, tablets, _ = await _registry(db)
    on = date(2026, 4, 1)
    assert _buy(registry, tablets, XINJIANG, date(2026, 2, 28), on) is None
    refused = _buy(registry, tablets, XINJIANG, date(2026, 3, 1), on)
    assert refused is not None and refused.code == "uncoded_purchase_blocked"
    assert "2026-03-01" in refused.text("zh") and "新疆" in refused.text("zh")
    assert "2026-03-01" in refused.text("en")


async def test_each_region_has_its_own_date(db: Connection) -> None:
    registry, tablets, _ = await _registry(db)
    bought = date(2026, 1, 15)
    assert _buy(registry, tablets, SHANDONG, bought, bought) is not None
    assert _buy(registry, tablets, XINJIANG, bought, bought) is None
    assert _buy(registry, tablets, YUNNAN, bought, bought) is None


async def test_historical_stock_is_judged_by_the_day_it_was_bought(db: Connection) -> None:
    """R-D1: registering it later is allowed; the proof's date decides, not the day of registration."""
    registry, tablets, _ = await _registry(db)
    late = date(2027, 6, 1)
    assert _buy(registry, tablets, XINJIANG, date(2025, 6, 30), late) is None
    without_invoice = refusal(
        registry, bill_type=21, owner_region=XINJIANG, owner_type=4, drug_id=tablets, on=late
    )
    assert without_invoice is not None


async def test_an_invoice_from_the_future_is_refused(db: Connection) -> None:
    registry, tablets, herbs = await _registry(db)
    for drug in (tablets, herbs):
        found = _buy(registry, drug, YUNNAN, date(2026, 2, 2), date(2026, 2, 1))
        assert found is not None and found.code == "uncoded_invoice_later"


async def test_what_is_never_coded_is_never_restricted(db: Connection) -> None:
    """R-A6: 中药饮片 carry no code, so no date binds them."""
    registry, _, herbs = await _registry(db)
    day = date(2027, 1, 1)
    assert never_coded(registry, herbs, XINJIANG, day)
    for bill_type in (21, 23):
        assert (
            refusal(registry, bill_type=bill_type, owner_region=XINJIANG, owner_type=4, drug_id=herbs, on=day)
            is None
        )


async def test_goods_bought_before_the_date_are_settled_from_the_uncoded_account(db: Connection) -> None:
    """R-C8: bought before 2025-07-01 they are settled for now; later ones are not."""
    registry, tablets, _ = await _registry(db)

    def settle(bought: date, region: str, on: date, owner_type: int = 4) -> Finding | None:
        return refusal(
            registry,
            bill_type=23,
            owner_region=region,
            owner_type=owner_type,
            drug_id=tablets,
            on=on,
            purchased_on=bought,
        )

    on = date(2026, 2, 1)
    assert settle(date(2025, 6, 30), SHANDONG, on) is None
    refused = settle(date(2025, 7, 1), SHANDONG, on)
    assert refused is not None and refused.code == "uncoded_settlement_blocked"
    assert "鲁药监规" in refused.text("zh")
    assert "医保发" in (settle(date(2025, 7, 1), YUNNAN, on) or refused).text("zh")
    # wholesalers do not settle
    assert settle(date(2025, 7, 1), SHANDONG, on, owner_type=2) is None
    # 新疆: what is left after the clearing date is returned, whenever it was bought
    assert settle(date(2025, 6, 30), XINJIANG, date(2026, 2, 28)) is None
    assert settle(date(2025, 6, 30), XINJIANG, date(2026, 3, 1)) is not None


@pytest.mark.parametrize("bill_type", [22, 24, 25])
async def test_goods_may_always_be_returned_supplemented_and_lost(db: Connection, bill_type: int) -> None:
    registry, tablets, _ = await _registry(db)
    assert (
        refusal(
            registry,
            bill_type=bill_type,
            owner_region=XINJIANG,
            owner_type=4,
            drug_id=tablets,
            on=date(2030, 1, 1),
        )
        is None
    )


async def test_the_countdown_names_every_date_with_its_source(db: Connection) -> None:
    registry, _, _ = await _registry(db)
    today = date(2026, 2, 18)
    found = countdown(registry, XINJIANG, OrgType.RETAIL, today)
    assert [d.code for d in found] == [
        "uncoded_settlement_blocked",
        "uncoded_stock_cleared",
        "uncoded_purchase_blocked",
        "uncoded_sale_blocked",
    ]
    assert [d.days_left for d in found] == [-232, 10, 11, 11]
    assert all(d.source for d in found)
    due = clear_by(registry, XINJIANG, OrgType.RETAIL, today)
    assert due is not None and due.date == date(2026, 2, 28) and not due.passed
    assert countdown(registry, XINJIANG, OrgType.LOGISTICS, today) == []
    assert clear_by(registry, SHANDONG, OrgType.RETAIL, today) is None


async def test_the_operator_moves_a_date_without_a_new_release(db: Connection) -> None:
    """D11: dates are data; an entry from the operator comes as JSON, with the date as text."""
    registry, tablets, _ = await _registry(db)
    item = Item(
        "uncoded_purchase_blocked",
        "不得购进无码药品",
        "No uncoded purchases",
        "云南试行通知",
        "53",
        attrs={"date": "2026-06-01", "actors": ["4"], "blocks": ["21"], "counted": "bought"},
    )
    registry._lists = registry.lists.over([("deadline", item)])
    assert _buy(registry, tablets, YUNNAN, date(2026, 5, 31), date(2026, 7, 1)) is None
    assert _buy(registry, tablets, YUNNAN, date(2026, 6, 1), date(2026, 7, 1)) is not None


# the first look at the lists reads their files
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.sampled_from([SHANDONG, XINJIANG, YUNNAN]))
def test_once_blocked_a_purchase_stays_blocked(day: date, region: str) -> None:
    """A date passes once: what may not be bought on a day may not be bought on any later day."""
    registry = Registry()

    def blocked(bought: date) -> bool:
        return _buy(registry, 0, region, bought, bought) is not None

    if blocked(day):
        assert blocked(day + timedelta(days=1)) and blocked(day + timedelta(days=400))


@patient
@given(st.sampled_from(["decoction", "granule", "oxygen"]), st.dates(date(2026, 3, 2), date(2030, 1, 1)))
def test_never_coded_goods_are_exempt_from_coding_everywhere(flag: str, day: date) -> None:
    known = lists.delivered()
    assert exempt(known, frozenset({flag}), "coding", XINJIANG, day) is not None
    assert exempt(known, frozenset({"vaccine"}), "coding", XINJIANG, day) is None
