"""The rules alone (R-C7): what holds for every claim, found by trying many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from yaosu.errors import registry
from yaosu.insurance import rules
from yaosu.insurance.model import Claim, Known, Limits, Settled
from yaosu.insurance.weights import Weights
from yaosu.registry import lists

# the lists and messages are read at the first example
lists.delivered()
registry()
LIMITS = Limits(72 * 3600, 120, 24 * 3600, 600)
NOW = datetime(2026, 9, 1, 4, tzinfo=UTC)
KINDS = st.sampled_from(["fee", "bch", "line", "setl", "mdtrt", "visit", "doc"])
KEYS = st.dictionaries(KINDS, st.sampled_from(["1", "2", "3"]), max_size=5)
TIMES = st.integers(-400, 400).map(lambda h: NOW + timedelta(hours=h))
CHANNELS = st.sampled_from(["settle", "collect"])
CLAIMS = st.builds(
    Claim,
    institution=st.integers(1, 2),
    region=st.sampled_from(["370102", "650100"]),
    channel=CHANNELS,
    keys=KEYS,
    sold_at=TIMES,
    split=st.booleans(),
    med_list_codg=st.sampled_from(["", "X1", "X2"]),
    units=st.integers(0, 30),
)
SETTLED = st.builds(
    Settled,
    id=st.integers(1, 99),
    institution=st.integers(1, 2),
    region=st.sampled_from(["370102", "650100"]),
    keys=KEYS,
    split=st.booleans(),
    units=st.integers(0, 24),
    sold_at=TIMES,
    recorded_at=TIMES,
    channels=st.frozensets(CHANNELS, min_size=1),
)
KNOWN = st.builds(
    Known,
    kind=st.sampled_from(["not_a_code", "retail_barcode", "unknown", "elsewhere", "not_activated", "unit"]),
    code=st.just("83857930000123456789"),
    yibao=st.frozensets(st.sampled_from(["X1", "X2"])),
    per_pack=st.just(24),
    packs=st.sampled_from([1, 10]),
    status=st.sampled_from(list("AIOSDQCXN")),
    held=st.booleans(),
    coming=st.booleans(),
    stock_known=st.booleans(),
    settled=st.lists(SETTLED, max_size=3),
)


@given(KEYS, KEYS)
def test_whether_two_sets_of_numbers_are_one_act_does_not_depend_on_who_asks(
    a: dict[str, str], b: dict[str, str]
) -> None:
    assert rules.relation(a, b) == rules.relation(b, a)


@given(CLAIMS)
def test_an_act_is_itself_when_it_has_any_number(claim: Claim) -> None:
    one = Settled(
        1, claim.institution, claim.region, claim.keys, claim.split, 0, claim.sold_at, NOW, frozenset({claim.channel})
    )  # fmt: skip
    assert rules.same_act(claim, one, LIMITS) == bool(claim.keys)


@given(CLAIMS, SETTLED)
def test_acts_of_two_institutions_are_never_one(claim: Claim, one: Settled) -> None:
    if claim.institution != one.institution:
        assert not rules.same_act(claim, one, LIMITS)


@given(CLAIMS, KNOWN)
def test_everything_said_has_a_rule_a_severity_and_a_text_in_both_languages(
    claim: Claim, known: Known
) -> None:
    weights = Weights(lists.delivered(), claim.region, claim.sold_at)
    said = rules.judge(claim, known, NOW, LIMITS)
    for one in said:
        assert weights.severity(one.rule) in ("ok", "examine", "refuse")
        entry = registry()[f"ins_{one.rule}"]
        for lang in ("zh", "en"):
            assert "—" not in entry.text(lang, {"url": "x", **one.params}) or "—" in one.params.values()


@given(CLAIMS, KNOWN)
def test_a_whole_package_that_another_act_settled_is_never_paid(claim: Claim, known: Known) -> None:
    weights = Weights(lists.delivered(), claim.region, claim.sold_at)
    if known.kind in ("unit", "elsewhere") and any(not s.split for s in known.settled):
        assert weights.worst(rules.judge(claim, known, NOW, LIMITS)) == "refuse"


@given(CLAIMS, KNOWN)
def test_the_findings_never_name_who_holds_a_box(claim: Claim, known: Known) -> None:
    for one in rules.judge(claim, known, NOW, LIMITS):
        if one.rule in ("not_in_stock", "not_received", "sold_by_another"):
            assert set(one.params) == {"code"}


@given(st.integers(1, 60), st.lists(st.integers(0, 24), min_size=1, max_size=5))
def test_a_split_quantity_is_shared_out_completely_and_every_box_gives_something(
    units: int, boxes: list[int]
) -> None:
    parts = rules.shares(units, boxes)
    assert sum(parts) == units
    if units >= len(boxes):
        assert all(part >= 1 for part in parts)
    if sum(max(b, 1) for b in boxes) >= units >= len(boxes):
        # nothing is over unless the boxes are too small together
        assert all(p <= max(b, 1) for p, b in zip(parts, boxes, strict=True))


@given(st.integers(1, 5), st.integers(1, 120))
def test_a_split_quantity_fits_exactly_between_one_unit_a_box_and_all_they_hold(
    packs: int, units: int
) -> None:
    assert rules.fits(Decimal(units), True, None, packs, 24) == (packs <= units <= 24 * packs)
    assert rules.fits(Decimal(units), False, None, packs, 24) == (units == packs)
    assert not rules.fits(Decimal(0), True, None, packs, 24)
    # half a box is twelve of twenty-four
    assert rules.fits(Decimal("0.5"), True, "pack", 1, 24)


@given(CLAIMS, KNOWN, st.none() | SETTLED)
def test_a_duplicate_always_gets_a_probable_cause_of_the_list(
    claim: Claim, known: Known, earlier: Settled | None
) -> None:
    codes = {i.code for i in lists.delivered().get("insurance_hint")}
    found = rules.hint(claim, earlier, known, NOW, LIMITS)
    assert found
    assert set(found) <= codes


def test_a_region_may_weigh_a_rule_otherwise_and_dates_decide() -> None:
    from yaosu.registry.model import Item

    strict = Item(
        "not_in_stock", "x", "x", "s", "65", attrs={"severity": "refuse", "order": 60, "case": True}
    )
    over = lists.delivered().over([("insurance_rule", strict)])
    assert Weights(over, "650100", NOW).severity("not_in_stock") == "refuse"
    assert Weights(over, "370102", NOW).severity("not_in_stock") == "examine"
    before = datetime(2025, 6, 30, 4, tzinfo=UTC)
    assert Weights(over, "370102", before).severity("no_code") == "ok"
    assert Weights(over, "370102", NOW).severity("no_code") == "refuse"
