"""The settlement check (R-C7): an act of an institution, judged code by code, and recorded once.

The same sale told twice, by both channels or again, is one act (R-C6): it gets the answer it had. A settlement is paid
whole or not at all; a sale that already happened is always recorded, as disputed where a rule refuses it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.insurance import cases, looking, rules, store
from yaosu.insurance.looking import Goods, Seen
from yaosu.insurance.model import (
    CHINA,
    COARSE,
    SEVERITIES,
    Act,
    Claim,
    Institution,
    Known,
    Limits,
    Line,
    Outcome,
    Said,
    Settled,
    Verdict,
)
from yaosu.insurance.weights import Weights, limit, limits_of
from yaosu.registry import uncoded_rules
from yaosu.registry.resolver import Registry
from yaosu.trace.verify import BatchMemory

LINES_A_TURN = 20
UNRECORDED = frozenset({"not_a_code", "retail_barcode"})
"""Kinds of scans that are no codes: nothing can be recorded under them."""


@dataclass(slots=True)
class Begun:
    """One act on its way: read, then looked up, judged and written."""

    institution: Institution
    act: Act
    now: datetime
    seen: list[Seen]
    limits: Limits
    weights: Weights
    outcome: Outcome
    goods: Goods | None = None
    judge: _Judge | None = None
    fresh: list[tuple[Verdict, Seen, str]] = field(default_factory=list)
    """New rows of the settlement ledger, with their states."""
    again: list[tuple[Any, ...]] = field(default_factory=list)
    merged: list[tuple[Any, ...]] = field(default_factory=list)


async def check(
    conn: Connection,
    registry: Registry,
    memory: BatchMemory,
    institution: Institution,
    act: Act,
    *,
    record: bool,
    now: datetime | None = None,
    locked: bool = False,
) -> Outcome:
    """Judge an act; with `record` also write it into the settlement ledger and open cases.

    Refused: `insurance_too_many_codes`. `record` takes locks on the codes until the transaction ends, unless the
    caller has them (`locked`).
    """
    one = begin(registry, institution, act, now or datetime.now(UTC))
    if record and not locked:
        await store.lock(conn, looking.lockable(one.seen))
    await look(conn, registry, memory, [one])
    await judge(conn, registry, one)
    if record:
        rows = plan(one, await store.new_ids(conn, sort_out(one)))
        await change(conn, one)
        if rows:
            await store.add(conn, rows)
        await open_cases(conn, registry, one)
    return one.outcome


def begin(
    registry: Registry,
    institution: Institution,
    act: Act,
    now: datetime,
    seen: list[Seen] | None = None,
) -> Begun:
    """Read an act. `seen`: its scans, where the caller has read them, in the order of lines and codes.

    Refused: `insurance_too_many_codes`.
    """
    raws = [(raw, line.sold_at or act.sold_at) for line in act.lines for raw in line.codes]
    most = limit(registry.lists, "codes", institution.region)
    if len(raws) > most:
        raise YaosuError("insurance_too_many_codes", {"count": len(raws), "limit": most})
    return Begun(
        institution,
        act,
        now,
        looking.ask(registry, raws) if seen is None else seen,
        limits_of(registry.lists, institution.region),
        Weights(registry.lists, institution.region, act.sold_at),
        Outcome(act.number, "ok", [], []),
    )


async def look(conn: Connection, registry: Registry, memory: BatchMemory, acts: Sequence[Begun]) -> None:
    """Everything that is known of the codes of several acts, in as many statements as for one."""
    found = await looking.look(conn, registry, memory, [(a.institution, a.seen, a.limits) for a in acts])
    for act, goods in zip(acts, found, strict=True):
        act.goods = goods


async def judge(conn: Connection, registry: Registry, one: Begun) -> None:
    """Verdicts of all codes and lines, and of the act."""
    assert one.goods is not None
    act, outcome = one.act, one.outcome
    one.judge = _Judge(registry, one.institution, act, one.goods, one.limits, one.weights, one.now)
    scans = iter(one.seen)
    for n, line in enumerate(act.lines):
        if n % LINES_A_TURN == LINES_A_TURN - 1:
            # a thousand lines take a second: others are answered in between
            await asyncio.sleep(0)
        one.judge.line(line, list(islice(scans, len(line.codes))), outcome)
    await _without_codes(conn, registry, one.institution, act, one.goods, one.weights, outcome)
    everything = [*outcome.codes, *outcome.lines]
    outcome.severity = max((v.severity for v in everything), key=SEVERITIES.index, default="ok")


class _Judge:
    """Judges the lines of one act; remembers which row of the ledger each code is."""

    def __init__(
        self,
        registry: Registry,
        institution: Institution,
        act: Act,
        goods: Goods,
        limits: Limits,
        weights: Weights,
        now: datetime,
    ) -> None:
        self.registry = registry
        self.institution = institution
        self.act = act
        self.goods = goods
        self.limits = limits
        self.weights = weights
        self.now = now
        self.own: dict[int, tuple[Record, Settled]] = {}
        """By the verdict's identity: the row that already tells this code of this act."""
        self.before: dict[str, list[Settled]] = defaultdict(list)
        """What earlier lines of the same message said of a code."""

    def claim(self, line: Line) -> Claim:
        """What a line says, before its units are shared out."""
        return Claim(
            self.institution.id,
            self.institution.region,
            self.act.channel,
            {**self.act.keys, **line.keys},
            line.sold_at or self.act.sold_at,
            line.split,
            line.med_list_codg,
            0,
            line.person or self.act.person,
            line.act or self.act.number,
        )

    def line(self, line: Line, scans: Sequence[Seen], outcome: Outcome) -> None:
        """Verdicts of one line: of each code once, and of the line."""
        base = self.claim(line)
        once = list({s.code: s for s in scans}.values())
        told, knowns = [], []
        for one in once:
            # refused attempts never count, and never against anybody
            counted = [s for r, s in one.rows if r["state"] == "S" and not self._mine(base, s)]
            counted += [s for s in self.before[one.code] if not self._mine(base, s)]
            mine = next((p for p in reversed(one.rows) if self._mine(base, p[1])), None)
            told.append(mine)
            knowns.append(looking.known(self.registry, self.goods, one, counted))
        claims = self._shared(line, base, knowns)
        for one, known, claim, mine in zip(once, knowns, claims, told, strict=True):
            verdict = self._code(line, one, known, claim, mine)
            outcome.codes.append(verdict)
            if mine is not None:
                self.own[id(verdict)] = mine
            elif verdict.severity != "refuse":
                self.before[one.code].append(self._as_settled(claim))
        products = looking.billed(self.registry, line.med_list_codg)
        said = self.weights.sorted(
            rules.judge_line(
                line, [looking.known(self.registry, self.goods, s, ()) for s in scans],
                products[0].prep_units_per if products else None,
            )
        )  # fmt: skip
        if said:
            outcome.lines.append(Verdict(line.row, "", "", self.weights.worst(said), said))

    def _mine(self, claim: Claim, one: Settled) -> bool:
        return rules.same_act(claim, one, self.limits)

    def _as_settled(self, claim: Claim) -> Settled:
        return Settled(
            0, claim.institution, claim.region, claim.keys, claim.split, claim.units, claim.sold_at, self.now,
            frozenset({claim.channel}), claim.person,
        )  # fmt: skip

    def _shared(self, line: Line, base: Claim, knowns: Sequence[Known]) -> list[Claim]:
        """The split quantity of a line, taken out of its boxes one after the other."""
        if not line.split or line.qty is None or not knowns:
            return [base] * len(knowns)
        units = rules.preparation_units(line.qty, line.unit, knowns[0].per_pack)
        if units != units.to_integral_value() or not 0 < units < 10**6:
            return [base] * len(knowns)
        boxes = []
        for known in knowns:
            used = sum(s.units for s in known.settled if s.split)
            boxes.append(max(known.per_pack - used, 0))
        parts = rules.shares(int(units), boxes)
        return [replace(base, units=part) for part in parts]

    def _code(
        self, line: Line, one: Seen, known: Known, claim: Claim, mine: tuple[Record, Settled] | None
    ) -> Verdict:
        verdict = Verdict(line.row, one.code, one.asked.raw, "ok", [], known, claim)
        if mine is not None and mine[0]["state"] != "R" and claim.channel in mine[1].channels:
            # told before by this channel: the answer stands, whatever has happened since
            verdict.repeated = True
            verdict.said = [Said(f["rule"], f["params"]) for f in mine[0]["findings"]]
            verdict.severity = mine[0]["severity"]
            return verdict
        verdict.said = self.weights.sorted(rules.judge(claim, known, self.now, self.limits))
        verdict.severity = self.weights.worst(verdict.said)
        return verdict


