"""Bills told as events, whatever way they came in: made when asked for, never stored (docs/epcis.md).

One bill is one event, or several: an activation tells each batch and level and each packing, an unpacking each parent,
and a package taken out of another by a movement is told as an aggregation DELETE beside it (marked `yaosu:implied`). A
reversal is the event it takes back with an errorDeclaration. What EPCIS has no word for stands in our own fields, so
that capturing the events in another database leads to the same state.
"""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson

from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.exchange.epcis import relation_tree, store_bills
from yaosu.exchange.epcis.identifiers import of_code, of_goods
from yaosu.exchange.epcis.model import Event
from yaosu.exchange.epcis.movements import BILL
from yaosu.exchange.epcis.parties import names_of
from yaosu.exchange.epcis.times import stamp
from yaosu.exchange.epcis.vocabulary import PREFIX, YAOSU
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject

EVENT = "urn:yaosu:event:"
PREFIXES = {PREFIX: YAOSU, "cbvmda": "urn:epcglobal:cbv:mda:"}
CHINA = ZoneInfo("Asia/Shanghai")
CHUNK = 2_000
"""Identifiers in one event of an activation."""
REVERSAL = 8
_ID = re.compile(r"urn:yaosu:event:(\d{1,18})-([0-9a-f]{16})(?:-(\d{1,9}))?")

Row = Any
"""A row of a bill or of what belongs to it, by column name."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event made of a bill. `n` tells the events of one bill apart."""

    bill: int
    n: int
    recorded_at: datetime
    body: Event
    owner: int
    prefixes: Mapping[str, str] | None = None
    """Namespaces where they are not ours: of an event that was captured."""


def event_id(bill: Row, n: int = 0) -> str:
    """The id of the n-th event of a bill: its number here, and a piece of its leaf, which no other system has."""
    leaf = (bill["leaf"] or b"").hex()[:16].ljust(16, "0")
    return f"{EVENT}{bill['id']}-{leaf}" + (f"-{n}" if n else "")


def parsed_id(text: str) -> tuple[int, str, int] | None:
    """Bill, leaf and number of an event id of ours, or None."""
    found = _ID.fullmatch(text)
    return (int(found[1]), found[2], int(found[3] or 0)) if found else None


async def bill_of_event(
    conn: Connection, subject: Subject, registry: Registry, text: str
) -> dict[str, Any] | None:
    """The record of an event id of our own, in the form of a captured one; None when it is none the caller may see."""
    found = parsed_id(text)
    if found is None:
        return None
    row = await store_bills.bill(conn, visible(subject), found[0])
    if row is None or event_id(row, found[2]) != text:
        return None
    return {"id": 0, "content": b"", "state": "acted", "bills": [row["id"]]}


class Teller:
    """Tells bills as events: one round of set-based reads for a page of heads."""

    def __init__(self, conn: Connection, registry: Registry) -> None:
        self.conn, self.registry = conn, registry
        self._files: OrderedDict[int, list[relation_tree.Part]] = OrderedDict()

    async def tell(self, heads: Sequence[Row]) -> list[Told]:
        """Events of bills, in the order given; what a bill tells stays together."""
        if not heads:
            return []
        page = await _Page.load(self.conn, self.registry, heads, self._files)
        return [event for head in heads for event in page.events(head)]


