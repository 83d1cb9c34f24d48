"""Draws bills over packages: keeps who holds what, numbers and dates bills, and knows which step must come first."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from yaosu.production.relation.dates import expiry_dates
from yaosu.simulate.cast import Cast, DemoProduct, Lot
from yaosu.simulate.goods import Batch, Package, Stock
from yaosu.simulate.relation import relation_file
from yaosu.simulate.steps import Example, Plan, Step
from yaosu.simulate.supply import SAMPLE, Supply

CHINA = ZoneInfo("Asia/Shanghai")
SHIPMENTS = {201: "XS", 202: "TC", 203: "DB", 207: "ZD"}
PREFIX = {
    **SHIPMENTS,
    **{102: "CG", 103: "TH", 104: "DR", 112: "BF", 116: "XT", 205: "XH", 206: "CJ", 215: "SH", 321: "LS"},
    **{322: "JZ", 323: "YY", 6: "FX", 108: "ZR", 211: "ZH", 220: "BS"},
}
RECEIPT_OF = {201: 102, 202: 103, 203: 104, 207: 102}
MADE_BEFORE = 12
"""Days from production to activation."""
FIXED_BEFORE_END = 150
"""Days before its end that a batch of fixed dates is activated at the latest."""


def scanner_text(package: Package) -> str:
    """What a scanner sends of the package: GS1 codes come as element string with batch and expiry."""
    code = package.code
    if not code.startswith("(01)"):
        return code
    gtin, serial = code[4:18], code[22:]
    batch = package.batch
    return f"]d201{gtin}17{batch.expires:%y%m%d}10{batch.number}\x1d21{serial}"


class Planner:
    """The state of the province while its calendar is drawn."""

    def __init__(self, cast: Cast, anchor: datetime, supply: Supply, seed: str) -> None:
        self.cast = cast
        self.anchor = anchor.astimezone(CHINA)
        self.supply = supply
        self.rng = random.Random(f"plan {seed}")  # noqa: S311 - a story, no secret
        self.stock = Stock()
        self.plan = Plan(self.anchor)
        self._numbers: Counter[tuple[str, str]] = Counter()

    # -- time ------------------------------------------------------------------------------------------------------

    def day(self, ago: int) -> date:
        """The calendar day `ago` days before today."""
        return self.anchor.date() - timedelta(days=ago)

    def at(self, ago: int, hour: int, minute: int = 0) -> datetime:
        """A time of the day `ago` days before today; a few seconds are drawn."""
        second = self.rng.randrange(60)
        return datetime.combine(self.day(ago), time(hour, minute, second), CHINA)

    def just(self, **before: int) -> datetime:
        """A time shortly before now."""
        return self.anchor - timedelta(**before)

    # -- steps -----------------------------------------------------------------------------------------------------

    def step(
        self,
        kind: str,
        who: str,
        at: datetime,
        body: dict[str, Any],
        after: Iterable[int | None] = (),
        about: int | None = None,
        expect: Sequence[str] = (),
    ) -> int:
        """Add a step; its number."""
        n = len(self.plan.steps)
        before = frozenset(a for a in (*after, about) if a is not None)
        self.plan.steps.append(Step(n, kind, who, at, body, before, about, tuple(sorted(expect))))
        return n

    def bill_no(self, type: int, owner: str, at: datetime) -> str:
        """The next number of the owner: kind, day, running number."""
        head = f"{PREFIX[type]}{at.astimezone(CHINA):%Y%m%d}"
        self._numbers[owner, head] += 1
        return f"{head}-{self._numbers[owner, head]:03d}"

    def uscc(self, key: str) -> str:
        """An organisation as bills name it."""
        return self.cast.orgs[key].uscc

    def touch(self, packages: Sequence[Package]) -> set[int]:
        """The steps that must come before the one about to be added, which becomes the last one of the packages.

        It also becomes the last one of what they were taken out of: what remains there moves on afterwards.
        """
        n = len(self.plan.steps)
        before: set[int] = set()
        for package in packages:
            for one in (package, package.left):
                if one is not None:
                    if one.last_step is not None and one.last_step != n:
                        before.add(one.last_step)
                    one.last_step = n
            package.left = None
        return before

    def movement(
        self,
        type: int,
        owner: str,
        packages: Sequence[Package],
        at: datetime,
        *,
        to: str = "",
        sender: str = "",
        who: str = "",
        more: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        extra: Sequence[str] = (),
        expect: Sequence[str] = (),
        after: Iterable[int] = (),
    ) -> tuple[int, str]:
        """A bill over `packages` (with `extra` raw scans besides); the step and the bill's number."""
        before = self.touch(packages) | set(after)
        number = self.bill_no(type, owner, at)
        body: dict[str, Any] = {
            "type": type,
            "bill_no": number,
            "happened_at": at.isoformat(),
            "owner": self.uscc(owner),
            "codes": [*(scanner_text(p) for p in packages), *extra],
            **(more or {}),
        }
        if to:
            body["to_org"] = self.uscc(to)
        if sender:
            body["from_org"] = self.uscc(sender)
        if header:
            body["header"] = header
        n = self.step("movement", who or owner, at, body, before, expect=expect)
        return n, number

    # -- what trade is made of -------------------------------------------------------------------------------------

    def activate(self, product: DemoProduct, lot: Lot) -> list[Package]:
        """A batch is made, packed to the top of the ladder, activated and taken into stock."""
        batch = self._batch(product, lot)
        top = len(product.levels)
        packages = [
            self._package(product, top, batch) for _ in range(lot.boxes // product.units_per[top - 1])
        ]
        at = self.activated_at(lot)
        # written now: the packages are taken apart while the plan goes on
        name, content = relation_file(batch, packages)
        body = {"name": name, "content": content, "stock_in": not lot.stay}
        n = self.step("activate", product.maker, at, body)
        for package in packages:
            package.last_step = n
            if not lot.stay:
                self.stock.put(product.maker, package)
        self.plan.boxes += lot.boxes
        return packages

    def activated_at(self, lot: Lot) -> datetime:
        """When a batch is activated; a batch of fixed dates well before it ends, whatever day it is today."""
        if lot.day == 0:
            return self.just(minutes=150)
        day = self.day(lot.day)
        if lot.expires is not None:
            day = min(day, lot.expires - timedelta(days=FIXED_BEFORE_END))
        return datetime.combine(day, time(8, 10 + lot.boxes % 37), CHINA)

    def _batch(self, product: DemoProduct, lot: Lot) -> Batch:
        life, unit = product.fields["shelf_life"], product.fields["shelf_life_unit"]
        if lot.made and lot.expires:
            return Batch(product, lot.batch, lot.made, lot.expires)
        made = self.day(lot.day + MADE_BEFORE)
        if lot.expired_days:
            # back from the day it ended to a day whose shelf life ends then
            end = self.day(lot.expired_days)
            year, month = divmod(end.year * 12 + end.month - 1 - life, 12)
            made = date(year, month + 1, min(end.day, 28)) + timedelta(days=1)
        return Batch(product, f"{made:%y%m%d}", made, expiry_dates(made, life, unit)["day_before"])

    def _package(self, product: DemoProduct, level: int, batch: Batch) -> Package:
        package = Package(self.supply.take(product, level), level, batch)
        if level > 1:
            package.children = [
                self._package(product, level - 1, batch) for _ in range(product.levels[level - 1].contains)
            ]
            for child in package.children:
                child.parent = package
        return package

    def take(self, org: str, product: str, level: int, count: int, on: date | None = None) -> list[Package]:
        """Up to `count` packages of `level` out of free stock, usable on that day. A movement must follow at once."""
        found = []
        for _ in range(count):
            package = self.stock.find(org, product, level, on)
            if package is None:
                break
            self.stock.remove(org, package)
            found.append(package)
        return found

    def example(self, key: str, code: str, status: str = "", **more: str) -> None:
        """Remember a code to show."""
        self.plan.examples[key] = Example(key, code, status, **more)

    def sample_of(self, packages: Iterable[Package]) -> Package | None:
        """The outermost package that holds the public label sample."""
        return next((p for p in packages if any(q.code == SAMPLE for q in p.walk())), None)
