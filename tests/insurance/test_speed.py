"""How long a settlement check takes: a few codes at the counter, four hundred of a hospital's day (R-C7).

Figures on two shared cores, embedded PostgreSQL: docs/insurance.md.
"""

from __future__ import annotations

import statistics
import time

import pytest

from insurance.helpers import Scene, make_scene, stocked
from yaosu.db.engine import Connection


@pytest.fixture
async def scene(db: Connection) -> Scene:
    """A bureau and its institutions."""
    return await make_scene(db)


async def test_three_codes_are_judged_and_recorded_well_within_the_scan(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy, cases=60)
    shop = scene.pharmacy.institution
    took = []
    for number in range(150):
        codes = goods.boxes[number * 3 : number * 3 + 3]
        start = time.perf_counter()
        outcome = await scene.settle(shop, codes, number=f"N{number}")
        took.append((time.perf_counter() - start) * 1000)
        assert outcome.severity == "ok"
    took.sort()
    p99 = took[int(len(took) * 0.99)]
    print(f"3 codes: median {statistics.median(took):.1f} ms, p99 {p99:.1f} ms")
    # the median, which other work on the machine moves less than the tail
    assert statistics.median(took) < 50


async def test_four_hundred_codes_are_one_question(scene: Scene) -> None:
    goods = await stocked(scene, scene.market.pharmacy, cases=120)
    shop = scene.pharmacy.institution
    took = []
    for number in range(3):
        codes = goods.boxes[number * 400 : number * 400 + 400]
        start = time.perf_counter()
        outcome = await scene.settle(shop, codes, number=f"H{number}")
        took.append((time.perf_counter() - start) * 1000)
        assert outcome.severity == "ok"
    print(f"400 codes: median {statistics.median(took):.0f} ms")
    assert statistics.median(took) < 2000
