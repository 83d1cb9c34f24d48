"""The packages a packing bill touches, in memory: climbing, taking out, putting in, and writing back.

State sits on the outermost package (D3). Whatever happens, the quantity of every package around changes with what
goes in or out, and the ledger does not, because nothing leaves the account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from yaosu.codes import NotACode, Scheme, TraceCode, parse
from yaosu.db.engine import Connection
from yaosu.db.leaf import leaf_hash
from yaosu.errors import Finding, YaosuError
from yaosu.production import store_activation
from yaosu.production import store_packing as store
from yaosu.production.keeping import pack_body
from yaosu.production.store_packing import Package
from yaosu.registry.resolver import Registry
from yaosu.stops import service as stops
from yaosu.subject import Subject

LOGISTICS = 90
CODES_MAX = 2_000
PACKABLE = frozenset({"A", "I"})


@dataclass(slots=True)
class Line:
    """One package's own event in a packing bill."""

    package: Package
    prev_bill: int
    pre: str
    post: str
    holder: int
    left: str = ""
    emptied: bool = False
    """A logistics container that ceases to exist: nobody handled it, the last thing in it was taken out."""


@dataclass
class Bench:
    """The packing bench: locked packages by key, lines of the bill to be, and what was found wrong."""

    conn: Connection
    subject: Subject
    registry: Registry
    bill_id: int = 0
    packages: dict[tuple[int, str], Package] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    contents: dict[tuple[int, str], dict[int, int]] = field(default_factory=dict)
    """Smallest packages by batch in each row of a logistics container."""
    labels: dict[str, list[int]] = field(default_factory=dict)
    """Products in logistics containers whose labels the bill has locked; none for a label that is not in use."""
    labels_stored: dict[str, list[int]] = field(default_factory=dict)
    """The same as the database has it."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    # -- looking ----------------------------------------------------------------------------------------------

    def read(self, raw: str) -> TraceCode | None:
        """The code of a scan; an unreadable one is a finding."""
        code = parse(raw, self.registry.customs)
        if isinstance(code, NotACode):
            reason = Finding(code.code, code.params).text("zh")
            self.refuse("pack_code_unreadable", raw[:100], reason=reason)
            return None
        return code

    def refuse(self, code: str, where: str, **params: object) -> None:
        """Note one thing wrong with one scan, once, also where it stands for several rows."""
        if not any((f.code, f.where) == (code, where) for f in self.findings):
            self.findings.append(Finding(code, {"code": where, **params}, where))

    def stop_if_refused(self) -> None:
        """Refuse the whole bill (`pack_refused`) when anything was found."""
        if self.findings:
            raise YaosuError("pack_refused", {"count": len(self.findings)}, self.findings)

    async def lock(self, codes: Sequence[TraceCode]) -> list[Package]:
        """Lock the packages of these codes and everything around them; unknown codes are findings.

        A logistics container is one package per product in it; of what is not in it any more there is none.
        """
        await self.open_labels([c.text for c in codes if c.scheme is Scheme.SSCC])
        keys = []
        for code in codes:
            if code.scheme is Scheme.SSCC:
                keys += [(drug_id, code.text) for drug_id in self.labels[code.text]]
                continue
            drug_id = self.registry.resolve(code).drug_id
            if drug_id is None:
                self.refuse("pack_unit_unknown", code.text)
            else:
                keys.append((drug_id, code.text))
        await self.lock_keys(keys)
        for code in codes:
            if code.scheme is Scheme.SSCC and not any(r.qty for r in self.rows(code.text)):
                self.refuse("pack_logistics_empty", code.text)
        found = []
        for key in keys:
            if key[1] in self.labels:
                found += [r for r in self.rows(key[1]) if r.drug_id == key[0] and r.qty]
            elif key in self.packages:
                found.append(self.packages[key])
            else:
                self.refuse("pack_unit_unknown", key[1])
        return found

    def rows(self, label: str) -> list[Package]:
        """The rows of a logistics container, empty ones too."""
        keys = [(drug_id, label) for drug_id in self.labels[label]]
        return [self.packages[key] for key in keys if key in self.packages]

    async def open_labels(self, codes: Sequence[str], make: str = "") -> None:
        """Lock the labels of logistics containers, which says what products are in them (`labels`).

        `make` is one that comes into use if it is not: two bills that fill it at once then wait for each other.
        """
        missing = sorted({c for c in codes if c not in self.labels} | ({make} - {"", *self.labels}))
        if not missing:
            return
        if make:
            await self.conn.execute(store.USE_CONTAINER, make, self.subject.org)
        self.labels |= {code: [] for code in missing}
        for row in await self.conn.fetch(store.CONTAINER, missing):
            self.labels[row["code"]] = list(row["drug_ids"])
            self.labels_stored[row["code"]] = list(row["drug_ids"])

    async def lock_keys(self, keys: Sequence[tuple[int, str]]) -> None:
        """Lock packages, then what is around them, level by level upward."""
        missing = [k for k in dict.fromkeys(keys) if k not in self.packages]
        asked: set[tuple[int, str]] = set()
        while missing:
            asked.update(missing)
            for one in await store.lock(self.conn, missing):
                self.packages[one.key] = one
            around = {(p.drug_id, p.parent) for p in self.packages.values() if p.parent is not None}
            missing = sorted(k for k in around if k not in self.packages and k not in asked)
        await self._load_contents()

    async def _load_contents(self) -> None:
        fresh = [p for p in self.packages.values() if p.level == LOGISTICS and p.key not in self.contents]
        mixed = [p.key for p in fresh if not p.batch_id]
        for one in fresh:
            self.contents[one.key] = {one.batch_id: one.qty} if one.batch_id else {}
        if mixed:
            rows = await self.conn.fetch(
                store.CONTAINER_BATCHES, [k[0] for k in mixed], [k[1] for k in mixed]
            )
            for row in rows:
                self.contents[(row["drug_id"], row["code"])][row["batch_id"]] = row["qty"]

    def above(self, package: Package) -> list[Package]:
        """Packages around, innermost first."""
        out = []
        while package.parent is not None:
            package = self.packages[(package.drug_id, package.parent)]
            out.append(package)
        return out

    def root(self, package: Package) -> Package:
        """The outermost package, which carries the state."""
        around = self.above(package)
        return around[-1] if around else package

    def check_held(self, package: Package, allowed: frozenset[str] = PACKABLE) -> bool:
        """Whether the package is in our account in one of the statuses; otherwise a finding."""
        root = self.root(package)
        if root.holder != self.subject.org or root.status not in allowed:
            status = root.status if root.holder == self.subject.org else "—"
            self.refuse("pack_not_held", package.code, status=status or "—")
            return False
        return True

    async def check_stopped(self, packages: Sequence[Package]) -> None:
        """Refuse packages under recall, lock or the own suspension (R-E4), and those that hold such goods.

        What is not stopped may still be taken out of a package that also holds stopped goods.
        """
        await self.conn.execute(store.SHARE_STOPS)
        found = await stops.of_units(self.conn, [p.key for p in packages], self.subject.org)
        for one in packages:
            stop = found.get(one.key)
            if stop is not None:
                self.refuse("pack_stopped", one.code, **stop.params)

    # -- changing ---------------------------------------------------------------------------------------------

    def take_out(self, package: Package, post: str = "") -> str:
        """Out of whatever it is in; it gets its own state. The package it was directly in, or ""."""
        root, left = self.root(package), package.parent or ""
        status, holder = root.status or "", root.holder
        if package.qty:
            for one in self.above(package):
                self._count(one, package, -1)
        package.parent = None
        package.status, package.holder = post or status, holder
        package.changed = True
        return left

    def put_in(self, package: Package, container: Package) -> None:
        """Into a container of the same state; the package's own state goes."""
        package.parent, package.status, package.holder = container.code, None, None
        package.changed = True
        for one in [container, *self.above(container)]:
            self._count(one, package, 1)

    def _count(self, around: Package, package: Package, sign: int) -> None:
        around.qty += sign * package.qty
        around.changed = True
        assert around.qty >= 0, "a package with less than nothing in it"
        if around.level == LOGISTICS:
            held = self.contents[around.key]
            logistics = package.level == LOGISTICS
            inside = self.contents[package.key] if logistics else {package.batch_id: package.qty}
            for batch_id, qty in inside.items():
                held[batch_id] = held.get(batch_id, 0) + sign * qty

    def event(self, package: Package, pre: str, post: str, left: str = "", emptied: bool = False) -> None:
        """Record that the bill is an event of this package itself."""
        # an emptied container may lie with somebody else
        holder = (package.holder if emptied else None) or self.subject.org
        self.lines.append(Line(package, package.last_bill, pre, post, holder, left, emptied))
        package.last_bill = self.bill_id
        package.changed = package.moved = True

    @property
    def codes(self) -> int:
        """Packages that somebody handled; a logistics container of several products is one."""
        return len({li.package.code for li in self.lines if not li.emptied})

    # -- writing ----------------------------------------------------------------------------------------------

    async def _write_contents(self) -> None:
        """A container's row names its batch, or 0 with a row per batch beside it."""
        for one in self.packages.values():
            if one.level != LOGISTICS or not one.changed:
                continue
            held = {b: q for b, q in sorted(self.contents[one.key].items()) if q}
            await self.conn.execute(store.DROP_CONTAINER_BATCHES, *one.key)
            if len(held) > 1:
                one.batch_id = 0
                for batch_id, qty in held.items():
                    await self.conn.execute(store.PUT_CONTAINER_BATCH, *one.key, batch_id, qty)
            elif held:
                one.batch_id = next(iter(held))

    async def number(self) -> None:
        """Take the bill's id, after the locks, so that ids rise along each unit's life."""
        self.bill_id = (await self.conn.fetch(store_activation.NEXT_BILLS, 1))[0][0]

    async def record(self, kind: int, bill_no: str, header: dict[str, Any], qty: int) -> datetime:
        """Write packages, bill, lines and the submission."""
        body = orjson.dumps(header)
        submission = await self.conn.fetchval(store.INSERT_SUBMISSION, pack_body(body))
        judged = "\n".join(
            f"{li.package.drug_id} {li.package.code} {li.pre}{li.post} {li.left}" for li in self.lines
        )
        content = leaf_hash((f"{kind}|{bill_no}".encode(), body))
        leaf = leaf_hash((content, f"{self.bill_id}|{kind}|{self.subject.org}\n{judged}".encode()))
        drugs = sorted({li.package.drug_id for li in self.lines})
        org = self.subject.org
        await self._write_contents()
        await store.write(self.conn, [p for p in self.packages.values() if p.changed], self.at)
        recorded = await store_activation.insert_bill(
            self.conn,
            (
                *(self.bill_id, org, org, self.subject.account_id, kind, self.codes, qty, self.at),
                *(submission, 0, bill_no, content, leaf, header, drugs),
            ),
        )
        rows = [
            (
                li.prev_bill,
                li.package.drug_id,
                li.package.batch_id,
                li.package.qty,
                li.holder,
                li.pre,
                li.post,
                li.package.code,
                li.left,
            )
            for li in self.lines
        ]
        columns = [list(c) for c in zip(*rows, strict=True)]
        await self.conn.execute(store.INSERT_LINES, self.bill_id, *columns)
        return recorded