async def _without_codes(
    conn: Connection,
    registry: Registry,
    institution: Institution,
    act: Act,
    goods: Goods,
    weights: Weights,
    outcome: Outcome,
) -> None:
    """Lines without any scan: exempt, out of the uncoded account, or not scanned although they must be (R-A6, R-C8)."""
    bare = [line for line in act.lines if not line.codes]
    if not bare:
        return
    products = {line.row: looking.billed(registry, line.med_list_codg) for line in bare}
    day = act.sold_at.astimezone(CHINA).date()
    wanted = sorted({p.id for found in products.values() for p in found})
    stock = await store.uncoded(conn, goods.family, wanted) if goods.family and wanted else {}
    card = registry.org(institution.org) if institution.org is not None else None
    org_type = card.type if card is not None else 3
    for line in bare:
        found = products[line.row]
        said: list[Said] = []
        name = found[0].generic_name if found else "—"
        free = [
            item
            for p in found
            for scope in ("settlement", "coding")
            if (item := uncoded_rules.exempt(registry.lists, p.flags, scope, institution.region, day))
        ]
        kept = [p for p in found if line.purchased_on is not None or p.id in stock]
        if not found:
            said.append(Said("billed_unknown", {"billed": line.med_list_codg or "—"}))
        elif free:
            said.append(Said("exempt", {"product": name, "why": free[0].zh, "source": free[0].source}))
        elif kept:
            bought = line.purchased_on or stock.get(kept[0].id)
            refusal = uncoded_rules.refusal(
                registry,
                bill_type=uncoded_rules.SALE,
                owner_region=institution.region,
                owner_type=org_type,
                drug_id=kept[0].id,
                on=day,
                purchased_on=bought,
            )
            if refusal is None:
                said.append(Said("uncoded", {"product": name, "bought": bought or "—"}))
            else:
                said.append(Said("uncoded_late", {"product": name, "why": refusal.text("zh")}))
        else:
            said.append(Said("no_code", {"product": name}))
        outcome.lines.append(Verdict(line.row, "", "", weights.worst(said), weights.sorted(said)))


