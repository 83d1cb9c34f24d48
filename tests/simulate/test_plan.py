"""The calendar is drawn without a server: the same day and codes give the same plan, on any day."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from simulate.helpers import EVENING, plan_for
from yaosu.codes import TraceCode, parse
from yaosu.codes.identifiers import check_gtin, check_national_drug_code, check_uscc, check_yibao
from yaosu.simulate.cast import cast
from yaosu.simulate.planner import CHINA
from yaosu.simulate.steps import Plan
from yaosu.simulate.supply import SAMPLE


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_for()


def test_every_number_of_the_province_passes_its_check() -> None:
    for org in cast().orgs.values():
        assert check_uscc(org.uscc).value == org.uscc
    for product in cast().products.values():
        assert check_gtin(product.links["retail_barcode"]).problem is None
        assert check_national_drug_code(product.links["bwm"]).problem is None
        if "yibao" in product.links:
            assert check_yibao(product.links["yibao"]).problem is None


def test_names_say_that_they_are_a_demo() -> None:
    for org in cast().orgs.values():
        assert "示例" in org.name or "演示" in org.name


def test_the_public_label_sample_is_in_it_exactly() -> None:
    product = cast().products["cold_granules"]
    lot = product.lots[0]
    assert product.levels[0].identifier == SAMPLE[:7]
    assert product.links["retail_barcode"] == "6924561884074"
    assert product.fields["approval_no"] == "国药准字Z45021428"
    assert (lot.batch, str(lot.made), str(lot.expires)) == ("251021", "2025-10-24", "2027-09-30")
    assert product.fields["shelf_life"] == 24


def test_the_same_day_and_codes_give_the_same_plan(plan: Plan) -> None:
    again = plan_for()
    assert again.steps == plan.steps
    assert again.examples == plan.examples


def test_another_day_gives_another_plan(plan: Plan) -> None:
    assert plan_for(EVENING + timedelta(days=1)).steps != plan.steps


@pytest.mark.parametrize("later", [*range(0, 14), 60, 240, 255, 270, 300, 315, 400, 800])
def test_a_plan_can_be_drawn_on_any_day(later: int) -> None:
    plan = plan_for(EVENING + timedelta(days=later))
    assert len(plan.steps) > 300
    assert SAMPLE in {e.code for e in plan.examples.values()}


def test_it_can_be_drawn_in_the_first_minutes_of_a_day() -> None:
    anchor = datetime(2026, 11, 21, 0, 3, tzinfo=CHINA)
    assert all(step.at <= anchor for step in plan_for(anchor).steps)


def test_nothing_happens_in_the_future_and_bill_numbers_are_used_once(plan: Plan) -> None:
    assert all(step.at <= plan.anchor for step in plan.steps)
    numbers = [
        (s.body["owner"], s.body["bill_no"], s.body.get("revision", 1))
        for s in plan.steps
        if s.kind == "movement"
    ]
    assert len(set(numbers)) == len(numbers)


def test_a_step_waits_only_for_earlier_ones(plan: Plan) -> None:
    assert all(before < step.n for step in plan.steps for before in step.after)


def test_every_movement_of_a_code_waits_for_the_one_before(plan: Plan) -> None:
    """Otherwise calls side by side could overtake each other."""
    reached: dict[int, set[int]] = {}
    last: dict[str, int] = {}
    for step in plan.steps:
        before: set[int] = set()
        for n in step.after:
            before |= reached[n] | {n}
        reached[step.n] = before
        if step.kind == "movement" and "no_notice" not in step.expect:
            codes = {parse(raw).text for raw in step.body["codes"]}  # type: ignore[union-attr]
            for code in codes:
                if code in last:
                    assert last[code] in before, (step, code)
                last[code] = step.n


def test_scanner_texts_are_understood_as_the_codes_of_the_relation_file(plan: Plan) -> None:
    coded = set()
    for step in plan.steps:
        if step.kind == "activate":
            text = step.body["content"].decode()
            if step.body["name"].endswith(".csv"):
                coded |= {line.split(",")[0] for line in text.splitlines()[1:]}
            else:
                coded |= {part.split('"')[0] for part in text.split('curCode="')[1:]}
    for step in plan.steps:
        if step.kind == "movement":
            for raw in step.body["codes"]:
                code = parse(raw)
                assert isinstance(code, TraceCode)
                assert code.text in coded


def test_examples_cover_every_state_worth_showing(plan: Plan) -> None:
    assert {e.status for e in plan.examples.values()} == {"", "A", "I", "O", "S", "Q", "X", "N", "C"}
