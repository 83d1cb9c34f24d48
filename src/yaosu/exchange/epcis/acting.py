"""Carrying acts out through the doors of production and circulation, inside the caller's transaction.

Nothing here writes units or ledger: activation, packing and movements do, as for every other way in. A movement goes
through the same `prepare` and `apply_group` as the API's, only in the document's own transaction, so that a document is
one outcome.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from yaosu.circulation.apply import apply_group
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.model import Movement, MovementResult
from yaosu.circulation.prepare import prepare
from yaosu.circulation.service import void_of
from yaosu.circulation.tasks import JOB_CODES_MAX
from yaosu.codes import NotACode, Scheme, parse
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.fields import Item, ours
from yaosu.exchange.epcis.identifiers import to_code
from yaosu.exchange.epcis.lots import Lot, Rows, lot_of
from yaosu.exchange.epcis.model import Problem
from yaosu.exchange.epcis.movements import movement_of
from yaosu.exchange.epcis.parties import Parties, inner_of
from yaosu.exchange.epcis.plan import Act
from yaosu.exchange.epcis.times import moment
from yaosu.production import activation, found, packing
from yaosu.production.store_activation import existing
from yaosu.production.world import CODES_MAX as PACK_MAX
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject

RELEASE = 6
PROBLEMS_MAX = 1_000
"""Problems told of one act."""


class RefusedActError(Exception):
    """An act that could not be done; what it did is taken back by the caller's savepoint."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__()
        self.problems = list(problems)


@dataclass
class Tools:
    """What acting needs beside the connection."""

    registry: Registry
    batches: BatchCache
    master: bytes
    """The secret that issued codes are told by."""
    folder: Path
    """Where a relation file may lie for a moment."""


def at(item: Item, where: str) -> str:
    """The JSON pointer of a place in an event."""
    return f"{item.path}/{where}" if where else item.path


