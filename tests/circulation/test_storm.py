"""Random bills of every kind against the boxes-only model (issue 3; design §6): nothing is lost, doubled or invented,
and what came into quarantine becomes saleable by the acts that release it only (R-B4; `storm_model.Model.released`).

`YAOSU_TEST_STORM_STEPS` sets the steps of each of the first three tests (together at least 100,000 by default; the
fourth, with guesses, takes a quarter), `YAOSU_TEST_STORM_SEED` the first seed. A failure names its seed and the bill.
"""

from __future__ import annotations

import os
import random

import pytest

from circulation.helpers import make_market
from circulation.storm import Storm
from yaosu.circulation import assume, store_write
from yaosu.db.engine import Connection

STEPS = int(os.environ.get("YAOSU_TEST_STORM_STEPS", "33600"))
SEED = int(os.environ.get("YAOSU_TEST_STORM_SEED", "20261121"))
SEASON = 600
"""Steps with the same goods."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
async def test_no_storm_of_bills_loses_doubles_or_invents_anything(
    db: Connection, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    market = await make_market(db)
    guessing = part == 3
    if guessing:
        # every bill of two codes is judged by the first of them, which is often wrong (decision 0023)
        monkeypatch.setattr(assume, "RUN_MIN", 2)
        monkeypatch.setattr(assume, "SAMPLE", 1)
        monkeypatch.setattr(store_write, "ALIKE_MIN", 2)
    steps = moved = refused = forbidden = guessed = wrong = aside = astray = 0
    kinds: dict[str, int] = {}
    season = 0
    while steps < (STEPS // 4 if guessing else STEPS):
        seed = SEED * 1000 + part * 100_000_000 + season
        storm = Storm(market, random.Random(seed))
        if guessing:
            storm.group_max = 2
        trial = db.transaction()
        await trial.start()
        try:
            await storm.season(SEASON)
        except AssertionError as error:
            raise AssertionError(f"season with seed {seed}: {error}") from error
        finally:
            await trial.rollback()
        season += 1
        steps, moved = steps + storm.steps, moved + storm.moved
        refused, forbidden = refused + storm.refused, forbidden + storm.forbidden
        guessed, wrong = guessed + storm.guessed, wrong + storm.wrong
        aside, astray = aside + storm.aside, astray + storm.astray
        for kind, count in storm.kinds.items():
            kinds[kind] = kinds.get(kind, 0) + count
    # a storm in which everything is refused, or a kind never comes up, would prove nothing
    assert moved > steps * 0.3, (steps, moved, refused, forbidden)
    for kind in (
        "ship",
        "receive",
        "use",
        "give_back",
        "open",
        "split_loss",
        "uncoded",
        "void",
        "correction",
    ):
        assert kinds[kind] > steps * 0.002, kinds
    assert forbidden > steps * 0.005, forbidden
    assert aside > steps * 0.001 and astray > steps * 0.001, (steps, aside, astray)
    if guessing:
        assert guessed > steps * 0.03 and wrong > steps * 0.03, (steps, guessed, wrong)
