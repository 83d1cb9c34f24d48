"""One act told through two ways in is one act; a second sale to somebody else is not (R-C6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yaosu.rules.same_act import Act, Window, papers_of, same_act, way_of

AT = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
WINDOW = Window(timedelta(days=2), timedelta(minutes=15))
FIRST = Act(9, "use", AT, frozenset({"81", "82"}), papers={"prescription_no": "RX1"}, person=5, way="desk")


def told(**more: Any) -> Act:
    return replace(Act(9, "use", AT + timedelta(minutes=3), frozenset({"81", "82"}), way="top"), **more)


@pytest.mark.parametrize(
    ("second", "answer"),
    [
        (told(), "moment"),
        (told(codes=frozenset({"82"})), "moment"),
        (told(person=5), "moment"),
        (told(happened_at=AT - timedelta(minutes=14)), "moment"),
        (told(papers={"receipt_no": "R7"}), "moment"),
        (told(papers={"prescription_no": "RX1"}, happened_at=AT + timedelta(hours=30)), "paper"),
        (told(way="desk", papers={"prescription_no": "RX1"}), "paper"),
        # not the same
        (told(way="desk"), ""),
        (told(happened_at=AT + timedelta(minutes=16)), ""),
        (told(papers={"prescription_no": "RX1"}, happened_at=AT + timedelta(days=3)), ""),
        (told(papers={"prescription_no": "RX2"}), ""),
        (told(person=6), ""),
        (told(owner=8), ""),
        (told(kind="give_back"), ""),
        (told(codes=frozenset({"81", "83"})), ""),
        (told(codes=frozenset()), ""),
        (told(parts={"81": 6}), ""),
    ],
)
def test_what_is_the_same_act_and_what_is_not(second: Act, answer: str) -> None:
    assert same_act(second, FIRST, WINDOW) == answer


def test_an_opened_box_serves_the_next_patient_within_minutes() -> None:
    first = replace(FIRST, parts={"81": 6}, papers={}, codes=frozenset({"81"}))
    second = told(codes=frozenset({"81"}), parts={"81": 6})
    assert same_act(second, first, WINDOW) == ""
    assert same_act(replace(second, person=5), first, WINDOW) == "moment"
    assert same_act(replace(second, person=5, parts={"81": 8}), first, WINDOW) == ""
    paper = {"prescription_no": "RX1"}
    assert same_act(replace(second, papers=paper), replace(first, papers=paper), WINDOW) == "paper"
    # the next dose, told in the same way; and a number of the whole stay says nothing of one dose
    assert same_act(replace(second, papers=paper, way="desk"), replace(first, papers=paper), WINDOW) == ""
    stay = {"visit_no": "ZY1"}
    assert same_act(replace(second, papers=stay), replace(first, papers=stay), WINDOW) == ""


def test_only_numbers_that_name_the_act_count() -> None:
    header = {"prescription_no": " RX1 ", "note": "x", "receipt_no": "", "settlement_id": None, "visit_no": 7}
    assert papers_of(header) == {"prescription_no": "RX1", "visit_no": "7"}


acts = st.builds(
    Act,
    st.integers(1, 2),
    st.sampled_from(["use", "give_back"]),
    st.integers(0, 4000).map(lambda m: AT + timedelta(minutes=m)),
    st.frozensets(st.sampled_from(["81", "82", "83"]), max_size=3),
    st.just({}),
    st.dictionaries(st.sampled_from(["prescription_no", "receipt_no"]), st.sampled_from(["1", "2"])),
    st.none() | st.integers(1, 2),
    st.sampled_from(["desk", "program", "top"]),
)


@given(acts, acts)
def test_nothing_that_contradicts_is_ever_the_same(a: Act, b: Act) -> None:
    if same_act(a, b, WINDOW):
        assert a.owner == b.owner
        assert a.codes <= b.codes
        assert a.person is None or b.person is None or a.person == b.person
        assert all(a.papers[n] == b.papers[n] for n in a.papers.keys() & b.papers.keys())
        assert abs(a.happened_at - b.happened_at) <= WINDOW.paper


@given(acts)
def test_every_act_told_in_another_way_is_itself(a: Act) -> None:
    assert (same_act(replace(a, way="epcis"), a, WINDOW) != "") is bool(a.codes)
    assert (same_act(a, a, WINDOW) == "paper") is bool(a.codes and a.papers)


def test_the_way_is_what_an_interface_says_else_who_pressed_the_button() -> None:
    assert (way_of({"way": "top"}, None), way_of({}, None), way_of({}, 7)) == ("top", "program", "desk")
