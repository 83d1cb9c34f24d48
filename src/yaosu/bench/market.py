"""A small market to measure in, made through the rooms' own doors: firms, products, issued and activated goods."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import orjson

from yaosu.access import keys
from yaosu.bench.database import Database
from yaosu.bench.relation_file import write_relation
from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.codes.identifiers.uscc import organisation_check_character, uscc_check_character
from yaosu.codes.issue import derive, iter_codes
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import activation, requests
from yaosu.registry import service
from yaosu.registry.drafts import FilingDraft, LevelDraft, OrgDraft, ProductDraft
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import ADMIN, Subject

MASTER = b"benchmark".ljust(32, b"\0")
"""Codes of a benchmark are the same in every run."""
CONTAINS = (10, 20, 240)
"""10 boxes in a middle package, 20 of these in a case, 240 cases on a pallet: 1 : 10 : 200 : 48,000."""
LEVEL_NAMES = ("盒", "中盒", "箱", "托盘")
OPERATOR = Subject(
    "account",
    role="operator",
    scopes=frozenset({"registry.admin", "org.write", "org.read", "product.write", "product.read"}),
)
REGION = "370102"


def uscc(number: int) -> str:
    """A valid 统一社会信用代码 for each number below 10⁸."""
    organisation = f"{number:08d}"
    body = "91" + REGION + organisation + organisation_check_character(organisation)
    return body + uscc_check_character(body)


@dataclass(slots=True)
class Goods:
    """One activated batch: codes by level, in the order in which they are packed."""

    drug_id: int
    batch_id: int
    batch_no: str
    boxes: list[str] = field(default_factory=list)
    middles: list[str] = field(default_factory=list)
    cases: list[str] = field(default_factory=list)
    pallets: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Market:
    """Who there is. `conn` is used for preparation and for measured bills, one after the other."""

    conn: Connection
    folder: Path
    registry: Registry
    batches: BatchCache
    contains: tuple[int, ...]
    maker: int
    wholesalers: tuple[int, int]
    chain: int
    stores: list[int]
    drug_id: int
    prefixes: tuple[str, ...]
    numbers: count[int]

    def subject(self, org: int) -> Subject:
        """Somebody of `org` who may do everything there."""
        card = self.registry.org(org)
        assert card is not None
        return Subject(
            "account",
            None,
            org,
            str(card.type),
            "admin",
            frozenset({ADMIN}),
            region=card.region,
            name="bench",
        )

    async def move(
        self,
        type: int,
        owner: int,
        codes: Sequence[str],
        *,
        to_org: int | None = None,
        from_org: int | None = None,
    ) -> float:
        """One bill through the write path, committed; its seconds. Raises when a code is refused."""
        now = datetime.now(UTC) - timedelta(minutes=5)
        number = f"B{next(self.numbers)}"
        content = {"type": type, "bill_no": number, "happened_at": now.isoformat(), "codes": codes}
        movement = Movement(
            type=type,
            bill_no=number,
            owner=owner,
            happened_at=now,
            codes=codes,
            to_org=to_org,
            from_org=from_org,
            body=orjson.dumps({**content, "to_org": to_org, "from_org": from_org}),
        )
        subject = self.subject(owner)
        begun = time.perf_counter()
        prepared = await prepare(self.conn, self.registry, subject, movement)
        async with self.conn.transaction():
            (outcome,) = await apply_group(self.conn, [prepared], self.batches)
        seconds = time.perf_counter() - begun
        if isinstance(outcome, YaosuError):
            raise outcome
        _all_accepted(outcome)
        return seconds

    async def ship(self, sender: int, receiver: int, codes: Sequence[str]) -> float:
        """201 from sender to receiver; its seconds."""
        return await self.move(201, sender, codes, to_org=receiver)

    async def receive(self, receiver: int, sender: int, codes: Sequence[str]) -> float:
        """102 at the receiver; its seconds."""
        return await self.move(102, receiver, codes, from_org=sender)

    async def pass_on(self, sender: int, receiver: int, codes: Sequence[str], per_bill: int = 2_000) -> None:
        """Shipped and received, in bills of at most `per_bill` codes."""
        for at in range(0, len(codes), per_bill):
            part = codes[at : at + per_bill]
            await self.ship(sender, receiver, part)
            await self.receive(receiver, sender, part)

    async def key(self, org: int, *wanted: str) -> str:
        """A new API key of `org` with these permissions; the secret."""
        _, secret = await keys.create_key(self.conn, self.subject(org), "bench", wanted)
        return secret

    async def request_codes(self, boxes: int) -> list[list[str]]:
        """Issued codes of every level for `boxes` boxes, as the printer gets them."""
        counts, below = {1: boxes}, boxes
        for level, per in enumerate(self.contains, 2):
            below = -(-below // per)
            counts[level] = below
        async with self.conn.transaction():
            made = await requests.create(
                self.conn, self.subject(self.maker), self.registry, self.drug_id, counts
            )
        return [
            b"".join(iter_codes(r.prefix, derive(MASTER, r.key_id), r.start_no, r.count)).decode().split()
            for r in sorted(made.ranges, key=lambda r: r.level)
        ]

    async def activate(self, boxes: int, batch_no: str) -> Goods:
        """A batch of full packages, activated and in the maker's stock (bills 1 and 101)."""
        levels = await self.request_codes(boxes)
        path = self.folder / f"{batch_no}.xml"
        await asyncio.to_thread(write_relation, path, levels, self.contains, batch_no)
        try:
            async with self.conn.transaction():
                done = await activation.activate(
                    self.conn,
                    self.subject(self.maker),
                    path,
                    self.registry,
                    MASTER,
                    activation.Options(stock_in=True),
                )
        finally:
            path.unlink()
        batch_id = done.batches[0]["batch_id"]
        assert isinstance(batch_id, int)
        return Goods(self.drug_id, batch_id, batch_no, *levels)


