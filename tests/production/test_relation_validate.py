"""The validator finds everything wrong and nothing else: one planted fault, exactly that finding (R-A3, R-A8)."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from production.helpers import (
    BOX,
    CASE,
    MASTER,
    MIDDLE,
    SAMPLE,
    Row,
    Tree,
    code,
    judged,
    shuffled,
    tree,
)
from yaosu.codes.issue import Range, derive, nth
from yaosu.production.relation import BatchFacts
from yaosu.production.relation.dates import EXPIRY_RULES, add_shelf_life, expiry_dates
from yaosu.registry.model import Level, OrgCard, Product, Resolution, TraceSystem
from yaosu.registry.resolver import Registry

ORG, OTHER = 1, 2
ELSEWHERE = TraceSystem(2, "另一追溯系统", "", "https://other.example", False)

TEXTS = ("english_name", "trade_name", "dosage_form", "strength", "package_size", "prep_unit")
TEXTS += ("approval_no", "import_cert_no", "import_permit_no", "registration_class", "prescription")
NOTHING = ("approval_expires", "import_cert_expires", "import_permit_expires", "packer_id", "agent_id")
NOTHING += ("expiry_rule",)


def product(
    drug_id: int, prefixes: tuple[str, str, str], mah: int = ORG, status: int = 1, **over: object
) -> Product:
    levels = tuple(
        Level(n, f"第{n}级", c, u, p, "cn20")
        for n, c, u, p in zip((1, 2, 3), (1, 4, 3), (1, 4, 12), prefixes, strict=True)
    )
    values: dict[str, object] = {
        **dict.fromkeys(TEXTS, ""),
        **dict.fromkeys(NOTHING),
        "id": drug_id,
        "generic_name": f"药品{drug_id}",
        "prep_units_per": 1,
        "shelf_life": 1,
        "shelf_life_unit": 2,
        "essential": False,
        "physic_type": 3,
        "flags": frozenset(),
        "mah_id": mah,
        "manufacturer_id": mah,
        "status": status,
        "version": 1,
        "levels": levels,
        "links": (),
    }
    return Product(**{**values, **over})  # type: ignore[arg-type]


class Known(Registry):
    """A registry of values, without a database."""

    def __init__(self, *products: Product, agent: int | None = None) -> None:
        super().__init__()
        self._products = {p.id: p for p in products}
        self._resolved = {
            lv.identifier: Resolution("known", p.id, lv.level) for p in products for lv in p.levels
        }
        self._resolved["8999999"] = Resolution("elsewhere", None, None, ELSEWHERE, "https://other.example")
        self._orgs = {OTHER: OrgCard(OTHER, "", "境外持证商", 7, 72, "110000", None, agent, 1)}


MINE = product(1, (BOX, MIDDLE, CASE))
SECOND = product(2, ("8300001", "8300002", "8300003"))
THEIRS = product(3, ("8400001", "8400002", "8400003"), mah=OTHER)
STOPPED = product(4, ("8500001", "8500002", "8500003"), status=0)
REGISTRY = Known(MINE, SECOND, THEIRS, STOPPED)

Fault = Callable[[Tree, random.Random], dict[str, int]]
FAULTS: dict[str, Fault] = {}


def fault(make: Fault) -> Fault:
    FAULTS[make.__name__] = make
    return make


def pick(given: Tree, layer: int, rng: random.Random) -> Row:
    return rng.choice([r for r in given.rows if r.layer == layer])


@fault
def a_line_twice(t: Tree, rng: random.Random) -> dict[str, int]:
    row = pick(t, 1, rng)
    t.rows.append(Row(row.code, 1, row.parent))
    return {"relation_duplicate": 1}


@fault
def two_parents(t: Tree, rng: random.Random) -> dict[str, int]:
    row = pick(t, 1, rng)
    other = rng.choice([r for r in t.rows if r.layer == 2 and r.code != row.parent])
    t.rows.append(Row(row.code, 1, other.code))
    return {"relation_two_parents": 1}


@fault
def a_parent_that_is_not_there(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code(BOX, 777_777), 1, code(MIDDLE, 888_888)))
    return {"relation_parent_missing": 1}


@fault
def a_wrong_level(t: Tree, rng: random.Random) -> dict[str, int]:
    pick(t, rng.choice([1, 2, 3]), rng).layer = 4
    return {"relation_level_differs": 1}


@fault
def a_box_directly_in_a_case(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code(BOX, 777_777), 1, pick(t, 3, rng).code))
    return {"relation_parent_level": 1}


@fault
def a_short_pack_not_flagged(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.remove(pick(t, 1, rng))
    return {"relation_underfull": 1}


@fault
def one_too_many(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code(BOX, 777_777), 1, pick(t, 2, rng).code))
    return {"relation_overfull": 1}


@fault
def an_empty_pack(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code(CASE, 777_777), 3, "", 2))
    return {"relation_pack_empty": 1}


@fault
def a_circle(t: Tree, rng: random.Random) -> dict[str, int]:
    a, b = code(CASE, 777_777), code(CASE, 777_778)
    t.rows += [Row(a, 3, b, 2), Row(b, 3, a, 2)]
    return {"relation_cycle": 2}


@fault
def inside_itself(t: Tree, rng: random.Random) -> dict[str, int]:
    a = code(CASE, 777_777)
    t.rows.append(Row(a, 3, a, 2))
    return {"relation_cycle": 1}


@fault
def an_unfiled_prefix(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code("8765432", 1), 1))
    return {"relation_code_unfiled": 1}


@fault
def a_code_of_another_system(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code("8999999", 1), 1))
    return {"relation_code_elsewhere": 1}


@fault
def a_product_of_somebody_else(t: Tree, rng: random.Random) -> dict[str, int]:
    return {"relation_not_yours": _stranger(t, THEIRS), "relation_mixed_products": 1}


@fault
def a_stopped_product(t: Tree, rng: random.Random) -> dict[str, int]:
    return {"relation_product_stopped": _stranger(t, STOPPED), "relation_mixed_products": 1}


def _stranger(t: Tree, of: Product) -> int:
    t.rows.append(Row(code(of.levels[0].identifier, 1), 1))
    return 1


@fault
def another_product_in_the_pack(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row(code("8300001", 1), 1, pick(t, 2, rng).code))
    return {"relation_parent_other_product": 1, "relation_mixed_products": 1}


@fault
def an_sscc(t: Tree, rng: random.Random) -> dict[str, int]:
    t.rows.append(Row("(00)006141411234567890", 9))
    return {"pack_logistics_empty": 1}


@fault
def made_tomorrow(t: Tree, rng: random.Random) -> dict[str, int]:
    t.made, t.expires = "2026-10-01", "2026-11-01"
    return {"relation_made_in_future": 1}


@fault
def an_expiry_that_follows_from_nothing(t: Tree, rng: random.Random) -> dict[str, int]:
    t.expires = "2026-10-20"
    return {"expiry_mismatch": 1}


@fault
def expired_before_made(t: Tree, rng: random.Random) -> dict[str, int]:
    t.expires = "2026-09-23"
    return {"relation_expires_before_made": 1}


@fault
def another_ratio(t: Tree, rng: random.Random) -> dict[str, int]:
    t.cascade = "1:3:13"
    return {"relation_cascade_differs": 1}


@given(seed=st.integers(0, 10**9), cases=st.integers(1, 4), name=st.sampled_from(sorted(FAULTS)))
@settings(max_examples=250, deadline=None)
def test_one_planted_fault_in_a_random_tree_is_exactly_what_is_found(
    seed: int, cases: int, name: str
) -> None:
    rng = random.Random(seed)
    given = tree(cases, 3, 4)
    given.cascade = "1:3:12"
    expected = FAULTS[name](given, rng)
    found = judged(shuffled(given, seed).xml(), REGISTRY, ORG)
    assert dict(found.errors.counts) == expected
    assert all(f.where.startswith("line ") for f in found.errors)
    assert all(f.text("zh") and "—" not in f.text("zh").replace("——", "") for f in found.errors), [
        f.text("zh") for f in found.errors
    ]


@given(seed=st.integers(0, 10**9), cases=st.integers(0, 5), loose=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_sound_file_in_any_order_has_no_findings_and_counts_every_box(
    seed: int, cases: int, loose: int
) -> None:
    given = tree(cases, 3, 4)
    given.rows += [Row(code(BOX, 900_000 + n), 1) for n in range(loose + (cases == 0))]
    found = judged(shuffled(given, seed).xml(), REGISTRY, ORG)
    assert found.ok, [f.text() for f in found.errors]
    outermost = found.qty[found.up == -1].sum()
    assert outermost == (found.level == 1).sum() == cases * 12 + loose + (cases == 0)


def test_the_public_sample_is_sound_because_its_packs_are_flagged_as_not_full() -> None:
    data = SAMPLE.read_bytes()
    ladder = tuple(
        Level(n, "级", c, u, p, "cn20")
        for n, c, u, p in zip((1, 2, 3), (1, 500, 5), (1, 500, 2500), (BOX, MIDDLE, CASE), strict=True)
    )
    known = Known(product(1, (BOX, MIDDLE, CASE), levels=ladder))
    found = judged(data, known, ORG)
    assert found.ok, [f.text() for f in found.errors]
    assert found.qty.tolist() == [4, 1, 1, 1, 1, 2, 1, 1]
    full = judged(data.replace(b'flag="2"', b'flag="0"'), known, ORG)
    assert dict(full.errors.counts) == {"relation_underfull": 4}


def test_both_lines_of_a_repeated_code_are_named() -> None:
    given = tree(1, 3, 4)
    given.rows.append(Row(given.rows[2].code, 1, given.rows[2].parent))
    (finding,) = judged(given.xml(), REGISTRY, ORG).errors.kept
    assert finding.where == "line 22" and "line 8" in finding.text("en")


def test_everything_wrong_is_said_at_once_and_counted_beyond_what_is_listed() -> None:
    given = tree(300, 3, 4)
    for row in given.rows:
        if row.layer == 1:
            row.parent = code(MIDDLE, 10**9)
    given.made = "2027-01-01"
    found = judged(given.xml(), REGISTRY, ORG).errors
    assert found.counts["relation_parent_missing"] == 3600
    assert found.counts["relation_pack_empty"] == 900
    assert found.counts["relation_made_in_future"] == 1
    assert sum(1 for f in found if f.code == "relation_parent_missing") == 1000


def test_a_batch_on_record_must_agree_with_the_file() -> None:
    data = tree(1, 3, 4).xml()
    same = BatchFacts(1, ORG, date(2026, 9, 23), date(2026, 10, 23))
    assert judged(data, REGISTRY, ORG, batches={(1, "20260901"): same}).ok
    other = BatchFacts(1, OTHER, date(2026, 9, 22), date(2026, 10, 22))
    found = judged(data, REGISTRY, ORG, batches={(1, "20260901"): other})
    assert dict(found.errors.counts) == {"relation_batch_differs": 1, "relation_batch_of_other": 1}


def test_the_domestic_responsible_person_of_an_overseas_holder_may_activate() -> None:
    data = Tree([Row(code("8400001", 1), 1)]).xml()
    assert not judged(data, REGISTRY, ORG).ok
    assert judged(data, Known(THEIRS, agent=ORG), ORG).ok


@pytest.mark.parametrize("many", [3, 1000])
def test_a_code_under_an_issued_prefix_must_have_been_issued(many: int) -> None:
    key = derive(MASTER, 1)
    codes = [nth(Range(BOX, key, 50, many), i) for i in range(many)]
    rows = [Row(c, 1) for c in codes]
    facts = {BOX: (key, [(50, many)])}
    assert judged(Tree(rows).xml(), REGISTRY, ORG, issued=facts).ok
    beyond = [*rows, Row(nth(Range(BOX, key, 50 + many, 1), 0), 1), Row(code(BOX, 12345), 1)]
    found = judged(Tree(beyond).xml(), REGISTRY, ORG, issued=facts)
    assert dict(found.errors.counts) == {"code_not_issued": 2}


RULES = [("same_day", "2027-10-24"), ("day_before", "2027-10-23"), ("month_before_end", "2027-09-30")]


@pytest.mark.parametrize(("rule", "expires"), [*RULES, ("month_end", "2027-10-31")])
def test_each_of_the_four_expiry_rules_is_accepted(rule: str, expires: str) -> None:
    # the end-to-end sample tuple of standards §2.9: made 2025-10-24, 24 months
    known = Known(product(1, (BOX, MIDDLE, CASE), shelf_life=24))
    given = tree(1, 3, 4)
    given.made, given.expires = "2025.10.24", expires
    assert judged(given.xml(), known, ORG).ok
    assert str(expiry_dates(date(2025, 10, 24), 24, 2)[rule]) == expires
    named = Known(product(1, (BOX, MIDDLE, CASE), shelf_life=24, expiry_rule=rule))
    assert not judged(given.xml(), named, ORG).notes
    other = next(r for r in EXPIRY_RULES if r != rule)
    noted = judged(given.xml(), Known(product(1, (BOX, MIDDLE, CASE), shelf_life=24, expiry_rule=other)), ORG)
    assert noted.ok and dict(noted.notes.counts) == {"expiry_rule_note": 1}


def test_an_expiry_printed_as_a_month_means_its_last_day() -> None:
    known = Known(product(1, (BOX, MIDDLE, CASE), shelf_life=24))
    given = tree(1, 3, 4)
    given.made, given.expires = "20251024", "2027.09"
    assert judged(given.xml(), known, ORG).ok


def test_files_made_to_hurt_are_judged_in_bounds() -> None:
    same = Tree([Row(code(BOX, 1), 1)] * 200_000)
    found = judged(same.xml(), REGISTRY, ORG).errors
    assert dict(found.counts) == {"relation_duplicate": 199_999} and len(found.kept) == 1000
    ring = Tree([Row(code(CASE, n), 3, code(CASE, (n + 1) % 150_000), 2) for n in range(150_000)])
    assert judged(ring.xml(), REGISTRY, ORG).errors.counts["relation_cycle"] == 150_000


@given(made=st.dates(date(2000, 1, 1), date(2090, 1, 1)), months=st.integers(1, 120))
def test_months_of_shelf_life_end_on_the_same_day_or_the_months_last(made: date, months: int) -> None:
    due = add_shelf_life(made, months, 2)
    assert due is not None
    assert (due.year * 12 + due.month) - (made.year * 12 + made.month) == months
    last_of_month = (due + timedelta(days=1)).day == 1
    assert due.day == made.day or (due.day < made.day and last_of_month)
