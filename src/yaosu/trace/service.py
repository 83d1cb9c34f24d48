"""Verbs of the trace room: verify, history, contents, where, explain. They read and never write units or ledger.

Everything about others passes `visible` (D10); offices' reads of others' records are written down.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from yaosu.access.visibility import Sight, note_reads, record_read, visible
from yaosu.codes import NotACode
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.rules.states import BELOW_NOTHING
from yaosu.stops.service import Memory as StopMemory
from yaosu.subject import Subject
from yaosu.trace import store, story, verify
from yaosu.trace.batcher import read_of
from yaosu.trace.model import (
    CONTENTS_MAX,
    DEPTH_MAX,
    EVENTS_MAX,
    VERIFY_MAX,
    BillHead,
    Found,
    Happening,
    Key,
    Node,
    Stay,
    Tale,
)
from yaosu.trace.verify import Asked, BatchMemory, Json, Looked

SCOPE = "trace.read"
PAGE = 200

FLAG_NAMES = {1: "late", 2: "out_of_order", 4: "no_notice", 8: "reversal", 16: "correction"}
"""Bits of bill.flags (circulation.model.Flag)."""
REVERSAL = 8


async def verify_codes(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    raws: Sequence[str],
    lang: str,
    memory: BatchMemory | None = None,
) -> list[Json]:
    """One verdict per scan, in order; at most `VERIFY_MAX` (R-A5, R-B2). Refused: `trace_too_many_codes`."""
    subject.require(SCOPE)
    if len(raws) > VERIFY_MAX:
        raise YaosuError("trace_too_many_codes", {"count": len(raws), "limit": VERIFY_MAX})
    asked = [verify.ask(registry, raw) for raw in raws]
    looked = await verify.look(conn, asked, memory or BatchMemory(StopMemory()))
    sight = visible(subject)
    found = list(looked.found.values())
    seen = await verify.known(conn, sight, found)
    await note_reads(conn, read_of(subject, sight, found, seen))
    return [verify.answer(registry, one, looked, seen, lang, reader=sight.org_id) for one in asked]


def code_of(registry: Registry, raw: str) -> Asked:
    """The one code in `raw`; refused with the reason when it is none."""
    asked = verify.ask(registry, raw)
    if asked.refusal is not None or asked.code is None:
        refusal = asked.refusal or NotACode("code_unknown", {"length": "0"})
        raise YaosuError(refusal.code, refusal.params)
    return asked


async def _one(
    conn: Connection, registry: Registry, raw: str, drug_id: int | None, memory: BatchMemory | None = None
) -> tuple[Asked, Looked, Found]:
    """The unit of `raw`; for a container with several products the one of `drug_id`."""
    asked = code_of(registry, raw)
    looked = await verify.look(conn, [asked], memory or BatchMemory())
    found = verify.found_of(asked, looked)
    if drug_id is not None:
        found = [f for f in found if f.unit.drug_id == drug_id]
    home = verify.home_of(asked.resolution)
    if not found and home is not None:
        raise YaosuError("trace_elsewhere", {"system": home["name"], "url": home["url"] or "—"})
    if not found:
        raise YaosuError("trace_no_unit", {"code": asked.code.text if asked.code else raw})
    if len(found) > 1:
        choice = [
            Finding("field_invalid", {"field": "drug_id", "reason": str(f.unit.drug_id)}) for f in found
        ]
        raise YaosuError("trace_several_products", {}, choice)
    return asked, looked, found[0]


async def history(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    raw: str,
    lang: str = "zh",
    drug_id: int | None = None,
    memory: BatchMemory | None = None,
) -> Json:
    """Own and inherited events of a code in the order they were recorded, with the stays that justify them.

    R-X4, D3, D14. Bills the reader is no party of keep type, time and status and lose number and parties; a
    reader who sees none of the events sees how many there are.
    """
    subject.require(SCOPE)
    asked, looked, found = await _one(conn, registry, raw, drug_id, memory)
    sight = visible(subject)
    tales = await _tales(conn, found.unit.drug_id, found.unit.code)
    events, stays = story.history(tales, found.unit.code)
    omitted, events = max(len(events) - EVENTS_MAX, 0), events[-EVENTS_MAX:]
    ids = {e.bill_id for e in events}
    ids |= {s.entered for s in stays} | {s.left for s in stays if s.left is not None}
    bills = await store.bills(conn, sight, ids)
    seen = await verify.known(conn, sight, [found])
    owner = _owns_product(registry, sight, found.unit.drug_id)
    party = owner or bool(seen) or any(b.seen for b in bills.values())
    shown = [e for e in events if party and e.bill_id in bills]
    if party:
        await note_reads(conn, [(subject, f"history {found.unit.code}", o) for o in _owners(found, bills)])
    # a line that a correction left alone is in force although a later revision replaced its bill (R-X3)
    reversed_ids = {b.replaces for b in bills.values() if b.flags & REVERSAL and b.replaces is not None}
    odd = story.first_oddity([(e.bill_id, bills[e.bill_id].happened_at) for e in shown])
    return {
        "code": found.unit.code,
        "now": verify.answer(registry, asked, looked, seen, lang, reader=sight.org_id),
        "events": [_event(registry, e, bills, lang, odd, reversed_ids) for e in shown],
        "hidden": len(events) - len(shown),
        "earlier_omitted": omitted,
        "stays": [_stay(s, bills) for s in _unique(stays)] if party else [],
    }


def _owners(found: Found, bills: dict[int, BillHead]) -> list[int | None]:
    """Whose records a history shows: the holder's, and those of every bill that is not hidden."""
    return list(dict.fromkeys([found.root.holder, *(b.owner for b in bills.values() if b.seen)]))