class Actor:
    """Does the acts of one document."""

    def __init__(self, conn: Connection, tools: Tools, subject: Subject, parties: Parties) -> None:
        self.conn, self.tools, self.subject, self.parties = conn, tools, subject, parties
        self.warnings: list[Problem] = []
        self.revises: dict[str, dict[str, Any]] = {}
        """Head of the bill that a corrective event (by id) takes the place of."""
        self.absorbed: set[int] = set()
        """Packing events, by index, that an activation has already told."""

    @property
    def registry(self) -> Registry:
        """The registry as the document sees it."""
        return self.tools.registry

    async def do(self, act: Act, following: Sequence[Act]) -> None:
        """Carry one act out. Raises RefusedActError with every problem."""
        if act.findings:
            raise RefusedActError([Problem(at(i, f.where), f) for i, f in act.findings])
        item = act.items[0]
        try:
            if await self._retired(item):
                return
            match act.kind:
                case "activate":
                    await self._activate(act, following)
                case "pack":
                    await self._pack(item)
                case "unpack":
                    await self._unpack(item)
                case "replace":
                    await self._replace(item)
                case "cancel":
                    await self._cancel(item)
                case "move":
                    await self._move(act)
                case "undo_shipping":
                    await self._undo_shipping(act)
        except YaosuError as error:
            raise RefusedActError(_problems(item, error)) from None

    # -- production ----------------------------------------------------------------------------------------

    def _codes(self, item: Item, name: str, what: str) -> list[str]:
        """Trace codes of one field; what is none is refused with its place."""
        found, wrong = [], []
        for n, inner in enumerate(item.epcs(name)):
            code = to_code(inner)
            if code is None:
                shown = str(item.body[name][n])[:100]
                wrong.append(
                    Problem(
                        at(item, f"{name}/{n}"),
                        Finding("epcis_not_a_code", {"given": shown, "what": what}, f"{name}/{n}"),
                    )
                )
            else:
                found.append(code)
        if wrong:
            raise RefusedActError(wrong[:PROBLEMS_MAX])
        return found

    async def _activate(self, act: Act, following: Sequence[Act]) -> None:
        rows = Rows(self.registry)
        for item in act.items:
            rows.commissioned(item, lot_of(item), self._codes(item, "epcList", "commissioning"))
        if not rows.lot and not rows.wrong:
            return  # logistics containers alone: they come to be when they are packed
        told = []
        for later in following:
            if later.kind not in ("pack", "keep", "activate"):
                break
            if later.kind == "pack" and rows.packed(later.items[0]):
                told.append(later.items[0])
        if rows.wrong:
            raise RefusedActError(rows.wrong[:PROBLEMS_MAX])
        for item in rows.waiting():
            item.note = "waiting"
        if not rows.lot:
            return
        times = [moment(i.body["eventTime"]) for i in [*act.items, *told]]
        happened = min(max(t for t in times if t is not None), datetime.now(UTC))
        explicit = any(i.own.get("billType") is not None for i in act.items)
        number = str(act.items[0].own.get("billNo", ""))[:64]
        with tempfile.TemporaryDirectory(dir=self.tools.folder) as inside:
            path = Path(inside) / "relation"
            rows.write(path)
            options = activation.Options(
                name=f"epcis-{act.items[0].content.hex()[:12]}.csv",
                bill_no=number,
                # EPCIS knows no 生产入库 of its own; where the sender tells our bill types, 101 comes as its own event
                stock_in=not explicit,
                happened_at=happened,
            )
            try:
                done = await activation.activate(
                    self.conn, self.subject, path, self.registry, self.tools.master, options
                )
            except YaosuError as error:
                raise RefusedActError(rows.problems(act.items[0], error)) from None
        bills = [done.bill_id, *([done.stock_bill] if done.stock_bill else [])]
        for item in [*rows.items(), *told]:
            item.state, item.bills = "acted", bills
        self.absorbed |= {i.index for i in told}

    async def _pack(self, item: Item) -> None:
        if item.index in self.absorbed:
            return
        container = to_code(inner_of(str(item.body.get("parentID", ""))))
        children = self._codes(item, "childEPCs", "packing")
        if container is None or not children:
            return  # an aggregation of things that are no packages of ours, or by class: kept
        number = str(item.own.get("billNo", ""))[:64]
        lot = await self._waiting_lot(item, container)
        if lot is not None:
            done = await found.found(
                self.conn,
                self.subject,
                self.registry,
                self.tools.master,
                container,
                children[:PACK_MAX],
                lot.batch_no,
                number,
            )
            item.bills.append(done.bill_id)
            item.state, children = "acted", children[PACK_MAX:]
        for n in range(0, len(children), PACK_MAX):
            shown = number if not n or not number else f"{number}-{n // PACK_MAX + 1}"[:64]
            done = await packing.pack(
                self.conn, self.subject, self.registry, container, children[n : n + PACK_MAX], shown
            )
            item.bills.append(done.bill_id)
        item.state = "acted"

    async def _waiting_lot(self, item: Item, container: str) -> Lot | None:
        """The lot of a package that was commissioned before its content was known and does not exist yet."""
        read = parse(container, self.registry.customs)
        if isinstance(read, NotACode) or read.scheme is Scheme.SSCC:
            return None
        drug = self.registry.resolve(read).drug_id
        if drug is None or await existing(self.conn, drug, [read.text]):
            return None
        key = f"e|{inner_of(str(item.body['parentID']))}"
        row = await self.conn.fetchrow(store.COMMISSIONED, self.subject.org, [key])
        if row is None:
            return None
        body = orjson.loads(zlib.decompress(row["body"]))
        return lot_of(Item(0, body, row["prefixes"], "", b"", ""))

    async def _unpack(self, item: Item) -> None:
        container = to_code(inner_of(str(item.body.get("parentID", ""))))
        children = self._codes(item, "childEPCs", "unpacking")
        if container is None or (not children and item.body.get("childQuantityList")):
            return
        number = str(item.own.get("billNo", ""))[:64]
        for n in range(0, max(len(children), 1), PACK_MAX):
            part = children[n : n + PACK_MAX]
            done = await packing.unpack(
                self.conn, self.subject, self.registry, part or [container], not part, number if not n else ""
            )
            item.bills.append(done.bill_id)
        item.state = "acted"

    async def _replace(self, item: Item) -> None:
        old, new = (
            self._codes(item, "inputEPCList", "replacing"),
            self._codes(item, "outputEPCList", "replacing"),
        )
        if len(old) != 1 or len(new) != 1:
            return
        reason = str(
            item.own.get("reason") or item.own.get("header", {}).get("reason_text") or "EPCIS replacing"
        )[:200]
        number = str(item.own.get("billNo", ""))[:64]
        done = await packing.replace(
            self.conn, self.subject, self.registry, self.tools.master, old[0], new[0], reason, number
        )
        item.bills.append(done.bill_id)
        item.state = "acted"

    async def _cancel(self, item: Item) -> None:
        codes = self._codes(item, "epcList", "decommissioning")
        if not codes:
            return
        reason = str(item.own.get("reason") or "EPCIS decommissioning")[:200]
        whole = bool(item.own.get("withContent"))
        number = str(item.own.get("billNo", ""))[:64]
        for n in range(0, len(codes), PACK_MAX):
            part = codes[n : n + PACK_MAX]
            done = await packing.void(
                self.conn, self.subject, self.registry, part, reason, whole, number if not n else ""
            )
            item.bills.append(done.bill_id)
        item.state = "acted"

    async def _retired(self, item: Item) -> bool:
        """Whether an event takes empty logistics units out of use: they ceased to be when they were emptied."""
        if item.body.get("action") != "DELETE" or item.body.get("bizStep") not in (
            "decommissioning",
            "killing",
        ):
            return False
        codes = [to_code(e) for e in item.epcs("epcList")]
        labels = [c for c in codes if c is not None and c.startswith("(00)")]
        if not labels or len(labels) != len(codes):
            return False
        return not await self.conn.fetch(store.FILLED_LABELS, labels)

    # -- circulation ---------------------------------------------------------------------------------------

    async def submit(self, movement: Movement) -> MovementResult:
        """The one write path, inside this transaction; raises what it refuses as a whole."""
        if movement.type == RELEASE:
            self.subject.require("quarantine.dispose")
        if movement.revision > 1 or movement.void:
            self.subject.require("bill.correct")
        prepared = await prepare(self.conn, self.registry, self.subject, movement, JOB_CODES_MAX)
        (outcome,) = await apply_group(self.conn, [prepared], self.tools.batches, lock=True)
        if isinstance(outcome, YaosuError):
            raise outcome
        return outcome

    async def _move(self, act: Act) -> None:
        item = act.items[0]
        kind = bill_types()[act.bill_type]
        movement = await movement_of(
            self.conn, self.registry, self.parties, act, self.revises.get(item.event_id)
        )
        result = await self.submit(movement)
        refused = [(n, r) for n, r in enumerate(result.results) if not r.accepted]
        problems = []
        for n, one in refused[:PROBLEMS_MAX]:
            field = f"epcList/{n}" if not kind.by_quantity else f"quantityList/{n}"
            reason = Finding(one.verdict, {"code": one.code or one.raw, **(one.params or {})})
            shown = Finding(
                "epcis_code_refused",
                {"epc": str(_nth(item, field))[:100], "reason": reason.text(self.subject.lang)},
                field,
            )
            problems.append(Problem(at(item, field), shown))
        if result.status == "refused":
            raise RefusedActError(problems)
        self.warnings += problems
        item.state, item.bills = "acted", await self._with_reversal(result)

    async def undo(self, item: Item, known: dict[str, Any], correctives: Sequence[Act]) -> None:
        """Take back what the event did that `item` declares wrong; `correctives` are its corrections in this document.

        A bill whose correction stands in the same document and is of the same type becomes its next revision, so
        that codes which have moved on since and are said again stay as they are (R-X3).
        """
        try:
            heads = await self.conn.fetch(store.BILL_HEADS, known["bills"])
            in_force = [h for h in heads if h["status"] == "A"]
            if len(in_force) == 1 and len(correctives) == 1:
                one = correctives[0]
                if (
                    one.kind == "move"
                    and one.bill_type == in_force[0]["type"]
                    and one.owner == in_force[0]["owner"]
                ):
                    self.revises[one.items[0].event_id] = dict(in_force[0])
                    item.state = "acted"
                    return
            for head in reversed(in_force):
                item.bills += await self._take_back(item, dict(head))
            item.state = "acted" if heads else "kept"
        except YaosuError as error:
            raise RefusedActError(_problems(item, error)) from None

    async def _take_back(self, item: Item, head: dict[str, Any]) -> list[int]:
        kind = head["type"]
        if kind not in (1, 2, 3, 4, 5):
            if kind == 101 and str(head["bill_no"]).endswith("-RK"):
                return []  # posted with the activation, and taken back with it
            declared = item.body["errorDeclaration"]
            reason = ours(declared, item.prefixes).get("voidReason") or declared.get(
                "reason", "EPCIS errorDeclaration"
            )
            result = await self.submit(void_of(head, str(reason)[:200], orjson.dumps(item.body)))
            return [result.bill_id]
        lines = await self.conn.fetch(store.LINES_OF, head["id"], list(head["drug_ids"]))
        # a logistics unit has a line for each product; what was emptied by the way is not there to be handled
        codes = list(dict.fromkeys(r["code"] for r in lines if r["qty"]))
        if kind == 1:
            done = await packing.void(
                self.conn, self.subject, self.registry, codes, "EPCIS errorDeclaration", True
            )
            return [done.bill_id]
        if kind == 2:
            done = await packing.unpack(self.conn, self.subject, self.registry, codes)
            return [done.bill_id]
        if kind == 3:
            return await self._put_back({(r["left_parent"], r["code"]) for r in lines if r["left_parent"]})
        name = bill_types()[kind].zh
        raise YaosuError("epcis_undo_impossible", {"bill_no": head["bill_no"], "reason": name})

    async def _put_back(self, pairs: set[tuple[str, str]]) -> list[int]:
        """Packages go back into what they were taken out of, the innermost first: a carton is filled before it stands
        on its pallet again."""
        by_parent: dict[str, list[str]] = {}
        for parent, code in sorted(pairs):
            by_parent.setdefault(parent, []).append(code)
        bills = []
        while by_parent:
            ready = [p for p, inside in by_parent.items() if by_parent.keys().isdisjoint(inside)]
            for parent in ready or list(by_parent):
                inside = by_parent.pop(parent)
                done = await packing.pack(self.conn, self.subject, self.registry, parent, inside)
                bills.append(done.bill_id)
        return bills

    async def _undo_shipping(self, act: Act) -> None:
        """void_shipping: the shipment of these packages never left. Whole shipments are voided, others corrected."""
        item = act.items[0]
        codes = self._codes(item, "epcList" if item.body.get("epcList") else "childEPCs", "void_shipping")
        parent = to_code(inner_of(str(item.body.get("parentID", ""))))
        wanted = {parent} if parent is not None else set(codes)
        keys = [(d, c) for c in sorted(wanted) for d in await self._drugs(c)]
        rows = await self.conn.fetch(store.SHIPMENTS, [k[0] for k in keys], [k[1] for k in keys], act.owner)
        by_bill: dict[int, set[str]] = {}
        for row in rows:
            by_bill.setdefault(row["notice"], set()).add(row["code"])
        if wanted - {r["code"] for r in rows} or not by_bill:
            raise YaosuError("epcis_void_unknown")
        for head in await self.conn.fetch(store.BILL_HEADS, sorted(by_bill)):
            lines = await self.conn.fetch(store.LINES_OF, head["id"], list(head["drug_ids"]))
            left = [r["code"] for r in lines if r["code"] not in by_bill[head["id"]]]
            movement = void_of(dict(head), "EPCIS void_shipping", orjson.dumps(item.body))
            if left:
                movement = _without(dict(head), left, orjson.dumps(item.body))
            result = await self.submit(movement)
            if result.status == "refused":
                raise YaosuError("epcis_void_unknown")
            item.bills += await self._with_reversal(result)
        item.state = "acted"

    async def _with_reversal(self, result: MovementResult) -> list[int]:
        """A bill and the reversal posted with it: both are told as the event that made them."""
        if result.revision < 2:
            return [result.bill_id]
        rows = await self.conn.fetch(store.REVERSAL_WITH, result.owner, result.bill_no, 1 - result.revision)
        return [result.bill_id, *(r["id"] for r in rows)]

    async def _drugs(self, code: str) -> list[int]:
        read = parse(code, self.registry.customs)
        if isinstance(read, NotACode):
            return []
        if read.scheme is Scheme.SSCC:
            rows = await self.conn.fetch(store.CONTAINER_DRUGS, [read.text])
            return list(rows[0]["drug_ids"]) if rows else []
        found = self.registry.resolve(read).drug_id
        return [] if found is None else [found]


