"""A scene's own stage: its clock, its goods, its calls (each done once, however often the start is interrupted)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from yaosu.production.relation.dates import expiry_dates
from yaosu.simulate.cast import DemoProduct
from yaosu.simulate.client import DemoError
from yaosu.simulate.goods import Batch, Package
from yaosu.simulate.partner import Partner
from yaosu.simulate.planner import CHINA, MADE_BEFORE, PREFIX, RECEIPT_OF, scanner_text
from yaosu.simulate.relation import relation_file
from yaosu.simulate.scenes.world import World

STEP = timedelta(minutes=11)
"""Between two acts of a scene."""
PEOPLE = {"from_person": "库管员", "to_person": "验收员"}


class OtherMissingError(DemoError):
    """A scene between two systems cannot be played: its story is left out."""


class Stage:
    """One scene; its `letter` marks its bills and batches. What the story's links need is put into `links` by name."""

    def __init__(self, world: World, scene: str, letter: str, days: float) -> None:
        self.world = world
        self.scene = scene
        self.letter = letter
        self.clock = world.anchor.astimezone(CHINA) - timedelta(days=days)
        self.links: dict[str, str] = {}
        self.calls = 0
        self._numbers = 0
        self.rng = random.Random(f"scene {scene} {world.anchor:%Y%m%d}")  # noqa: S311 - numbers of an invented printer

    # -- time and numbers ------------------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        """The day the story is told on."""
        return self.world.anchor.astimezone(CHINA).date()

    def later(self, **after: float) -> datetime:
        """The moment of the next act; never after the province's end, so that nothing lies in the future."""
        wait = timedelta(**after) if after else STEP
        self.clock = min(self.clock + wait, self.world.anchor.astimezone(CHINA) - timedelta(minutes=1))
        return self.clock

    def present(self) -> datetime:
        """This moment: what follows a recall or an agreement cannot lie before it."""
        return datetime.now(CHINA)

    def number(self, head: str, at: datetime | None = None) -> str:
        """A bill number of this scene."""
        self._numbers += 1
        return f"{head}{(at or self.clock).astimezone(CHINA):%Y%m%d}-{self.letter}{self._numbers:02d}"

    def org(self, key: str) -> int:
        """Our id of an organisation or place."""
        return self.world.ids[key]

    def login(self, key: str) -> str:
        """The account that belongs to an organisation."""
        return self.world.cast.orgs[key].login

    # -- calls -----------------------------------------------------------------------------------------------------

    async def ask(self, who: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """One call and its answer as JSON (text where it is none); answered from the journal when done before."""
        self.calls += 1
        key = f"{self.scene}/{self.calls}"
        done = self.world.journal.answers.get(key)
        if done is not None:
            return done["answer"]
        if body is not None:
            more["json"] = body
        working = asyncio.ensure_future(self._call(key, who, method, path, more))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # what was sent will be done by the server: wait for it, so that it is not sent twice
            await asyncio.wait([working])
            raise

    async def _call(self, key: str, who: str, method: str, path: str, more: dict[str, Any]) -> Any:
        sent = await self.world.send(who, method, path, **more)
        kind = sent.headers.get("content-type", "")
        answer = sent.json() if "json" in kind else (sent.text if kind.startswith("text/") else "")
        self.world.journal.note(key, {"answer": answer})
        return answer

    async def post(self, who: str, path: str, body: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """POST as JSON."""
        return await self.ask(who, "POST", path, body, **more)

    async def put(self, who: str, path: str, body: Mapping[str, Any]) -> Any:
        """PUT as JSON."""
        return await self.ask(who, "PUT", path, body)

    async def get(self, who: str, path: str, **params: Any) -> Any:
        """GET with parameters."""
        return await self.ask(who, "GET", path, params=params)

    async def until(
        self, who: str, path: str, fits: Callable[[Any], Any], seconds: float = 45, **params: Any
    ) -> Any:
        """Ask again and again until the answer `fits`, since others take their time; DemoError when it never does.

        Not in the journal: what has come to pass is there at the next start.
        """
        stop = asyncio.get_running_loop().time() + seconds
        while True:
            answer = (await self.world.send(who, "GET", path, params=params)).json()
            if fits(answer):
                return answer
            if asyncio.get_running_loop().time() > stop:
                raise DemoError(f"{self.scene}: {path} did not come to pass: {str(answer)[:1500]}")
            await asyncio.sleep(0.4)

    @property
    def other(self) -> Partner:
        """The other system; DemoError where it does not run."""
        if self.world.other is None or not self.world.other.ready:
            raise OtherMissingError(f"{self.scene}: the other system does not run")
        return self.world.other

    # -- goods -----------------------------------------------------------------------------------------------------

    async def make(
        self, product: str, top: int, batch_no: str = "", made_on: date | None = None
    ) -> list[Package]:
        """`top` full packages of the outermost level are made, activated and taken into the maker's stock."""
        made = self.world.cast.products[product]
        batch = self._batch(made, batch_no, made_on)
        codes = await self._codes(made, top)
        packages = [_pack(made, len(made.levels), batch, codes) for _ in range(top)]
        await self._activate(made.maker, batch, packages)
        return packages

    async def make_there(self, product: DemoProduct, top: int) -> list[Package]:
        """The same at a maker of the other system, with codes printed there."""
        batch = self._batch(product, "", None)
        counts = {n: top * product.units_per[-1] // held for n, held in enumerate(product.units_per, 1)}
        codes = {n: self._drawn(product, n, count) for n, count in counts.items()}
        packages = [_pack(product, len(product.levels), batch, codes) for _ in range(top)]
        await self._activate(f"~{product.maker}", batch, packages)
        return packages

    async def _activate(self, who: str, batch: Batch, packages: Sequence[Package]) -> None:
        name, content = relation_file(batch, packages)
        params = {"name": name, "stock_in": "true", "happened_at": self.later().isoformat()}
        await self.ask(who, "POST", "/relations", params=params, content=content)

    def _batch(self, product: DemoProduct, batch_no: str, made_on: date | None) -> Batch:
        made_on = made_on or self.clock.date() - timedelta(days=MADE_BEFORE)
        life, unit = product.fields["shelf_life"], product.fields["shelf_life_unit"]
        number = batch_no or f"{made_on:%y%m%d}{self.letter}"
        rule = product.fields.get("expiry_rule", "day_before")
        return Batch(product, number, made_on, expiry_dates(made_on, life, unit)[rule])

    async def _codes(self, product: DemoProduct, top: int) -> dict[int, list[str]]:
        counts = {n: top * product.units_per[-1] // held for n, held in enumerate(product.units_per, 1)}
        if product.codes == "own":
            body = {
                "drug_id": self.world.drugs[product.key],
                "levels": [{"level": n, "count": c} for n, c in counts.items()],
                "purpose": "演示生产计划",
                "client_ref": f"DEMO-{self.scene}-{self.calls}",
            }
            asked = await self.post(product.maker, "/code-requests", body)
            found = {}
            for level in counts:
                text = await self.get(product.maker, f"/code-requests/{asked['id']}/codes", level=level)
                found[level] = text.split()
            return found
        return {n: self._drawn(product, n, count) for n, count in counts.items()}

    def _drawn(self, product: DemoProduct, level: int, count: int) -> list[str]:
        """Codes printed elsewhere; begin otherwise than those of the calendar, so that none meets another."""
        head = product.levels[level - 1].identifier
        serials = self.rng.sample(range(10**10, 10**11), count)
        if product.codes == "gs1":
            return [f"(01){head}(21)T{serial}" for serial in serials]
        return [f"{head}00{serial}" for serial in serials]

    # -- bills -----------------------------------------------------------------------------------------------------

    async def move(
        self,
        type: int,
        owner: str,
        packages: Sequence[Package | str],
        *,
        who: str = "",
        bill_no: str = "",
        expect: Sequence[str] = (),
        at: datetime | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """A bill; `expect` are the verdicts other than plain acceptance, in any order. The answer with `bill_no`."""
        at = at or self.later()
        number = bill_no or self.number(PREFIX[type], at)
        body = {
            "type": type,
            "bill_no": number,
            "happened_at": at.isoformat(),
            "owner": self.org(owner),
            "codes": [p if isinstance(p, str) else scanner_text(p) for p in packages],
            **more,
        }
        answer: dict[str, Any] = await self.post(who or owner, "/movements", body)
        said = tuple(sorted(r["verdict"] for r in answer["results"] if r["severity"] != "ok"))
        if said != tuple(sorted(expect)):
            raise DemoError(f"{self.scene}: {type} {number}: planned {expect}, answered {said}: {answer}")
        return answer | {"bill_no": number, "at": at}

    async def ship(
        self, sender: str, receiver: str, packages: Sequence[Package], type: int = 201, **more: Any
    ) -> dict[str, Any]:
        """Goods leave."""
        return await self.move(type, sender, packages, to_org=self.org(receiver), header=PEOPLE, **more)

    async def receive(
        self,
        receiver: str,
        sent: Mapping[str, Any],
        packages: Sequence[Package],
        type: int,
        sender: str,
        **more: Any,
    ) -> dict[str, Any]:
        """Goods arrive against the notice of `sent`."""
        return await self.move(
            RECEIPT_OF[type], receiver, packages, from_org=self.org(sender), notice=sent["bill_no"], **more
        )

    async def pass_on(self, packages: Sequence[Package], *along: str) -> None:
        """Down the chain, shipped and received each time."""
        for sender, receiver in pairwise(along):
            parent = self.world.cast.orgs[receiver].parent if receiver in self.world.cast.orgs else ""
            type = 203 if parent == sender else 201
            sent = await self.ship(sender, receiver, packages, type)
            await self.receive(receiver, sent, packages, type, sender)

    async def agree(self, case: str, by: str, proposal: Mapping[str, Any], other: str) -> None:
        """One side of a case proposes, the other accepts."""
        shown = await self.post(by, f"{case}/proposals", proposal)
        answer = {"accept": True, "text": "已核对，同意"}
        await self.post(other, f"{case}/proposals/{shown['proposals'][-1]['id']}/answer", answer)

    def link(self, name: str, path: str) -> None:
        """A page the story leads to."""
        self.links[name] = path

    def bill(self, name: str, answer: Mapping[str, Any]) -> None:
        """The page of a bill."""
        self.links[name] = f"/bills/{answer['bill_id']}"


def _pack(product: DemoProduct, level: int, batch: Batch, codes: dict[int, list[str]]) -> Package:
    package = Package(codes[level].pop(0), level, batch)
    if level > 1:
        package.children = [
            _pack(product, level - 1, batch, codes) for _ in range(product.levels[level - 1].contains)
        ]
        for child in package.children:
            child.parent = package
    return package


def boxes_of(package: Package) -> list[Package]:
    """The smallest packages in it."""
    return [p for p in package.walk() if p.level == 1]