async def _tales(conn: Connection, drug_id: int, code: str) -> dict[str, Tale]:
    """The unit and, ring by ring, every container it or they were ever inside of."""
    tales: dict[str, Tale] = {}
    wanted = {code}
    for _ in range(DEPTH_MAX + 1):
        if not wanted:
            break
        fresh = await store.tales(conn, drug_id, sorted(wanted), EVENTS_MAX, this_life=not tales)
        tales.update(fresh)
        wanted = {c for tale in fresh.values() for c in story.containers_of(tale)} - set(tales)
    return tales


def _owns_product(registry: Registry, sight: Sight, drug_id: int) -> bool:
    product = registry.product(drug_id)
    return product is not None and sight.org_id is not None and product.owned_by(sight.org_id)


def _unique(stays: Sequence[Stay]) -> list[Stay]:
    return sorted(set(stays), key=lambda s: (s.entered, s.left or story.OPEN, s.code))


def _event(
    registry: Registry,
    event: Happening,
    bills: dict[int, BillHead],
    lang: str,
    odd: int,
    reversed_ids: Set[int],
) -> Json:
    bill = bills[event.bill_id]
    kind = bill_types().get(bill.type)
    flags = [name for bit, name in FLAG_NAMES.items() if bill.flags & bit]
    if event.bill_id == odd:
        flags.append("time_runs_back")
    header = dict(bill.header or {})
    replaced = {"old": header.get("old"), "new": header.get("new")} if bill.type == 4 and bill.seen else None
    return {
        "bill_id": bill.id if bill.seen else None,
        "bill_no": bill.bill_no or None,
        "bill_type": bill.type,
        "title": kind.label(lang) if kind is not None else str(bill.type),
        "happened_at": bill.happened_at.isoformat(),
        "recorded_at": bill.recorded_at.isoformat(),
        "owner": verify.org_json(registry, bill.owner),
        "from": verify.org_json(registry, bill.from_org),
        "to": verify.org_json(registry, bill.to_org),
        "hidden": not bill.seen,
        "before": event.pre if event.pre not in ("", "P") else None,
        "after": ("A" if bill.type == 1 else event.post) or None,
        "certainty": "inferred" if event.via else "observed",
        "via": event.via or None,
        "because": [_stay(s, bills) for s in event.stays],
        "in_force": bill.status == "A" or (bill.status == "R" and bill.id not in reversed_ids),
        "bill_status": bill.status,
        "revision": abs(bill.revision),
        "flags": flags,
        "replacement": replaced,
    }


def _stay(stay: Stay, bills: dict[int, BillHead]) -> Json:
    start = bills.get(stay.entered)
    end = bills.get(stay.left) if stay.left is not None else None
    return {
        "code": stay.code,
        "container": stay.container,
        "from_bill": start.id if start is not None and start.seen else None,
        "from": start.happened_at.isoformat() if start is not None else None,
        "to_bill": end.id if end is not None and end.seen else None,
        "to": end.happened_at.isoformat() if end is not None else None,
        "open": stay.left is None,
        "renamed": stay.renamed,
    }


