"""From a routed bill to parcels, in the router's transaction: each row of each bill once for a connection (R-C6).

A correction or void compares what stands with what should: rows that say the same stay, the others are taken back
(3507, or the opposite transaction, as the profile says) and the new ones follow, all in one lane.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from yaosu.db.engine import Connection
from yaosu.edge.pages import CHINA
from yaosu.exchange.outbox.model import Link, Parcel, RoutedBill
from yaosu.exchange.yibao import store
from yaosu.exchange.yibao.model import Row, Skipped, Standing
from yaosu.exchange.yibao.rows import Surroundings, fields_of, opposite, rows_of
from yaosu.insurance.envelope import msgid
from yaosu.insurance.fields import tables
from yaosu.insurance.profiles import Profile, profile
from yaosu.registry.groups import home
from yaosu.registry.resolver import Registry

RETURNED = {"3504": "3503", "3506": "3505"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a bill changes: rows to send, standing rows to delete, why other parts are not reported."""

    rows: Sequence[Row]
    gone: Sequence[Standing]
    skipped: Sequence[Skipped]


async def surroundings(
    conn: Connection, registry: Registry, bill: RoutedBill, link_id: int, infno: str
) -> Surroundings:
    """What the rows need besides the bill."""
    packed = [line for line in bill.lines if line.level != 1 or line.qty != 1]
    inside = {}
    if packed:
        found = await conn.fetch(store.INSIDE, [li.drug_id for li in packed], [li.code for li in packed])
        inside = {r["root"]: list(r["codes"]) for r in found}
    dates = {}
    if bill.quantities:
        found = await conn.fetch(
            store.DATES, [q[0] for q in bill.quantities], [q[1] for q in bill.quantities]
        )
        dates = {(r["drug_id"], r["batch_no"]): (str(r["produced_on"]), str(r["expires_on"])) for r in found}
    first = {}
    if infno in RETURNED:
        codes = {line.code for line in bill.lines}.union(*inside.values()) if bill.lines else set()
        first = await store.origins(conn, sorted(codes), link_id, RETURNED[infno])
    between = {org for org in (bill.owner, bill.from_org, bill.to_org) if org is not None}
    inner = bill.type in (104, 203) and len(between) > 1 and len({home(registry, o) for o in between}) == 1
    drugs = {line.drug_id for line in bill.lines} | {q[0] for q in bill.quantities}
    card = registry.org(bill.owner)
    day = bill.happened_at.astimezone(CHINA).date()
    exempt: dict[int, str] = {}
    for item in registry.lists.get("exemption", day, card.region if card is not None else ""):
        if item.attrs.get("scope") != "settlement":
            continue
        for drug_id in drugs:
            product = registry.product(drug_id)
            if product is not None and item.attrs.get("flag") in product.flags:
                exempt.setdefault(drug_id, item.zh)
    return Surroundings(inside, first, dates, exempt, inner)


async def plan(conn: Connection, registry: Registry, bill: RoutedBill, link_id: int, like: Profile) -> Plan:
    """What the bill changes for one connection."""
    route = registry.lists.item("yibao_route", bill.type)
    infno = str(route.attrs.get("infno") or "") if route is not None else ""
    around = await surroundings(conn, registry, bill, link_id, infno)
    rows, skipped = rows_of(bill, registry.lists, like, around)
    if bill.revision == 1 and not bill.void:
        return Plan(rows, [], skipped)
    before = await store.standing(conn, bill.owner, bill.bill_no, link_id)
    said = Counter(row.digest for row in rows)
    gone = []
    for old in before:
        if said[old.digest] > 0:
            said[old.digest] -= 1
        else:
            gone.append(old)
    fresh = []
    for row in rows:
        if said[row.digest] > 0:
            said[row.digest] -= 1
            fresh.append(row)
    return Plan(fresh, gone, skipped)