class _Page:
    """Everything a page of bills needs, by bill."""

    def __init__(self) -> None:
        self.registry: Registry
        self.heads: dict[int, Row] = {}
        self.replaced: dict[int, Row] = {}
        self.successors: dict[int, list[Row]] = {}
        self.lines: dict[int, list[Row]] = {}
        self.batches: dict[tuple[int, int], Row] = {}
        self.quantities: dict[int, list[Row]] = {}
        self.parts: dict[int, list[Row]] = {}
        self.notices: dict[int, Row] = {}
        self.files: Mapping[int, list[relation_tree.Part]] = {}
        self.names: dict[int, str] = {}
        self.captured: dict[int, Row] = {}
        """Events that were captured and made bills which are taken back here, or take their place."""

    @classmethod
    async def load(
        cls,
        conn: Connection,
        registry: Registry,
        heads: Sequence[Row],
        files: OrderedDict[int, list[relation_tree.Part]],
    ) -> _Page:
        """Read it all."""
        page = cls()
        page.registry = registry
        page.heads = {h["id"]: h for h in heads}
        back = [h["replaces"] for h in heads if h["flags"] & REVERSAL and h["replaces"]]
        for row in await conn.fetch(store_bills.REPLACED, back) if back else []:
            page.replaced[row["id"]] = row
        bills = [*heads, *(r for i, r in page.replaced.items() if i not in page.heads)]
        ids = [b["id"] for b in bills]
        drugs = sorted({d for b in bills for d in b["drug_ids"]})
        if back:
            numbers = sorted({(r["owner"], r["bill_no"]) for r in page.replaced.values()})
            owners, texts = [n[0] for n in numbers], [n[1] for n in numbers]
            for row in await conn.fetch(store_bills.SUCCESSORS, owners, texts):
                page.successors.setdefault(row["replaces"], []).append(row)
            told = [*back, *(r["id"] for rows in page.successors.values() for r in rows)]
            for row in await conn.fetch(store_bills.CAPTURED, told):
                page.captured[row["bill_id"]] = row
        packing = {b["id"]: b["header"] or {} for b in bills if b["type"] in (2, 3, 5)}
        labels: set[tuple[int, str]] = set()
        for row in await conn.fetch(store_bills.LINES, ids, drugs):
            if row["code"].startswith("(00)"):
                # a logistics unit has a row for each product in it, and is one thing all the same
                if (row["bill_id"], row["code"]) in labels or not row["qty"]:
                    continue
                labels.add((row["bill_id"], row["code"]))
            elif not row["qty"] and row["bill_id"] in packing and row["left_parent"].startswith("(00)"):
                # it lay empty in a logistics unit that ceased to be, unless somebody named it
                given = packing[row["bill_id"]].get("codes") or ()
                named = {relation_tree.canonical(registry, str(c)) for c in given}
                if not {row["code"], row["left_parent"]} & named:
                    continue
            page.lines.setdefault(row["bill_id"], []).append(row)
        kinds = bill_types()
        uncoded = [
            b["id"] for b in bills if (k := kinds.get(b["type"])) is not None and k.uncoded is not None
        ]
        for row in await conn.fetch(store_bills.QUANTITIES, uncoded, drugs) if uncoded else []:
            page.quantities.setdefault(row["bill_id"], []).append(row)
        opened = [b["id"] for b in bills if (k := kinds.get(b["type"])) is not None and k.parts]
        for row in await conn.fetch(store_bills.PARTS, opened) if opened else []:
            page.parts.setdefault(row["bill_id"], []).append(row)
        noticed = [b["notice_bill"] for b in bills if b["notice_bill"]]
        for row in await conn.fetch(store_bills.NOTICES, noticed) if noticed else []:
            page.notices[row["id"]] = row
        made = [b["id"] for b in bills if b["type"] == 1]
        if made:
            page.files = await relation_tree.load(conn, registry, made, files)
            keys = {(r["drug_id"], r["batch_id"]) for i in made for r in page.lines.get(i, ())}
            rows = await conn.fetch(
                store_bills.BATCHES, [k[0] for k in sorted(keys)], [k[1] for k in sorted(keys)]
            )
            page.batches = {(r["drug_id"], r["id"]): r for r in rows}
        page.names = await names_of(conn, registry, _orgs(bills, page.notices.values()))
        return page

    # -- one bill ------------------------------------------------------------------------------------------

    def events(self, head: Row) -> list[Told]:
        """The events of one bill."""
        if head["flags"] & REVERSAL:
            return self._reversal(head)
        return [
            Told(head["id"], n, head["recorded_at"], body, head["owner"]) for n, body in self._bodies(head)
        ]

    def _reversal(self, head: Row) -> list[Told]:
        """The event that is taken back, with the declaration that it was wrong."""
        original = self.replaced.get(head["replaces"] or 0)
        if original is None:
            return []
        after = [s for s in self.successors.get(original["id"], ()) if not s["flags"] & REVERSAL]
        declaration: dict[str, Any] = {
            "declarationTime": stamp(head["recorded_at"]),
            "reason": "incorrect_data" if after else "did_not_occur",
        }
        reason = (head["header"] or {}).get("void_reason")
        if reason:
            declaration[f"{PREFIX}:voidReason"] = str(reason)
        if after:
            declaration["correctiveEventIDs"] = [
                self.captured[s["id"]]["event_id"] if s["id"] in self.captured else event_id(s) for s in after
            ]
        found = []
        raw = self.captured.get(original["id"])
        if raw is not None:
            body = orjson.loads(zlib.decompress(raw["body"]))
            body = {**body, "eventID": raw["event_id"], "recordTime": stamp(head["recorded_at"])}
            told = {**body, "errorDeclaration": declaration}
            spaces = {**PREFIXES, **raw["prefixes"]}
            return [Told(head["id"], 0, head["recorded_at"], told, head["owner"], spaces)]
        for n, body in self._bodies(original):
            if f"{PREFIX}:implied" in body:
                continue
            told = {**body, "recordTime": stamp(head["recorded_at"]), "errorDeclaration": declaration}
            found.append(Told(head["id"], n, head["recorded_at"], told, head["owner"]))
        return found

    def _bodies(self, head: Row) -> list[tuple[int, Event]]:
        kind = head["type"]
        if kind == 1:
            bodies = self._activation(head)
        elif kind == 2:
            bodies = [self._packing(head)]
        elif kind == 3:
            bodies = self._unpacking(head)
        elif kind == 4:
            bodies = [self._replacement(head)]
        else:
            bodies = [self._movement(head), *self._taken_out(head)]
        found = []
        for n, body in enumerate(bodies):
            body["eventID"] = event_id(head, n)
            found.append((n, body))
        return found

    def _rule(self, head: Row) -> Mapping[str, object]:
        lists = self.registry.lists
        item = lists.item("epcis_out", str(head["type"]))
        if item is None:
            kind = bill_types().get(head["type"])
            item = lists.item("epcis_out", kind.kind if kind is not None else "uncoded")
        assert item is not None, "every kind of bill stands in epcis_out"
        return item.attrs

    def _base(self, head: Row) -> Event:
        """What every event of a bill says."""
        rule = self._rule(head)
        at = head["happened_at"].astimezone(CHINA)
        body: Event = {
            "type": rule["event"],
            "eventTime": at.isoformat(timespec="microseconds" if at.microsecond % 1000 else "milliseconds"),
            "eventTimeZoneOffset": "+08:00",
            "recordTime": stamp(head["recorded_at"]),
        }
        if rule["action"]:
            body["action"] = rule["action"]
        body["bizStep"], body["disposition"] = rule["step"], rule["disposition"]
        owner = self.names.get(head["owner"])
        if owner:
            body["readPoint"] = {"id": owner.replace("/417/", "/414/")}
        body["bizTransactionList"] = self._transactions(head)
        body[f"{PREFIX}:billType"] = head["type"]
        body[f"{PREFIX}:billNo"] = head["bill_no"]
        if head["revision"] > 1:
            body[f"{PREFIX}:revision"] = head["revision"]
        return body

    def _transactions(self, head: Row) -> list[dict[str, str]]:
        kind = bill_types().get(head["type"])
        own = {"ship": "desadv", "receive": "recadv", "make": "prodorder"}.get(kind.kind if kind else "", "")
        number = f"{BILL}{head['owner']}:{_quoted(head['bill_no'])}"
        found = [{"type": own, "bizTransaction": number} if own else {"bizTransaction": number}]
        notice = self.notices.get(head["notice_bill"] or 0)
        if notice is not None:
            found.append(
                {"type": "desadv", "bizTransaction": f"{BILL}{notice['owner']}:{_quoted(notice['bill_no'])}"}
            )
        return found

    def _header(self, head: Row, body: Event, *left_out: str) -> None:
        given = [
            {f"{PREFIX}:name": k, f"{PREFIX}:value": v}
            for k, v in (head["header"] or {}).items()
            if k not in left_out and isinstance(v, (str, int, float))
        ]
        if given:
            body[f"{PREFIX}:header"] = given

    # -- production ----------------------------------------------------------------------------------------

    def _activation(self, head: Row) -> list[Event]:
        parts = self.files.get(head["id"])
        if parts is None:
            parts = self._outermost(head)
        found: list[Event] = []
        for part in parts:
            ilmd = {
                "cbvmda:lotNumber": part.batch_no,
                "cbvmda:itemExpirationDate": _day(part.expires_on),
                f"{PREFIX}:productionDate": _day(part.made_on),
            }
            for level in sorted(part.levels):
                codes = part.levels[level]
                for n in range(0, len(codes), CHUNK):
                    body = self._base(head)
                    body["epcList"] = [of_code(c) for c in codes[n : n + CHUNK]]
                    body["ilmd"] = {k: v for k, v in ilmd.items() if v}
                    found.append(body)
        for part in parts:
            for parent, children in part.inside.items():
                body = self._base(head)
                body.update(
                    type="AggregationEvent",
                    bizStep="packing",
                    disposition="in_progress",
                    parentID=of_code(parent),
                )
                body["childEPCs"] = [of_code(c) for c in children]
                # told with the activation, which it belongs to; the type of the bill would make it one of its own
                body.pop(f"{PREFIX}:billType")
                body[f"{PREFIX}:activation"] = True
                found.append(body)
        return found

    def _outermost(self, head: Row) -> list[relation_tree.Part]:
        """Without its file, an activation tells its outermost packages."""
        parts: dict[int, relation_tree.Part] = {}
        for row in self.lines.get(head["id"], ()):
            facts = self.batches.get((row["drug_id"], row["batch_id"]))
            if facts is None:
                continue
            part = parts.setdefault(
                row["batch_id"],
                relation_tree.Part(facts["batch_no"], facts["produced_on"], facts["expires_on"], {}, {}),
            )
            part.levels.setdefault(1, []).append(row["code"])
        return list(parts.values())

    def _packing(self, head: Row) -> Event:
        body = self._base(head)
        container = str((head["header"] or {}).get("container", ""))
        body["parentID"] = of_code(relation_tree.canonical(self.registry, container))
        body["childEPCs"] = [of_code(r["code"]) for r in self.lines.get(head["id"], ())]
        return body

    def _unpacking(self, head: Row) -> list[Event]:
        by_parent: dict[str, list[str]] = {}
        for row in self.lines.get(head["id"], ()):
            by_parent.setdefault(row["left_parent"], []).append(row["code"])
        found = []
        for parent, codes in by_parent.items():
            body = self._base(head)
            body["parentID"] = of_code(parent)
            body["childEPCs"] = [of_code(c) for c in codes]
            found.append(body)
        return found

    def _replacement(self, head: Row) -> Event:
        body = self._base(head)
        header = head["header"] or {}
        body["inputEPCList"] = [of_code(relation_tree.canonical(self.registry, str(header.get("old", ""))))]
        body["outputEPCList"] = [of_code(relation_tree.canonical(self.registry, str(header.get("new", ""))))]
        body[f"{PREFIX}:reason"] = str(header.get("reason", ""))
        return body

    # -- movements -----------------------------------------------------------------------------------------

    def _movement(self, head: Row) -> Event:
        body = self._base(head)
        kind = bill_types().get(head["type"])
        codes = [r["code"] for r in self.lines.get(head["id"], ())]
        if codes:
            body["epcList"] = [of_code(c) for c in codes]
        if head["type"] == 5:
            body[f"{PREFIX}:reason"] = str((head["header"] or {}).get("reason", ""))
            body[f"{PREFIX}:withContent"] = bool((head["header"] or {}).get("with_content"))
        else:
            self._header(head, body)
        sender, receiver = self._sides(head, kind.kind if kind is not None else "")
        for name, inner, org in (
            ("sourceList", "source", sender),
            ("destinationList", "destination", receiver),
        ):
            if org is not None and org in self.names:
                body[name] = [{"type": "owning_party", inner: self.names[org]}]
        if kind is not None and kind.kind in ("receive", "make", "find", "give_back"):
            owner = self.names.get(head["owner"])
            if owner:
                body["bizLocation"] = {"id": owner.replace("/417/", "/414/")}
        if (
            kind is not None
            and kind.kind != "ship"
            and head["to_org"] is not None
            and head["to_org"] in self.names
        ):
            body[f"{PREFIX}:to"] = self.names[head["to_org"]]
        if head["from_org"] is not None and head["from_org"] in self.names:
            body[f"{PREFIX}:from"] = self.names[head["from_org"]]
        for name in ("principal", "carrier"):
            if head[name] is not None and head[name] in self.names:
                body[f"{PREFIX}:{name}"] = self.names[head[name]]
        if head["direct_org"] is not None and head["direct_org"] in self.names:
            body[f"{PREFIX}:direct"] = self.names[head["direct_org"]]
        notice = self.notices.get(head["notice_bill"] or 0)
        if notice is not None and kind is not None and kind.kind == "receive":
            body[f"{PREFIX}:notice"] = notice["bill_no"]
        self._amounts(head, body)
        return body

    def _sides(self, head: Row, kind: str) -> tuple[int | None, int | None]:
        if kind == "receive":
            notice = self.notices.get(head["notice_bill"] or 0)
            sender = head["from_org"] if head["from_org"] is not None else notice["owner"] if notice else None
            return sender, head["owner"]
        return head["owner"], head["to_org"]

    def _amounts(self, head: Row, body: Event) -> None:
        rows = self.quantities.get(head["id"], ())
        if rows:
            elements, batches = [], []
            for row in rows:
                product = self.registry.product(row["drug_id"])
                if product is None:
                    continue
                level = product.levels[0]
                epc_class = of_goods(level.identifier, level.scheme, row["batch_no"])
                elements.append({"epcClass": epc_class, "quantity": row["qty"]})
                batches.append(
                    {
                        f"{PREFIX}:lot": row["batch_no"],
                        f"{PREFIX}:producedOn": _day(row["produced_on"]),
                        f"{PREFIX}:expiresOn": _day(row["expires_on"]),
                    }
                )
            body["quantityList"] = elements
            body[f"{PREFIX}:batches"] = batches
        parts = self.parts.get(head["id"], ())
        if parts:
            body[f"{PREFIX}:parts"] = [
                {f"{PREFIX}:epc": of_code(r["code"]), f"{PREFIX}:units": r["qty"]} for r in parts
            ]

    def _taken_out(self, head: Row) -> list[Event]:
        """Packages that the movement took out of others: what it did, told for readers of aggregations."""
        by_parent: dict[str, list[str]] = {}
        for row in self.lines.get(head["id"], ()):
            if row["left_parent"]:
                by_parent.setdefault(row["left_parent"], []).append(row["code"])
        found = []
        for parent, codes in by_parent.items():
            body = self._base(head)
            body.update(
                type="AggregationEvent", action="DELETE", bizStep="unpacking", disposition="in_progress"
            )
            body["parentID"] = of_code(parent)
            body["childEPCs"] = [of_code(c) for c in codes]
            body.pop(f"{PREFIX}:billType")
            body[f"{PREFIX}:implied"] = True
            found.append(body)
        return found


def _orgs(bills: Iterable[Row], notices: Iterable[Row]) -> list[int]:
    found = {n["owner"] for n in notices}
    for b in bills:
        found |= {b[name] for name in ("owner", "from_org", "to_org", "principal", "carrier", "direct_org")}
    return sorted(o for o in found if o is not None)


def _day(value: date | None) -> str:
    return value.isoformat() if value is not None else ""


def _quoted(text: str) -> str:
    return quote(text, safe="-._~")