def _without(head: dict[str, Any], codes: Sequence[str], body: bytes) -> Movement:
    """The next revision of a shipment with only these codes."""
    return Movement(
        type=head["type"],
        bill_no=head["bill_no"],
        owner=head["owner"],
        happened_at=head["happened_at"],
        codes=list(codes),
        revision=head["revision"] + 1,
        from_org=head["from_org"],
        to_org=head["to_org"],
        principal=head["principal"],
        carrier=head["carrier"],
        direct_org=head["direct_org"],
        mode="atomic",
        header=head["header"] or {},
        body=body,
    )


def _nth(item: Item, field: str) -> object:
    name, _, n = field.partition("/")
    values = item.body.get(name) or ()
    return values[int(n)] if int(n) < len(values) else "—"


def _problems(item: Item, error: YaosuError) -> list[Problem]:
    """A refusal of a whole act as problems of its event."""
    found = error.findings or (Finding(error.code, error.params),)
    made = []
    for one in found[:PROBLEMS_MAX]:
        made.append(Problem(at(item, _place(item, one.where)), one))
    return made


def _place(item: Item, where: str) -> str:
    """A place named by our own words as a field of the event: a code becomes its EPC's place."""
    if not where:
        return ""
    for name in ("epcList", "childEPCs", "inputEPCList", "outputEPCList"):
        for n, inner in enumerate(item.epcs(name)):
            if to_code(inner) == where:
                return f"{name}/{n}"
    if to_code(inner_of(str(item.body.get("parentID", "")))) == where:
        return "parentID"
    return {
        "to": "destinationList",
        "to_org": "destinationList",
        "from": "sourceList",
        "from_org": "sourceList",
        "happened_at": "eventTime",
    }.get(where, "")
