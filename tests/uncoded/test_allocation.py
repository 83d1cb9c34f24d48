"""Which purchase gave what: lots of a batch always add up, and none gives more than came into it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from yaosu.uncoded.allocation import allocate
from yaosu.uncoded.model import Draw, Entered

START = datetime(2026, 1, 1, tzinfo=UTC)


def lot(n: int, qty: int, bought: date | None = None) -> Entered:
    """A lot numbered n."""
    return Entered((f"WR-{n}", 7, 1), qty, START + timedelta(hours=n), n, bought, n)


def draw(n: int, qty: int, lot_id: int | None = None) -> Draw:
    """A bill numbered n."""
    return Draw(f"WS-{n}", 23, qty, START + timedelta(days=1, hours=n), 100 + n, lot_id)


@given(
    st.lists(st.tuples(st.integers(-5, 50), st.none() | st.dates(date(2024, 1, 1), date(2026, 1, 1)))),
    st.lists(st.tuples(st.integers(-3, 40), st.none() | st.integers(0, 8))),
)
def test_no_lot_gives_more_than_came_in_and_all_that_left_is_somewhere(
    lots: list[tuple[int, date | None]], draws: list[tuple[int, int | None]]
) -> None:
    """R-C8: quantity out of a lot never more than in; lots add up to the account."""
    entered = [lot(n, qty, bought) for n, (qty, bought) in enumerate(lots)]
    taken = [draw(n, qty, lot_id) for n, (qty, lot_id) in enumerate(draws)]
    given_, short = allocate(entered, taken)
    came = {e.key: e.qty for e in entered if e.qty > 0}
    out = {key: sum(n for _, n in parts) for key, parts in given_.items()}
    assert set(out) == set(came)
    assert all(0 <= out[key] <= came[key] for key in came)
    wanted = sum(d.qty for d in taken if d.qty > 0)
    assert sum(out.values()) + short == wanted
    assert short == max(0, wanted - sum(came.values()))
    assert all(n > 0 for parts in given_.values() for _, n in parts)


def test_a_bill_that_names_its_lot_takes_from_it() -> None:
    given_, short = allocate([lot(1, 10), lot(2, 10)], [draw(1, 4, 2)])
    assert {k[0]: sum(n for _, n in v) for k, v in given_.items()} == {"WR-1": 0, "WR-2": 4}
    assert short == 0


def test_a_bill_without_a_lot_takes_from_the_oldest_purchase() -> None:
    older, newer = lot(2, 5, date(2025, 1, 1)), lot(1, 5, date(2025, 6, 1))
    given_, _ = allocate([newer, older], [draw(1, 7)])
    assert {k[0]: sum(n for _, n in v) for k, v in given_.items()} == {"WR-2": 5, "WR-1": 2}


def test_what_a_named_lot_no_longer_has_comes_from_the_others() -> None:
    given_, short = allocate([lot(1, 3), lot(2, 10)], [draw(1, 5, 1)])
    assert {k[0]: sum(n for _, n in v) for k, v in given_.items()} == {"WR-1": 3, "WR-2": 2}
    assert short == 0