def sort_out(one: Begun) -> int:
    """What is to be written of an act: new rows (how many is returned), rows that a second channel adds to."""
    act, outcome, judge = one.act, one.outcome, one.judge
    assert judge is not None
    paid = act.channel == "collect" or outcome.severity != "refuse"
    bad_rows = {v.row for v in outcome.lines if v.severity == "refuse"}
    seen = {(scan.code, scan.sold_at): scan for scan in one.seen}
    for verdict in outcome.codes:
        if verdict.known is None or verdict.known.kind in UNRECORDED:
            continue
        assert verdict.claim is not None
        mine = judge.own.get(id(verdict))
        state = _state(act, verdict, paid, bad_rows)
        if mine is None:
            if state:
                one.fresh.append((verdict, seen[verdict.code, verdict.claim.sold_at], state))
            continue
        verdict.settlement = mine[1].id
        _again(one.institution, act, verdict, mine, state, one.again, one.merged)
    outcome.recorded = paid
    return len(one.fresh)


def plan(one: Begun, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The new rows under the given numbers."""
    rows = []
    for number, (verdict, scan, state) in zip(ids, one.fresh, strict=True):
        verdict.settlement = number
        rows.append(_row(one.institution, one.act, verdict, scan, number, state, one.now))
    return rows


async def change(conn: Connection, one: Begun) -> None:
    """Write what is new of rows that are there."""
    if one.again:
        await conn.executemany(store.AGAIN, one.again)
    if one.merged:
        await conn.executemany(store.MERGE, one.merged)


async def open_cases(conn: Connection, registry: Registry, one: Begun) -> None:
    """Cases for what does not fit; once the rows have their numbers."""
    await cases.open_cases(conn, registry, one.institution, one.outcome, one.weights, one.limits, one.now)


def _state(act: Act, verdict: Verdict, paid: bool, bad_rows: set[int]) -> str:
    """S counts; D happened and is disputed; R was not paid; "" leaves no row: nothing is wrong with this code."""
    if verdict.severity == "refuse":
        return "D" if act.channel == "collect" else "R"
    if act.channel == "collect":
        return "S"
    return "S" if paid and verdict.row not in bad_rows else ""


def bill_of(verdict: Verdict) -> int:
    """The sale in the institution's own books that is the same act (R-C6), or 0."""
    known = verdict.known
    if known is None or known.own_sale is None or any(s.rule == "sold_before" for s in verdict.said):
        return 0
    return known.own_sale.bill_id


def _findings(verdict: Verdict) -> list[dict[str, Any]]:
    return [{"rule": s.rule, "params": dict(s.params)} for s in verdict.said]


def _row(
    institution: Institution, act: Act, verdict: Verdict, one: Seen, number: int, state: str, now: datetime
) -> dict[str, Any]:
    assert verdict.claim is not None
    return {
        "id": number,
        "bill_id": bill_of(verdict),
        "sold_at": verdict.claim.sold_at,
        "collected_at": now if act.channel == "collect" else None,
        "settled_at": now if act.channel == "settle" else None,
        "drug_id": one.drug_id,
        "institution": institution.id,
        "units": verdict.claim.units if verdict.claim.split else 0,
        "split": verdict.claim.split,
        "state": state,
        "severity": verdict.severity,
        "code": one.code,
        "med_list_codg": verdict.claim.med_list_codg,
        "keys": store.keys_of(institution.id, verdict.claim.keys),
        "person": verdict.claim.person,
        "findings": _findings(verdict),
    }


def _again(
    institution: Institution,
    act: Act,
    verdict: Verdict,
    mine: tuple[Record, Settled],
    state: str,
    again: list[tuple[Any, ...]],
    merged: list[tuple[Any, ...]],
) -> None:
    """The act is on record: add what this channel knows; a refusal that no longer holds becomes what it is now."""
    assert verdict.claim is not None
    row = mine[0]
    key = (row["drug_id"], row["code"], row["id"])
    if row["state"] in ("R", "D") and not verdict.repeated and state:
        again.append((*key, state, verdict.severity, _findings(verdict)))
    if act.channel not in mine[1].channels:
        numbers = store.keys_of(institution.id, verdict.claim.keys)
        merged.append((*key, numbers, act.channel, bill_of(verdict), verdict.claim.med_list_codg))


def act_number(keys: Mapping[str, str]) -> str:
    """The number of an act as people say it: the first that there is."""
    return next((keys[kind] for kind in COARSE if keys.get(kind)), "")
