"""From what a file says to movements: kinds, partners, warehouses, times; and what has to be asked first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from yaosu.circulation.model import Movement, Quantity
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.files import store
from yaosu.exchange.files.model import QUANTITIES_MAX, SHEET_LINES, FileBill, FileContent, place
from yaosu.registry.import_rows import References
from yaosu.registry.model import OrgCard
from yaosu.registry.names import normalise
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import BillType, submittable
from yaosu.uncoded.imports import product_of

BODY_MAX = 8 << 20
"""A file of one bill up to this size is kept whole as its submission; others are named there by digest and lines."""
NUMBER_MAX = 64


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person chose in the preview, or a caller sent along."""

    type: int | None = None
    """For bills whose kind the file does not tell."""
    types: Mapping[str, int] = field(default_factory=dict)
    """By the text in the file."""
    bill_no: str = ""
    partner: int | None = None
    """For bills that name no partner."""
    partners: Mapping[str, int] = field(default_factory=dict)
    """By the text in the file, normalised."""
    owner: int | None = None
    """The warehouse or store whose bills these are."""
    notice: str = ""
    happened_at: datetime | None = None
    skip_bad: bool = False
    """Send bills although lines of theirs cannot be read."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Choices:
        """From the row's JSON."""
        at = values.get("happened_at")
        return cls(
            type=values.get("type"),
            types=values.get("types") or {},
            bill_no=values.get("bill_no") or "",
            partner=values.get("partner"),
            partners={normalise(k): v for k, v in (values.get("partners") or {}).items()},
            owner=values.get("owner"),
            notice=values.get("notice") or "",
            happened_at=datetime.fromisoformat(at) if at else None,
            skip_bad=bool(values.get("skip_bad")),
        )


@dataclass(frozen=True, slots=True)
class Question:
    """What must be answered before a file can be sent: `kind` type, bill_no, partner, owner; `text` from the file."""

    kind: str
    text: str
    finding: Finding
    bills: int = 1


@dataclass(slots=True)
class Planned:
    """A bill of the file as it would be sent. `movement` None: it cannot be, and `findings` or questions say why."""

    bill: FileBill
    number: str
    type: int
    movement: Movement | None = None
    findings: list[Finding] = field(default_factory=list)
    parties: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Plan:
    """All bills of a file."""

    bills: list[Planned]
    questions: list[Question]
    notes: list[Finding]


class Parties:
    """Organisations by what the file calls them: chosen now, remembered, by 统一社会信用代码, by name."""

    def __init__(self, chosen: Mapping[str, int], remembered: Mapping[str, int], found: References) -> None:
        self._chosen, self._remembered, self._found = chosen, remembered, found

    @classmethod
    async def load(
        cls, conn: Connection, org: int, chosen: Mapping[str, int], texts: Iterable[str]
    ) -> Parties:
        """For all texts of a file, in two queries."""
        wanted = sorted({t for t in texts if t})
        rows = await conn.fetch(store.PARTNERS, org, [normalise(t) for t in wanted]) if wanted else []
        found = await References.load(conn, wanted) if wanted else References()
        return cls(chosen, {r["name_norm"]: r["partner"] for r in rows}, found)

    def of(self, text: str) -> int | None:
        """The organisation meant, or None."""
        key = normalise(text)
        for known in (self._chosen, self._remembered):
            if key in known:
                return known[key]
        found = self._found.find(text)
        return found if isinstance(found, int) else None


async def make(
    conn: Connection,
    registry: Registry,
    org: int,
    content: FileContent,
    choices: Choices,
    file: Mapping[str, Any],
    data: bytes,
) -> Plan:
    """The movements of a file, with everything that is open."""
    texts = [
        t
        for b in content.bills
        for t in (b.partner, b.sender, b.receiver, b.principal, b.carrier, b.direct, b.owner)
    ]
    parties = await Parties.load(conn, org, choices.partners, texts)
    times = await _times(conn, org, content.bills, choices, file)
    maker = _Maker(registry, org, choices, parties, file, data if len(content.bills) == 1 else b"")
    planned = [maker.plan(bill, times) for bill in content.bills]
    _twice(planned)
    notes = list(content.notes)
    if any(b.at is None for b in content.bills) and choices.happened_at is None and times[1] is not None:
        notes.append(Finding("file_note_no_time", {"at": f"{times[1]:%Y-%m-%d %H:%M:%S}"}))
    questions = [
        Question(q.kind, q.text, q.finding, count)
        for (q, count) in ((maker.asked[key], n) for key, n in maker.counts.items())
    ]
    return Plan(planned, questions, notes)


async def _times(
    conn: Connection, org: int, bills: Sequence[FileBill], choices: Choices, file: Mapping[str, Any]
) -> tuple[dict[str, datetime], datetime | None]:
    """Times of bills whose file names none: as the same number was recorded before, else when the file first came.

    So the same file always makes the same movement, whenever it is sent.
    """
    timeless = [b.number or choices.bill_no for b in bills if b.at is None]
    if not timeless:
        return {}, None
    rows = await conn.fetch(store.KNOWN_TIMES, choices.owner or org, timeless)
    first = await conn.fetchval(store.FIRST_AT, org, file["sha256"]) or file["received_at"]
    return {r["bill_no"]: r["happened_at"] for r in rows}, first.replace(microsecond=0)


