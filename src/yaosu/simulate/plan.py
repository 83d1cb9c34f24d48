"""The calendar of the province: the same day and the same codes give the same plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from yaosu.simulate.cast import Cast
from yaosu.simulate.planner import CHINA, Planner
from yaosu.simulate.steps import Plan
from yaosu.simulate.stories import Stories
from yaosu.simulate.supply import make_supply
from yaosu.simulate.trade import Trade


def make_plan(cast: Cast, anchor: datetime, own: Mapping[tuple[str, int], Sequence[str]]) -> Plan:
    """Two months that end at `anchor`; `own` are the codes issued here, by product and level, spares included."""
    seed = anchor.astimezone(CHINA).date().isoformat()
    planner = Planner(cast, anchor, make_supply(cast, seed, own), seed)
    trade = Trade(planner)
    stories = Stories(planner, trade)
    for ago in range(cast.calendar["days"], 0, -1):
        trade.run_day(ago)
        stories.run_day(ago)
    stories.run_today(own)
    return planner.plan
