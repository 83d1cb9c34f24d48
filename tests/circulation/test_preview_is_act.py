"""What a correction or void is shown to do is what it does (R-X3): random histories, each revision looked at first.

The preview is the real thing rolled back, so this holds it to the answer, and the answer to what is then on record.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from circulation.helpers import make_market
from circulation.storm import Storm
from yaosu.circulation import service, views
from yaosu.circulation.apply import apply_group
from yaosu.circulation.model import Movement, MovementResult, Preview
from yaosu.circulation.prepare import prepare
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError

SEED = 20261122
SEASONS, STEPS = 3, 220
_OWN = ("bill_id", "leaf", "recorded_at")
"""What only a bill on record has."""


class _One:
    """A pool with one connection, so that the preview runs where the history is."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.fetch, self.fetchrow, self.fetchval = conn.fetch, conn.fetchrow, conn.fetchval

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """The connection."""
        yield self.conn


def told(outcome: MovementResult | YaosuError) -> dict[str, Any]:
    """An answer in the words of the preview, without what only a bill on record has."""
    shown = Preview(None, outcome) if isinstance(outcome, YaosuError) else Preview(outcome, None)
    view = views.preview_view(shown, "zh")
    if view["result"] is not None:
        view["result"] = {k: v for k, v in view["result"].items() if k not in _OWN}
        for check in view["result"].get("checks", ()):
            check.pop("id", None)
        for one in view["result"]["results"]:
            # the bill taken back by this very correction has no number yet when it is previewed
            if one["evidence"] and one["evidence"]["bill_no"] == view["result"]["bill_no"]:
                one["evidence"]["bill_id"] = None
    return view


class Looked(Storm):
    """A storm in which every revision is previewed before it is sent."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.group_max = 1
        self.looked = self.possible = self.parts = self.effects = 0
        self.verdicts: set[str] = set()

    async def group(self) -> int:
        """One bill; a revision is looked at first."""
        m, market = self.movement(), self.market
        subject = market.subject(m.owner)
        shown: dict[str, Any] | None = None
        if m.revision > 1:
            before = await self.standing()
            pool = cast(Pool, _One(market.conn))
            preview = await service.preview(pool, market.registry, market.batches, subject, m)
            shown = told(preview.error if preview.result is None else preview.result)  # type: ignore[arg-type]
            shown["effects"] = views.preview_view(preview, "zh")["effects"]
            assert await self.standing() == before, "a preview changes nothing"
        prepared = await prepare(market.conn, market.registry, subject, m)
        async with market.conn.transaction():
            (outcome,) = await apply_group(market.conn, [prepared], market.batches)
        self.check(m, outcome)
        if shown is not None:
            effects = shown.pop("effects")
            done = told(outcome)
            done.pop("effects")
            assert shown == done, m
            await self.came_to_pass(effects)
            self.looked += 1
            self.possible += shown["possible"]
            await self.on_record(m, outcome, shown)
        return 1

    async def on_record(
        self, m: Movement, outcome: MovementResult | YaosuError, shown: dict[str, Any]
    ) -> None:
        """Each effect that was shown is on record: codes moved, kept and taken back."""
        if isinstance(outcome, YaosuError) or not outcome.bill_id:
            return
        conn = self.market.conn
        reversal = outcome.bill_id
        if not m.void:
            own = await conn.fetch("SELECT code FROM bill_line WHERE bill_id = $1", outcome.bill_id)
            moved = {r.code for r in outcome.results if (r.accepted or r.quarantined) and r.code}
            assert {r["code"] for r in own} == moved - {k["code"] for k in shown["kept"]}
            kept = await conn.fetch("SELECT code FROM bill_kept WHERE bill_id = $1", outcome.bill_id)
            assert {r["code"] for r in kept} == {k["code"] for k in shown["kept"]}
            reversal = await conn.fetchval(
                "SELECT id FROM bill WHERE replaces = (SELECT replaces FROM bill WHERE id = $1) AND flags & 8 <> 0",
                outcome.bill_id,
            )
        back = await conn.fetch("SELECT code FROM bill_line WHERE bill_id = $1", reversal)
        assert {r["code"] for r in back} == set(shown["taken_back"])
        self.parts += await conn.fetchval("SELECT count(*) FROM split_entry WHERE bill_id = $1", reversal)

    async def came_to_pass(self, effects: list[dict[str, Any]]) -> None:
        """What was said of each package and account is how it is."""
        for effect in effects:
            if not effect["code"]:
                continue
            assert (await self.market.status(effect["code"]))[0] == effect["after"], effect
            left = await self.market.conn.fetchval(
                "SELECT unit_left FROM split_pack WHERE code = $1", effect["code"]
            )
            assert left == effect["left"], effect
            self.effects += 1

    async def standing(self) -> list[Any]:
        """Everything a preview could have touched by mistake."""
        conn = self.market.conn
        queries = (
            "SELECT count(*), max(id) FROM bill",
            "SELECT count(*), coalesce(sum(last_bill), 0) FROM unit WHERE code = ANY($1)",
            "SELECT coalesce(sum(unit_left), 0), coalesce(sum(unit_out), 0) FROM split_pack WHERE code = ANY($1)",
            "SELECT count(*), count(closed_at) FROM quarantine WHERE code = ANY($1)",
        )
        found: list[Any] = [await conn.fetch(queries[0])]
        found += [await conn.fetch(q, self.everything) for q in queries[1:]]
        rows = await conn.fetch(
            "SELECT * FROM balance WHERE qty <> 0 ORDER BY drug_id, batch_id, org, status"
        )
        return [*found, [tuple(r) for r in rows]]


async def test_what_a_correction_shows_is_what_it_does(db: Connection) -> None:
    market = await make_market(db)
    looked = possible = parts = effects = 0
    for season in range(SEASONS):
        storm = Looked(market, random.Random(SEED + season))
        trial = db.transaction()
        await trial.start()
        try:
            await storm.season(STEPS)
        except AssertionError as error:
            raise AssertionError(f"season with seed {SEED + season}: {error}") from error
        finally:
            await trial.rollback()
        looked, possible = looked + storm.looked, possible + storm.possible
        parts, effects = parts + storm.parts, effects + storm.effects
    assert possible > 10 and looked - possible > 5, "all possible or all forbidden would prove nothing"
    assert parts > 0 and effects > 10, "some of it was about opened boxes"
