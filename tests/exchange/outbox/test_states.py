"""The life of a delivery and the routing rules hold whatever happens (R-X9, R-A4, R-A6)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yaosu.exchange.outbox.model import Link, RoutedBill, RoutedLine
from yaosu.exchange.outbox.routing import REASONS, Facts, decide
from yaosu.notify.pace import Pace, pace_of
from yaosu.notify.states import ASKED, DONE, State, after
from yaosu.registry.lists import delivered

OUTCOMES: tuple[State, ...] = ("sent", "accepted", "processed", "partly", "failed", "unknown", "pending")
KNOWN: tuple[State, ...] = ("pending", "sent", "accepted", "failed", "unknown")
paces = st.builds(
    Pace,
    st.lists(st.floats(1, 1e5), max_size=5).map(tuple),
    st.booleans(),
    ask_times=st.integers(0, 5),
)
steps = st.tuples(
    st.sampled_from(OUTCOMES), st.booleans(), st.one_of(st.none(), st.floats(0, 1e4)), st.booleans()
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(pace=paces, can_ask=st.booleans(), happened=st.lists(steps, min_size=1, max_size=60))
def test_a_delivery_is_never_lost_and_what_may_have_arrived_is_never_sent_blindly(
    pace: Pace, can_ask: bool, happened: list[tuple[State, bool, float | None, bool]]
) -> None:
    known: State = "pending"
    tries = 0
    for outcome, final, wait_s, interrupted in happened:
        asking = can_ask and (known in ASKED or interrupted)
        then = after(known, outcome, final, wait_s, tries, pace, asking=asking, can_ask=can_ask)
        assert then.state in get_args(State) and then.state != "held"
        # it ends, goes on by itself, or somebody is told: nothing stops in silence
        assert then.settled or then.pause_s is not None or then.at_rest
        assert (then.pause_s is None) == (then.settled or then.at_rest)
        if then.settled:
            assert then.state in DONE | {"failed", "given_up", "sent", "accepted"}
            assert then.state not in ("sent", "accepted") or not can_ask
            return
        if outcome in DONE:
            raise AssertionError("done is done")
        if asking and outcome == "unknown":
            # a question without an answer never lets it out again
            assert then.state in ASKED
        if known in ("sent", "accepted") and outcome in ("sent", "accepted"):
            assert (known, then.state) != ("accepted", "sent")
        if wait_s is not None and then.pause_s is not None:
            assert then.pause_s >= min(wait_s, 1e4)
        if then.pause_s is None:
            return
        known, tries = then.state, then.tries


@given(pace=paces, outcome=st.sampled_from(("failed", "unknown")))
def test_tries_have_an_end(pace: Pace, outcome: State) -> None:
    known: State = "pending"
    tries = 0
    for _ in range(len(pace.retries) + 1):
        then = after(known, outcome, False, None, tries, pace, asking=False, can_ask=False)
        known, tries = then.state, then.tries
    assert then.at_rest and then.settled == pace.gives_up


def test_every_channel_that_is_named_has_a_pace_and_rules_of_its_own() -> None:
    lists = delivered()
    assert pace_of(lists, "top").calls_per_s == 3 and not pace_of(lists, "top").gives_up
    assert pace_of(lists, "webhook").gives_up
    assert pace_of(lists, "no such channel").retries == pace_of(lists, "webhook").retries
    assert {str(i.attrs["channel"]) for i in lists.get("route_rule")} >= {
        "top",
        "yibao",
        "epcis",
        "jianguan",
        "erp",
    }


lines = st.lists(
    st.builds(
        lambda n, drug, home: RoutedLine(f"c{n}", drug, 1, "B1", "2026-01-01", "2059-01-01", 1, 1, home),
        st.integers(0, 50), st.integers(1, 3), st.integers(0, 3),
    ),
    max_size=12,
    unique_by=lambda x: x.code,
)  # fmt: skip


@given(
    now=lines,
    before=lines,
    channel=st.sampled_from(["top", "yibao", "epcis", "jianguan", "erp", "nothing"]),
    org_type=st.sampled_from([1, 2, 3, 4]),
    kind=st.sampled_from(["ship", "receive", "use"]),
    owner=st.sampled_from([10, 11]),
    everyone=st.booleans(),
)
def test_every_code_is_owed_or_left_out_with_a_reason(
    now: list[RoutedLine],
    before: list[RoutedLine],
    channel: str,
    org_type: int,
    kind: str,
    owner: int,
    everyone: bool,
) -> None:
    moment = datetime(2026, 10, 1, tzinfo=UTC)
    bill = RoutedBill(
        1,
        owner,
        owner,
        "N1",
        201,
        kind,
        1,
        False,
        None,
        12,
        None,
        None,
        None,
        moment,
        moment,
        {},
        now,
        before,
    )
    link = Link(1, 10, channel, "", "t", "", {}, {}, everyone)
    facts = Facts(
        org_type, "370100", {1: frozenset({"decoction"})}, {1: ("ours", True), 2: ("码上放心", False)}
    )
    decided = decide(bill, link, facts, delivered())
    assert decided.bill is not None or decided.reason in REASONS
    if owner != link.org and not everyone:
        assert decided.bill is None
    if decided.bill is None:
        return
    kept = {x.code for x in (*decided.bill.lines, *decided.bill.before)}
    out = {code for codes in decided.left_out.values() for code in codes}
    assert set(decided.left_out) <= set(REASONS)
    assert kept | out == {x.code for x in (*now, *before)}
    if channel == "top":
        # only codes whose home is another system, and nothing that is exempt from coding
        assert all(x.home == 2 and x.drug_id != 1 for x in (*decided.bill.lines, *decided.bill.before))