def _all_accepted(result: MovementResult) -> None:
    if result.status != "accepted":
        refused = next(r for r in result.results if not r.accepted)
        raise RuntimeError(f"a benchmark's bill was refused: {refused.code} {refused.verdict}")


async def open_market(
    database: Database, conn: Connection, contains: tuple[int, ...] = CONTAINS, stores: int = 1
) -> Market:
    """Register a maker with one product, two wholesalers, a chain and its stores."""
    ids = count(1)

    async def org(name: str, type: int, sub_type: int | None = None, parent_id: int | None = None) -> int:
        n = next(ids)
        draft = OrgDraft(f"{name}{n}", type, REGION, uscc=uscc(n), sub_type=sub_type, parent_id=parent_id)
        return (await service.create_org(conn, OPERATOR, draft)).id

    async with conn.transaction():
        maker = await org("测量制药有限公司", OrgType.MAKER)
        first = await org("测量医药有限公司", OrgType.WHOLESALER)
        second = await org("测量医药有限公司", OrgType.WHOLESALER)
        chain = await org("测量大药房连锁", OrgType.RETAIL, 41)
        shops = [await org("测量大药房门店", OrgType.RETAIL, 42, chain) for _ in range(stores)]
        prefixes = tuple(f"838579{n}" for n in range(1, len(contains) + 2))
        own = next(s.id for s in await service.list_systems(conn, OPERATOR) if s.own)
        await service.file_rule(
            conn,
            OPERATOR,
            FilingDraft(
                maker, "cn20", "7位标识码、9位序列号、4位校验位", date(2025, 1, 1), prefixes, system_id=own
            ),
        )
        levels = tuple(
            LevelDraft(n, per, prefix, "cn20", name)
            for n, (per, prefix, name) in enumerate(
                zip((1, *contains), prefixes, LEVEL_NAMES, strict=False), 1
            )
        )
        product = await service.create_product(
            conn,
            OPERATOR,
            ProductDraft(
                generic_name="测量胶囊",
                dosage_form="胶囊剂",
                strength="0.25g",
                package_size="24粒/盒",
                prep_unit="粒",
                prep_units_per=24,
                shelf_life=24,
                shelf_life_unit=2,
                registration_class="tcm",
                approval_no="国药准字Z45021428",
                mah_id=maker,
                manufacturer_id=maker,
                levels=levels,
            ),
        )
    registry = await load_registry(conn)
    return Market(
        conn,
        database.folder,
        registry,
        BatchCache(),
        contains,
        maker,
        (first, second),
        chain,
        shops,
        product.id,
        prefixes,
        count(1),
    )