class _Maker:
    def __init__(
        self,
        registry: Registry,
        org: int,
        choices: Choices,
        parties: Parties,
        file: Mapping[str, Any],
        body: bytes,
    ) -> None:
        self.registry, self.org, self.choices, self.parties, self.file = registry, org, choices, parties, file
        self.body = body if len(body) <= BODY_MAX else b""
        self.asked: dict[tuple[str, str], Question] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    def ask(self, kind: str, text: str, finding: Finding) -> None:
        self.asked.setdefault((kind, text), Question(kind, text, finding))
        self.counts[kind, text] += 1

    def plan(self, bill: FileBill, times: tuple[dict[str, datetime], datetime | None]) -> Planned:
        before = sum(self.counts.values())
        code = bill.type or self.choices.types.get(bill.type_text, 0) or self.choices.type or 0
        if bill.type and self.file["format"] == "client_txt" and self.choices.type:
            # the format itself names no kind: ours is a guess
            code = self.choices.type
        kind = submittable().get(code)
        number = bill.number or self.choices.bill_no
        made = Planned(bill, number, code)
        if kind is None:
            self.ask("type", bill.type_text, Finding("file_ask_type", {"value": bill.type_text[:60] or "—"}))
        if not number:
            self.ask("bill_no", "", Finding("file_ask_bill_no"))
        elif len(number) > NUMBER_MAX:
            made.findings.append(Finding("file_bill_no_long", {}, bill.where(bill.line)))
        owner = self._owner(bill)
        if kind is not None:
            self._sides(bill, kind, made.parties)
        quantities = self._quantities(bill, made)
        if kind is None or owner is None or made.findings or sum(self.counts.values()) > before:
            return made
        at = bill.at or self.choices.happened_at or times[0].get(number) or times[1]
        if at is None:
            return made
        made.movement = Movement(
            type=code,
            bill_no=number,
            owner=owner,
            happened_at=at,
            codes=bill.codes,
            from_org=made.parties.get("from"),
            to_org=made.parties.get("to"),
            principal=made.parties.get("principal"),
            carrier=made.parties.get("carrier"),
            direct_org=made.parties.get("direct"),
            notice=(bill.notice or self.choices.notice) if kind.kind == "receive" else "",
            header=bill.header,
            body=self.body or self._manifest(bill),
            parts=bill.parts,
            quantities=quantities,
        )
        return made

    def _owner(self, bill: FileBill) -> int | None:
        if not bill.owner:
            return self.choices.owner or self.org
        wanted = normalise(bill.owner)
        mine = [*self.registry.family_of(self.org), *self._stores()]
        for card in mine:
            if wanted in (
                normalise(card.name),
                normalise(card.short_name or card.name),
                normalise(card.uscc),
            ):
                return card.id
        found = self.parties.of(bill.owner)
        if found is None:
            self.ask("owner", bill.owner, Finding("file_ask_owner", {"value": bill.owner[:60]}))
        return found

    def _stores(self) -> list[OrgCard]:
        return [c for i in self.registry.stores(self.org) if (c := self.registry.org(i)) is not None]

    def _sides(self, bill: FileBill, kind: BillType, found: dict[str, int]) -> None:
        receiving = "from" in kind.needs or kind.kind == "receive"
        shipping = "to" in kind.needs or kind.kind == "ship" or kind.code == 22
        sides = {
            "from": (bill.sender or bill.partner) if receiving or kind.code == 21 else "",
            "to": (bill.receiver or bill.partner) if shipping else "",
            "principal": bill.principal,
            "carrier": bill.carrier,
            "direct": bill.direct,
        }
        for side, text in sides.items():
            if text:
                org = self.parties.of(text)
                if org is not None:
                    found[side] = org
                elif kind.code != 21:
                    self.ask("partner", text, Finding("file_ask_partner", {"value": text[:60]}))
            elif side in kind.needs:
                if self.choices.partner is not None and side != "direct":
                    found[side] = self.choices.partner
                else:
                    self.ask("partner", "", Finding("file_ask_partner_missing"))

    def _quantities(self, bill: FileBill, made: Planned) -> list[Quantity]:
        quantities: list[Quantity] = []
        if len(bill.quantities) > QUANTITIES_MAX:
            limit = {"limit": QUANTITIES_MAX}
            made.findings.append(Finding("file_too_many_quantities", limit, bill.where(bill.line)))
            return []
        for one in bill.quantities:
            drug = product_of(self.registry, one.product)
            if isinstance(drug, Finding):
                params = {"value": one.product[:40]}
                made.findings.append(Finding("file_product_unknown", params, bill.where(one.line)))
            else:
                quantities.append(Quantity(drug, one.batch_no, one.qty, one.produced_on, one.expires_on))
        return quantities

    def _manifest(self, bill: FileBill) -> bytes:
        """The submission of one of many bills: names the kept file by digest, and its lines."""
        lines = sorted({*bill.lines, *(q.line for q in bill.quantities)})
        return orjson.dumps(
            {
                "file": self.file["name"],
                "sha256": self.file["sha256"].hex(),
                "size": self.file["size"],
                "bill": bill.n,
                "lines": [lines[0] % SHEET_LINES, lines[-1] % SHEET_LINES] if lines else [],
                **({"sheets": sorted({place(n, bill.sheets)[1] for n in lines})} if bill.sheets else {}),
                "count": bill.items,
            }
        )


def _twice(planned: Sequence[Planned]) -> None:
    """Two bills of one number and owner: the second would be another content under the same number."""
    seen: set[tuple[int, str]] = set()
    for one in planned:
        if one.movement is None:
            continue
        key = (one.movement.owner, one.movement.bill_no)
        if key in seen:
            one.movement = None
            finding = Finding(
                "file_bill_twice", {"bill_no": one.number[:NUMBER_MAX]}, one.bill.where(one.bill.line)
            )
            one.findings.append(finding)
        seen.add(key)


def refused_with(findings: Sequence[Finding]) -> YaosuError:
    """The refusal of one bill as a whole."""
    if len(findings) == 1:
        return YaosuError(findings[0].code, findings[0].params)
    return YaosuError("invalid_request", {"count": len(findings)}, findings)
