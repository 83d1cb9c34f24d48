"""The special register against a model over random days of sales, corrections, voids and returns (R-C2, R-X3).

The model knows what each bill in force sells to whom. The register's sum is that and nothing else, and no line that was
written once ever changes.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from circulation.helpers import Market, activate, make_market
from people.helpers import KEEPER, given
from yaosu.circulation.model import MovementResult
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.people import service as people
from yaosu.registry.resolver import load_registry

SEED = 20261123
SEASONS, STEPS = 2, 130
LIMIT = 2
"""Smallest packages in one sale, and of one person within the period (list `sale_rule`)."""
LIMITS = {"limit_per_sale", "limit_per_person"}


@dataclass
class Sale:
    """A bill in force."""

    number: str
    revision: int
    person: int
    codes: list[str]
    at: datetime
    gone: dict[str, str] = field(default_factory=dict)
    """Codes that came back since, by the return that brought them."""


@dataclass
class Day:
    """A shop, its customers, and what the model knows."""

    market: Market
    rng: random.Random
    persons: list[int]
    at: datetime
    sales: dict[str, Sale] = field(default_factory=dict)
    voided: list[str] = field(default_factory=list)
    written: dict[tuple[int, int, int], tuple[Any, ...]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    number: int = 0

    async def shelf(self, count: int) -> list[str]:
        rows = await self.market.conn.fetch(
            "SELECT code FROM unit WHERE drug_id = $1 AND holder = $2 AND status = 'I' AND level = 1 ORDER BY code",
            self.market.drug_id,
            self.market.pharmacy,
        )
        codes = [r["code"] for r in rows]
        return self.rng.sample(codes, min(count, len(codes)))

    def allowed(self, person: int, count: int, but: str = "") -> bool:
        others = sum(len(s.codes) for s in self.sales.values() if s.person == person and s.number != but)
        return count <= LIMIT and others + count <= LIMIT

    async def send(self, number: str, codes: list[str], **more: Any) -> MovementResult | YaosuError:
        try:
            return await self.market.move(321, self.market.pharmacy, codes, bill_no=number, **more)
        except YaosuError as error:
            return error

    async def step(self) -> None:
        act = self.rng.choices(["sell", "correct", "void", "give_back", "unreturn"], (5, 7, 2, 3, 1))[0]
        await getattr(self, act)()
        await self.register_is_right()

    async def sell(self) -> None:
        codes = await self.shelf(self.rng.choice((1, 1, 2, 3)))
        if not codes:
            return
        self.number += 1
        self.at += timedelta(seconds=20)
        number, person = f"ZC{self.number}", self.rng.choice(self.persons)
        allowed = self.allowed(person, len(codes))
        outcome = await self.send(number, codes, person=person, happened_at=self.at)
        assert isinstance(outcome, MovementResult)
        self.judged(outcome, allowed)
        if allowed:
            self.sales[number] = Sale(number, 1, person, codes, self.at)

    def judged(self, outcome: MovementResult, allowed: bool) -> None:
        assert outcome.status == ("accepted" if allowed else "refused"), outcome.results
        if not allowed:
            assert {r.verdict for r in outcome.results} <= LIMITS, outcome.results
        self.done["accepted" if allowed else "beyond a limit"] += 1

    async def correct(self) -> None:
        if not self.sales:
            return
        sale = self.rng.choice(list(self.sales.values()))
        codes = [c for c in sale.codes if self.rng.random() < 0.85]
        codes += await self.shelf(self.rng.choice((0, 0, 1)))
        if not codes:
            return
        # mostly the same person, whose document nobody shows again
        other = self.rng.random() < 0.3
        person = self.rng.choice(self.persons) if other else sale.person
        header = {"doctor": f"医师{self.rng.randrange(9)}", "correct_reason": "更正"}
        said = {"person": person} if other else {}
        allowed = self.allowed(person, len(codes), sale.number)
        outcome = await self.send(
            sale.number, codes, revision=sale.revision + 1, happened_at=sale.at, header=header, **said
        )
        taken_off = set(sale.gone) - set(codes)
        if taken_off:
            self.refused(outcome, {sale.gone[c] for c in taken_off})
            return
        assert isinstance(outcome, MovementResult), outcome.findings
        self.judged(outcome, allowed)
        if not allowed:
            return
        kept = {k.code for k in outcome.kept}
        assert kept == set(sale.gone), "what came back since is left alone, the rest is sold anew"
        self.done["kept"] += len(kept)
        sale.revision, sale.person, sale.codes = sale.revision + 1, person, codes

    def refused(self, outcome: MovementResult | YaosuError, returns: set[str]) -> None:
        assert isinstance(outcome, YaosuError) and outcome.code == "later_fact", outcome
        assert {f.params["bill_no"] for f in outcome.findings} == returns
        self.done["later fact"] += 1

    async def void(self) -> None:
        if not self.sales:
            return
        sale = self.rng.choice(list(self.sales.values()))
        outcome = await self.send(sale.number, [], revision=sale.revision + 1, void=True, happened_at=sale.at)
        if sale.gone:
            self.refused(outcome, set(sale.gone.values()))
            return
        assert isinstance(outcome, MovementResult) and outcome.status == "void"
        self.voided.append(sale.number)
        del self.sales[sale.number]
        self.done["void"] += 1

    async def back(self, number: str, codes: list[str], **more: Any) -> MovementResult:
        header = {"reason_text": "顾客退回"}
        return await self.market.move(
            116, self.market.pharmacy, codes, bill_no=number, header=header, happened_at=self.at, **more
        )

    async def give_back(self) -> None:
        if not self.sales:
            return
        sale = self.rng.choice(list(self.sales.values()))
        left = [c for c in sale.codes if c not in sale.gone]
        if not left:
            return
        self.number += 1
        self.at += timedelta(seconds=20)
        code, number = self.rng.choice(left), f"ZT{self.number}"
        assert (await self.back(number, [code])).status == "accepted"
        sale.gone[code] = number
        self.done["return"] += 1

    async def unreturn(self) -> None:
        gone = [(s, c) for s in self.sales.values() for c in s.gone]
        if not gone:
            return
        sale, code = self.rng.choice(gone)
        assert (await self.back(sale.gone.pop(code), [], revision=2, void=True)).status == "void"
        self.done["unreturn"] += 1

    async def register_is_right(self) -> None:
        rows = await self.market.conn.fetch(
            "SELECT p.*, b.bill_no FROM people.purchase p JOIN bill b ON b.owner = p.org AND b.id = p.bill_id "
            "WHERE p.org = $1 ORDER BY p.bill_id",
            self.market.pharmacy,
        )
        now = {(r["drug_id"], r["bill_id"], r["batch_id"]): tuple(r.values()) for r in rows}
        assert self.written.items() <= now.items(), "a line was altered or deleted"
        self.written = now
        net: Counter[tuple[str, int]] = Counter()
        for r in rows:
            net[(r["bill_no"], r["person"])] += r["qty"]
        wanted = {(s.number, s.person): len(s.codes) for s in self.sales.values()}
        assert {k: n for k, n in net.items() if n} == wanted
        lines = {(r["drug_id"], r["bill_id"], r["batch_id"]): r for r in rows}
        for r in rows:
            if r["corrects"] is None:
                continue
            line = lines[(r["drug_id"], r["corrects"], r["batch_id"])]
            same = ("person", "agent", "codes", "doctor", "happened_at", "bill_no", "bill_type")
            assert (r["qty"], [r[k] for k in same]) == (-line["qty"], [line[k] for k in same])
        for person in self.persons:
            assert sum(n for (_, who), n in net.items() if who == person) <= LIMIT


async def test_the_registers_sum_is_what_the_bills_in_force_say(db: Connection) -> None:
    market = await make_market(db)
    await db.execute(
        "UPDATE product SET flags = '{ephedrine}', prescription = 'otc_a' WHERE id = $1", market.drug_id
    )
    market = replace(market, registry=await load_registry(db))
    done: Counter[str] = Counter()
    for season in range(SEASONS):
        trial = db.transaction()
        await trial.start()
        goods = await activate(market, cases=4, per_case=10)
        await market.pass_on(market.maker, market.pharmacy, goods.boxes)
        subject = market.subject(market.pharmacy)
        persons = [await people.identify(db, KEEPER, subject, given()) for _ in range(6)]
        start = datetime.now(UTC) - timedelta(hours=3)
        day = Day(market, random.Random(SEED + season), persons, start)
        try:
            for _ in range(STEPS):
                await day.step()
            await market.conserved()
        except AssertionError as error:
            raise AssertionError(f"season with seed {SEED + season}: {error}") from error
        finally:
            await trial.rollback()
        done.update(day.done)
    acts = ("accepted", "beyond a limit", "later fact", "void", "return", "kept")
    assert all(done[act] for act in acts), done