async def parcels(conn: Connection, registry: Registry, bill: RoutedBill, link: Link) -> list[Parcel]:
    """The parcels of a bill, and its rows entered; nothing where nothing is owed."""
    if not link.everyone and home(registry, bill.owner) != home(registry, link.org):
        # a partner's bill names us; what of it is ours to report is our own receipt
        return []
    card = registry.org(bill.owner)
    like = profile_of(registry, link, card.region if card is not None else "")
    made = await plan(conn, registry, bill, link.id, like)
    lane = f"{bill.owner}/{bill.bill_no}"
    origin = next((row.origin for row in made.rows if row.origin), "")
    if origin:
        # a return goes after the sale it returns
        lane = await conn.fetchval(LANE, link.id, origin) or lane
    numbered = _numbered(bill, made.rows, 1)
    sent: list[Parcel] = []
    rows: list[tuple[str, Row, str]] = []
    head = f"{bill.owner}/{bill.bill_no}/{bill.revision}" + ("/void" if bill.void else "")
    at = bill.recorded_at.astimezone(CHINA)
    backs: list[Row] = []
    deleted: list[Standing] = []
    for old in made.gone:
        back = (
            opposite(old, registry.lists, bill.type, at.replace(tzinfo=None))
            if like.correction == "return"
            else None
        )
        backs += [back] if back is not None else []
        deleted += [old] if back is None else []
    calls: list[tuple[str, list[dict[str, object]]]] = []
    if deleted:
        calls += [("3507", [_deletion(old)]) for old in deleted]
    returned = _numbered(bill, backs, len(numbered) + 1)
    for group in (returned, numbered):
        for infno, part in _calls(group, like):
            calls.append((infno, [_body(bchno, row) for bchno, row in part]))
            rows += [(bchno, row, f"{head}/{len(calls)}") for bchno, row in part]
    if not calls:
        return []
    code = str(link.account.get("fixmedins_code") or "")
    for n, (number, (infno, listed)) in enumerate(
        zip(await store.numbers(conn, link.id, len(calls)), calls, strict=True), 1
    ):
        body = {
            "infno": infno,
            "msgid": msgid(code, at, number),
            "rows": listed,
            "bill": bill.id,
            "type": bill.type,
            "first": bill.replaces or bill.id,
        }
        sent.append(Parcel(f"yibao.{infno}", f"{head}/{n}", body, lane))
    who = (bill.owner, bill.id, bill.revision, bill.bill_no)
    await store.add(conn, link.id, who, [(b, row, _kept(row), key) for b, row, key in rows])
    if made.gone:
        await conn.execute(store.GONE, link.id, [old.bchno for old in made.gone], sent[0].key)
    if backs:
        await conn.execute(store.GONE, link.id, [bchno for bchno, _ in returned], store.BACK)
    return sent


LANE = """
SELECT lane FROM delivery d JOIN yibao_row r ON d.target = 'yibao' AND d.target_id = r.connection_id AND d.key = r.key
WHERE r.connection_id = $1 AND r.bchno = $2"""


def profile_of(registry: Registry, link: Link, region: str) -> Profile:
    """The connection's profile; the common one where its name means nothing (the sender says so)."""
    try:
        return profile(registry.lists, link.profile, link.region or region)
    except KeyError:
        return Profile()


def _numbered(bill: RoutedBill, rows: Iterable[Row], first: int) -> list[tuple[str, Row]]:
    return [(f"Y{bill.id}-{n}", row) for n, row in enumerate(rows, first)]


def _calls(rows: Sequence[tuple[str, Row]], like: Profile) -> list[tuple[str, list[tuple[str, Row]]]]:
    """Rows of one transaction together, as many as the profile allows in one call."""
    by_infno: dict[str, list[tuple[str, Row]]] = {}
    for one in rows:
        by_infno.setdefault(one[1].infno, []).append(one)
    calls = []
    for infno, group in by_infno.items():
        many = like.batch if like.batch > 1 and len(group) > 1 else 1
        name = tables().transactions[infno].batch_infno if many > 1 else infno
        for start in range(0, len(group), many):
            part = group[start : start + many]
            calls.append((name if len(part) > 1 or many == 1 else infno, part))
    return calls


def _body(bchno: str, row: Row) -> dict[str, object]:
    return {"drug": row.drug_id, "partner": row.partner, "fields": fields_of(row, bchno)}


def _deletion(old: Standing) -> dict[str, object]:
    kind = tables().transactions[old.infno].kind
    return {"fields": {"fixmedins_bchno": old.bchno, "inv_data_type": kind}, "of": old.key}


def _kept(row: Row) -> dict[str, str]:
    facts = dict(row.facts) | {"_made": row.produced_on, "_expires": row.expires_on}
    if row.partner is not None:
        facts["_partner"] = str(row.partner)
    return facts
