"""Codes for planning without a server: what the code request would have given."""

from __future__ import annotations

import random
from datetime import datetime

from yaosu.simulate.cast import cast
from yaosu.simulate.plan import make_plan
from yaosu.simulate.planner import CHINA
from yaosu.simulate.steps import Plan
from yaosu.simulate.supply import SPARE, needs

EVENING = datetime(2026, 11, 21, 22, 0, tzinfo=CHINA)


def issued_codes() -> dict[tuple[str, int], list[str]]:
    """As many codes of each level as the plan takes, spares included."""
    rng = random.Random(1)
    found = {}
    for (key, level), count in needs(cast()).items():
        product = cast().products[key]
        if product.codes == "own":
            prefix = product.levels[level - 1].identifier
            found[key, level] = [
                f"{prefix}{n:013d}" for n in rng.sample(range(10**12, 10**13), count + SPARE)
            ]
    return found


def plan_for(anchor: datetime = EVENING) -> Plan:
    """The calendar that ends at `anchor`."""
    return make_plan(cast(), anchor, issued_codes())
