"""Where stopped goods may go is a pure rule (R-B5, R-E4): held to its own words on random chains."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from yaosu.rules.way_home import WayHome
from yaosu.rules.world import Stop, Unit, World

ORGS = st.integers(1, 9)
OWNER, DRUG = 10, 1
SETS = st.frozensets(ORGS, max_size=3)


def stop(return_to: int | None) -> Stop:
    return Stop(1, "recall", 1, "ZH-1", "召回", 1, None, 1, "", datetime(2026, 1, 1, tzinfo=UTC), return_to)


def mixed(batches: int) -> tuple[World, Unit]:
    """A package of so many batches."""
    unit = Unit(DRUG, "(00)1", 1 if batches == 1 else 0, 90, None, "I", OWNER, None, batches, None, 1)
    world = World()
    world.add(unit)
    if batches > 1:
        world.container_batches[unit.key] = {n + 1: 1 for n in range(batches)}
    return world, unit


@given(
    to=ORGS,
    firms=st.frozensets(ORGS, min_size=1, max_size=3),
    returns=st.lists(st.none() | ORGS, min_size=1, max_size=2),
    sellers=st.lists(SETS, min_size=1, max_size=3),
    stored=SETS,
    upward=st.booleans(),
    more=ORGS,
)
def test_goods_go_to_those_named_and_to_nobody_else(
    to: int,
    firms: frozenset[int],
    returns: list[int | None],
    sellers: list[frozenset[int]],
    stored: frozenset[int],
    upward: bool,
    more: int,
) -> None:
    world, unit = mixed(len(sellers))
    world.sellers = {(OWNER, DRUG, n + 1): found for n, found in enumerate(sellers)}
    world.stored_for = {to: stored}
    stops = [stop(one) for one in returns]

    def ends(receiver: int, up: bool = upward) -> list[int]:
        return WayHome(receiver, up, lambda _: firms).ends(world, OWNER, unit, stops)

    said = ends(to)
    everybody = firms | {one for one in returns if one is not None}
    allowed = all(({to} | stored) & (everybody | found) for found in sellers)
    assert (said == []) is (upward or allowed)
    # whoever the product or the order names may have them, and a refusal names at least the firm that answers for them
    assert all(ends(one, False) == [] for one in everybody)
    assert not said or firms <= set(said)
    if len(sellers) == 1:
        # of one batch, everybody it names may have them
        assert all(ends(one, False) == [] for one in said)
    # somebody more who delivered them takes nothing away
    world.sellers = {key: found | {more} for key, found in world.sellers.items()}
    assert said or ends(to) == []