async def contents(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    raw: str,
    parent: str = "",
    after: str = "",
    drug_id: int | None = None,
    limit: int = CONTENTS_MAX,
) -> Json:
    """What is inside a package, as a tree with counts, and what was taken out of it, by which bill.

    Up to `limit` packages at once; a larger one answers with its direct content, page by page (`next`), and
    each of those is asked with `parent`. For whoever may know the holder, and the product's own firm.
    """
    subject.require(SCOPE)
    _, looked, found = await _one(conn, registry, raw, drug_id)
    sight = visible(subject)
    seen = await verify.known(conn, sight, [found])
    if not seen and not _owns_product(registry, sight, found.unit.drug_id):
        raise YaosuError("trace_not_for_you")
    await note_reads(conn, [(subject, f"contents {found.unit.code}", found.root.holder)])
    key: Key = (found.unit.drug_id, found.unit.code)
    whole = True
    cursor = None
    nodes: list[Node] = []
    if not parent and not after:
        nodes = await store.contents(conn, key, limit + 1)
        whole = len(nodes) <= limit
    if parent or after or not whole:
        inner = await _inside(conn, key, parent) if parent else key
        page = await store.children(conn, inner, after, PAGE + 1)
        cursor = page[PAGE - 1].code if len(page) > PAGE else None
        nodes = page[:PAGE]
    parents = [n.code for n in nodes if n.level > 1] or [found.unit.code]
    gone = await store.left(conn, sight, key[0], parents, limit + 1)
    all_gone, gone = len(gone) <= limit, gone[:limit]
    facts = {**looked.batches}
    missing = {(n.drug_id, n.batch_id) for n in nodes if n.batch_id and n.batch_id not in facts}
    missing |= {(key[0], g[4]) for g in gone if g[4] not in facts}
    if missing:
        facts.update(await store.batches(conn, missing))
    return {
        "code": found.unit.code,
        "drug_id": found.unit.drug_id,
        "qty": found.unit.qty,
        "complete": whole,
        "items": [
            {
                "code": n.code,
                "parent": n.parent,
                "depth": n.depth,
                "level": verify.level_json(registry, n.drug_id, n.level),
                "qty": n.qty,
                "batch_no": facts[n.batch_id].batch_no if n.batch_id in facts else None,
            }
            for n in nodes
        ],
        "taken_out": [
            {
                "code": code,
                "parent": left,
                "bill_id": bill,
                "qty": qty,
                "batch_no": facts[batch].batch_no if batch in facts else None,
            }
            for code, left, bill, qty, batch in gone
        ],
        "taken_out_complete": all_gone,
        "next": cursor,
    }


async def _inside(conn: Connection, key: Key, parent: str) -> Key:
    """`parent` as a package inside `key`, refused (`trace_no_unit`) when it is not."""
    found = (await store.climb(conn, [(key[0], parent)])).get((key[0], parent))
    if found is None or all(row.code != key[1] for row in found.path):
        raise YaosuError("trace_no_unit", {"code": parent})
    return (key[0], parent)


async def where(conn: Connection, registry: Registry, subject: Subject, drug_id: int, batch_no: str) -> Json:
    """Where a batch is, by holder and status, and what is on its way between whom (R-X7).

    From balances and open notices alone: ten million boxes take as long as ten thousand. Holders the reader
    may not know are one line; only the product's own firm, offices and the operator learn the totals.
    """
    subject.require(SCOPE)
    batch = await store.batch_by_no(conn, drug_id, batch_no)
    product = registry.product(drug_id)
    sight = visible(subject)
    holdings, hidden = await store.holdings(conn, sight, drug_id, batch.id) if batch else ([], 0)
    owner = _owns_product(registry, sight, drug_id)
    may = owner or sight.kind in ("regulator", "operator") or any(h.org is not None for h in holdings)
    if batch is None or product is None or not may:
        raise YaosuError("not_found", {"what": batch_no})
    travelling = await store.on_the_way(conn, sight, drug_id, batch.id)
    if sight.records_reads:
        await record_read(conn, subject, f"where {drug_id} {batch_no}", None)
    else:
        await note_reads(conn, [(subject, f"where {drug_id} {batch_no}", h.org) for h in holdings])
    whole = owner or sight.kind == "operator" or (sight.kind == "regulator" and not sight.region_prefix)
    shown = [h for h in holdings if h.org is not None or whole]
    totals: dict[str, int] = {}
    for one in shown:
        totals[one.status] = totals.get(one.status, 0) + one.qty
    totals.pop("W", None)
    activated = -totals.pop("P", 0)
    return {
        "product": verify.product_json(registry, drug_id),
        "batch": {
            "batch_no": batch.batch_no,
            "produced_on": batch.produced_on.isoformat(),
            "expires_on": batch.expires_on.isoformat(),
        },
        "activated": activated if whole else None,
        "totals": totals,
        "items": [
            {"holder": verify.org_json(registry, h.org), "status": h.status, "qty": h.qty}
            for h in shown
            if h.status not in BELOW_NOTHING
        ],
        "on_the_way": [
            {
                "from": verify.org_json(registry, t.from_org),
                "to": verify.org_json(registry, t.to_org),
                "qty": t.qty,
                "shipped_at": t.shipped_at.isoformat() if t.shipped_at else None,
            }
            for t in travelling
            if t.from_org is not None or whole
        ],
        "hidden_holders": hidden if whole else 0,
    }


async def explain(conn: Connection, registry: Registry, subject: Subject, raw: str, lang: str) -> Json:
    """The current state of a code in one paragraph, in the reader's language (R-X1)."""
    (body,) = await verify_codes(conn, registry, subject, [raw], lang)
    text = body["explanation"] or f"{body['message']}{body['next']}"
    return {"code": body["code"], "text": text, "warnings": body["warnings"]}
