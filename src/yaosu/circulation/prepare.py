"""From a movement to something the transaction can judge: parse, resolve, check header and rights. No database
writes; the only reads are the notice and delegations.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import orjson

from yaosu.circulation import delegations, direct, way_home
from yaosu.circulation import store_read as reads
from yaosu.circulation.cache import CHINA
from yaosu.circulation.model import CODES_MAX, Movement, Prepared
from yaosu.codes import NotACode, Scheme, TraceCode, is_cn20, parse
from yaosu.db.engine import Reads
from yaosu.errors import Finding, YaosuError
from yaosu.people import free_text, headers
from yaosu.people.rules import SaleRule, sale_rules, texts
from yaosu.registry import split_rules, uncoded_rules
from yaosu.registry.acting import acts_for
from yaosu.registry.groups import home, transfer_findings
from yaosu.registry.model import Resolution
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import BillType, submittable
from yaosu.rules.judge import Expected, Order, Scan
from yaosu.subject import Subject

CLOCK_SKEW = timedelta(minutes=10)
"""A device may be this much ahead of us."""
EARLIEST = datetime(2008, 1, 1, tzinfo=UTC)
"""Before electronic codes on medicine there was nothing to record (standards §9)."""
DOUBLE_CHECKED = frozenset({203, 104})
"""Bills that list `double_check` may name."""
TRANSFER = 203
"""调拨出库, judged by groups where a hospital transfers."""
QTY_MAX = 100_000_000
"""Smallest packages in one line without codes."""
PLAIN_MIN = 32
"""From so many scans on, a look at all of them together is cheaper than one at each."""
RAW_KEPT_MAX = 200
"""Characters of an unreadable scan that are kept."""

_CARD = "code_is_identity_card"
"""The reader took an identity card: such a scan is not kept."""

_FIELDS = {
    "from": ("发货方", "sender (from_org)"),
    "to": ("收货方", "receiver (to_org)"),
    "direct": ("直调企业", "direct_org"),
    "reason": ("原因代码", "reason code (header.reason)"),
    "reason_text": ("原因说明", "reason (header.reason_text)"),
    "executer": ("执行人", "executer (header.executer_name)"),
    "superviser": ("监督人", "superviser (header.superviser_name)"),
    "invoice": ("购进发票号", "purchase invoice (header.invoice_no)"),
}


def _plain(registry: Registry, raws: Sequence[str]) -> dict[str, int]:
    """Products by the first seven digits, where every scan is 20 digits of a product handled here, as in most
    deliveries; else empty.
    """
    if set(map(len, raws)) != {20}:
        return {}
    text = "".join(raws)
    if not (text.isascii() and text.isdigit()):
        return {}
    found: dict[str, int] = {}
    for prefix, raw in {raw[:7]: raw for raw in raws}.items():
        code = parse(raw, registry.customs)
        # a leading zero may be a logistics label
        if raw[0] == "0" or isinstance(code, NotACode) or code.scheme is not Scheme.CN20:
            return {}
        product = registry.resolve(code)
        if product.kind != "known" or product.drug_id is None:
            return {}
        found[prefix] = product.drug_id
    return found


def scans_of(registry: Registry, raws: Sequence[str]) -> tuple[list[Scan], list[tuple[int, str]], list[str]]:
    """Parse and resolve raw scans: the scans, the unit keys to lock, and scanned logistics containers."""
    if len(raws) >= PLAIN_MIN and (products := _plain(registry, raws)):
        if len(products) == 1:
            (drug_id,) = products.values()
            return [Scan(n, r, r, drug_id) for n, r in enumerate(raws)], [(drug_id, r) for r in raws], []
        scans = [Scan(n, r, r, products[r[:7]]) for n, r in enumerate(raws)]
        return scans, [(s.drug_id, s.code) for s in scans], []
    scans = []
    keys: list[tuple[int, str]] = []
    containers: list[str] = []
    resolve = registry.resolve
    # products by prefix of 20-digit codes, the mass of scans, as far as this bill has met them
    known: dict[str, int] = {}
    for n, raw in enumerate(raws):
        product = known.get(raw[:7])
        # a leading zero may be a logistics label: `parse` decides
        if product and raw[0] != "0" and is_cn20(raw):
            scans.append(Scan(n, raw, raw, product))
            keys.append((product, raw))
            continue
        code = parse(raw, registry.customs)
        if isinstance(code, NotACode):
            if code.code == _CARD or free_text.holds_citizen(raw):
                scans.append(Scan(n, free_text.NOT_KEPT, "", 0, _CARD, {}))
            else:
                scans.append(Scan(n, raw[:RAW_KEPT_MAX], "", 0, code.code, code.params))
            continue
        if code.scheme is Scheme.SSCC:
            containers.append(code.text)
            scans.append(Scan(n, raw, code.text))
            continue
        found = resolve(code)
        if found.kind == "known" and found.drug_id is not None:
            scans.append(Scan(n, raw, code.text, found.drug_id))
            keys.append((found.drug_id, code.text))
            if code.scheme is Scheme.CN20:
                known[code.prefix] = found.drug_id
        elif found.kind == "elsewhere" and found.drug_id is not None:
            # another system's code: it moves here when it was taken in, else the home is named (R-A4)
            scans.append(Scan(n, raw, code.text, found.drug_id, home=_home(found)))
            keys.append((found.drug_id, code.text))
        else:
            scans.append(_unresolved(n, raw, code, found))
    return scans, keys, containers


def _without_cards(movement: Movement, scans: Sequence[Scan]) -> Movement:
    """The movement without identity cards that were scanned for codes, also in the submission that is kept: D8 gives
    way to design §6, a personal identifier is kept nowhere it does not belong."""
    gone = {movement.codes[s.n] for s in scans if s.problem == _CARD}
    if not gone:
        return movement
    body, nothing = movement.body, free_text.NOT_KEPT
    for card in gone:
        # as it stands in the body: plain, or as JSON writes other letters than ASCII
        for written in (card, json.dumps(card)[1:-1]):
            body = body.replace(written.encode(), nothing.encode())
    return replace(movement, body=body, codes=[nothing if c in gone else c for c in movement.codes])


def _home(found: Resolution) -> dict[str, object]:
    return {"system": found.system.name if found.system else "—", "url": found.query_url or "—"}


def _unresolved(n: int, raw: str, code: TraceCode, found: Resolution) -> Scan:
    if found.kind == "elsewhere" and found.system is not None:
        return Scan(n, raw, code.text, 0, "registered_elsewhere", _home(found))
    return Scan(n, raw, code.text, 0, "prefix_unknown", {"prefix": code.prefix})


def content_hash(movement: Movement, scans: Sequence[Scan]) -> bytes:
    """SHA-256 of what the bill says, so that a repeat is recognised whatever way it is written down (D8)."""
    content: dict[str, object] = {
        "type": movement.type,
        "void": movement.void,
        "owner": movement.owner,
        "from": movement.from_org,
        "to": movement.to_org,
        "principal": movement.principal,
        "carrier": movement.carrier,
        "direct": movement.direct_org,
        "at": movement.happened_at.astimezone(UTC).isoformat(),
        "mode": movement.mode,
        "notice": movement.notice,
        "expected": sorted(list(e) for e in movement.expected),
        "rejects": sorted(movement.rejects),
        "reject_batches": sorted(movement.reject_batches),
        "reject_all": movement.reject_all,
        "header": dict(movement.header),
        "codes": [s.code or s.raw for s in scans],
    }
    # what later versions added stands in the content only where it is used: earlier bills keep their digest
    if movement.parts:
        content["parts"] = dict(movement.parts)
    if movement.quantities:
        content["quantities"] = [
            [q.drug_id, q.batch_no, q.qty, str(q.produced_on), str(q.expires_on)] for q in movement.quantities
        ]
    if movement.person is not None:
        content["person"] = movement.person
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


async def prepare(
    conn: Reads, registry: Registry, subject: Subject, movement: Movement, codes_max: int = CODES_MAX
) -> Prepared:
    """Everything that can be said before looking at units. Refused with every header problem at once."""
    if len(movement.codes) > codes_max:
        raise YaosuError("too_many_codes", {"count": len(movement.codes), "limit": codes_max})
    kind = submittable().get(movement.type)
    if kind is None:
        raise YaosuError("bill_type_unknown", {"type": movement.type})
    owner = await _may_submit(conn, registry, subject, movement)
    findings = _header_findings(registry, movement, kind, owner)
    findings += _quantity_findings(registry, movement, kind, owner)
    findings += headers.findings(movement.header, sale=kind.kind in ("use", "give_back"))
    named = {f"quantities[{n}].batch_no": q.batch_no for n, q in enumerate(movement.quantities)}
    findings += free_text.findings({"bill_no": movement.bill_no, **named})
    if not movement.codes and not movement.void and not kind.by_quantity:
        findings.append(Finding("no_codes", {}, "codes"))
    if findings:
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    scans, keys, containers = scans_of(registry, movement.codes)
    movement = _without_cards(movement, scans)
    parts = parts_of(movement, kind, scans)
    if kind.categories:
        scans = [_in_category(registry, kind, s) for s in scans]
    scans = _double_checked(registry, movement, kind, scans, owner)
    if kind.kind == "use" and containers:
        # its code says nothing of products, so no rule of their sale could be asked
        scans = [replace(s, problem="logistics_not_used") if s.code in containers else s for s in scans]
        containers = []
    scans = await transferable(conn, registry, movement, scans)
    notice = await _notice(conn, movement) if movement.notice else 0
    rejects = frozenset(c.text for c in (parse(r) for r in movement.rejects) if isinstance(c, TraceCode))
    order = Order(
        type=kind,
        owner=movement.owner,
        happened_at=movement.happened_at,
        to=movement.to_org or 0,
        sender=(movement.from_org or 0) if kind.by_dest else 0,
        notice=notice,
        atomic=movement.mode == "atomic",
        expected=tuple(Expected(d, b) for d, b in movement.expected),
        rejects=rejects,
        reject_batches=frozenset(movement.reject_batches),
        reject_all=movement.reject_all,
        parts=parts,
        prep_units=prep_units(registry, scans) if parts or kind.kind == "open" else {},
        opened_life=_opened_life(registry, scans) if parts or kind.kind == "open" else {},
        kin=partial(way_home.kin, registry, movement.owner),
        way_home=way_home.of_bill(registry, movement, kind),
    )
    return Prepared(
        movement=movement,
        kind=kind,
        order=order,
        scans=scans,
        submitter=subject.org_id if subject.org_id is not None else movement.owner,
        account_id=subject.account_id,
        content_hash=content_hash(movement, scans),
        keys=keys,
        containers=containers,
        sale_rules=_sale_rules(registry, movement, kind, scans, owner),
        products={
            q.drug_id: one for q in movement.quantities if (one := registry.product(q.drug_id)) is not None
        },
        lists=registry.lists if kind.kind in ("use", "give_back") else None,
        region=card.region if (card := registry.org(movement.owner)) is not None else "",
    )


async def _may_submit(conn: Reads, registry: Registry, subject: Subject, movement: Movement) -> int:
    """The owner's organisation type; refused (`not_your_bill`, `delegation_not_of_…`) unless the subject acts for it by
    what it is (R-A7, R-B7) or by a delegation that covers the bill (R-B8).
    """
    subject.require("bill.write")
    owner = registry.org(movement.owner)
    if owner is None:
        raise YaosuError("invalid_request", {"count": 1}, [_unknown("owner", movement.owner)])
    if subject.kind != "system" and not acts_for(registry, subject.org_id, movement.owner):
        refused = await delegations.refusal(conn, registry, subject.org_id, movement)
        if refused is not None:
            raise YaosuError(refused.code, refused.params)
    return owner.type


def _unknown(field: str, org_id: int) -> Finding:
    return Finding("party_unknown", {"field": field, "id": org_id}, field)


def _header_findings(
    registry: Registry, movement: Movement, kind: BillType, owner_type: int
) -> list[Finding]:
    found: list[Finding] = []
    if owner_type not in kind.actors:
        params = {"type": kind.code, "name": kind.zh}
        found.append(Finding("bill_type_not_yours", params, "type"))
    given: Mapping[str, object] = {
        "from": movement.from_org,
        "to": movement.to_org,
        "direct": movement.direct_org,
        "reason": movement.header.get("reason"),
        "reason_text": movement.header.get("reason_text"),
        "executer": movement.header.get("executer_name"),
        "superviser": movement.header.get("superviser_name"),
        "invoice": movement.header.get("invoice_no"),
    }
    for need in kind.needs:
        # a receipt may leave the sender open when it names the notice
        if given[need] in (None, "") and not (need == "from" and movement.notice) and not movement.void:
            params = {"type": kind.code, "name": kind.zh, "field": _FIELDS[need][0]}
            found.append(Finding("field_needed", params, need))
    for field in ("from_org", "to_org", "principal", "carrier", "direct_org"):
        org_id = getattr(movement, field)
        if org_id is None:
            continue
        org = registry.org(org_id)
        if org is None:
            found.append(_unknown(field, org_id))
        elif not org.active and not movement.void:
            found.append(Finding("party_abolished", {"field": field, "name": org.name}, field))
        elif field == "to_org" and org.place and home(registry, org_id) != home(registry, movement.owner):
            # a place inside another organisation is nobody outsiders deal with
            found.append(_unknown(field, org_id))
    if kind.kind == "ship" and movement.to_org == movement.owner and kind.code != 203:
        found.append(Finding("party_self", {}, "to_org"))
    found += direct.findings(registry, movement, kind)
    found += _time_findings(movement)
    return found


def _time_findings(movement: Movement) -> list[Finding]:
    shown = movement.happened_at.isoformat()
    if movement.happened_at > datetime.now(UTC) + CLOCK_SKEW:
        return [Finding("happened_in_future", {"time": shown}, "happened_at")]
    if movement.happened_at < EARLIEST:
        return [Finding("happened_too_early", {"time": shown}, "happened_at")]
    return []


def _quantity_findings(
    registry: Registry, movement: Movement, kind: BillType, owner_type: int
) -> list[Finding]:
    """What is wrong with goods named by quantity, and what the dates forbid of them (R-C8, R-D1, R-B3)."""
    params: dict[str, object] = {"type": kind.code, "name": kind.zh}
    if not kind.by_quantity:
        return [Finding("quantities_not_here", params, "quantities")] if movement.quantities else []
    if (movement.codes or not movement.quantities) and not movement.void:
        return [Finding("quantities_needed", params, "quantities")]
    card = registry.org(movement.owner)
    invoiced = movement.header.get("invoice_date")
    if invoiced and _day(invoiced) is None:
        # dates of purchase decide: what cannot be read must not count as today
        reason = f"{str(invoiced)[:40]} ≠ YYYY-MM-DD"
        return [Finding("field_invalid", {"field": "invoice_date", "reason": reason}, "header.invoice_date")]
    found = []
    seen: set[tuple[int, str]] = set()
    for n, one in enumerate(movement.quantities, 1):
        where = f"quantities[{n - 1}]"
        reason = ""
        if registry.product(one.drug_id) is None:
            reason = f"drug_id {one.drug_id}"
        elif one.qty < 1 or one.qty > QTY_MAX:
            reason = f"qty {one.qty}"
        elif not one.batch_no or (one.drug_id, one.batch_no) in seen:
            reason = f"batch_no {one.batch_no}"
        elif one.produced_on and one.expires_on and one.produced_on >= one.expires_on:
            reason = f"{one.produced_on} – {one.expires_on}"
        seen.add((one.drug_id, one.batch_no))
        if reason:
            found.append(Finding("quantity_invalid", {"n": n, "reason": reason}, where))
            continue
        refused = uncoded_rules.refusal(
            registry,
            bill_type=kind.code,
            owner_region=card.region if card is not None else "",
            owner_type=owner_type,
            drug_id=one.drug_id,
            on=movement.happened_at.astimezone(CHINA).date(),
            purchased_on=_day(movement.header.get("invoice_date")),
        )
        if refused is not None:
            found.append(Finding(refused.code, refused.params, where))
    return found


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value)) if value else None
    except ValueError:
        return None


def parts_of(movement: Movement, kind: BillType, scans: Sequence[Scan]) -> dict[str, int]:
    """Preparation units by canonical code; refused (`part_invalid`) where they fit no scan of the bill (R-C9)."""
    if not movement.parts:
        return {}
    by_raw = {s.raw: s.code for s in scans} | {s.code: s.code for s in scans}
    found, wrong = {}, []
    for raw, count in movement.parts.items():
        code = by_raw.get(raw, "")
        if not code or code in found or count < 1 or not kind.parts:
            wrong.append(Finding("part_invalid", {"code": raw[:RAW_KEPT_MAX]}, "parts"))
        else:
            found[code] = count
    if wrong:
        raise YaosuError("invalid_request", {"count": len(wrong)}, wrong[:200])
    return found


def prep_units(registry: Registry, scans: Sequence[Scan]) -> dict[int, int]:
    """Preparation units in one smallest package of each scanned product (包装转换比)."""
    products = {s.drug_id: registry.product(s.drug_id) for s in scans if s.drug_id}
    return {drug_id: one.prep_units_per for drug_id, one in products.items() if one is not None}


def _opened_life(registry: Registry, scans: Sequence[Scan]) -> dict[int, timedelta]:
    lives = {d: split_rules.opened_life(registry, d) for d in {s.drug_id for s in scans if s.drug_id}}
    return {drug_id: life for drug_id, life in lives.items() if life is not None}


def _sale_rules(
    registry: Registry, movement: Movement, kind: BillType, scans: Sequence[Scan], owner_type: int
) -> Mapping[int, SaleRule]:
    """Rules for the products sold or used by the bill; none where the bill sells nothing."""
    if kind.kind != "use" or movement.void:
        return {}
    # most products have no flag, and then nothing needs to be looked up
    drug_ids = {s.drug_id for s in scans if s.drug_id}
    flagged = {d for d in drug_ids if (one := registry.product(d)) is not None and one.flags}
    card = registry.org(movement.owner)
    if not flagged or card is None:
        return {}
    day = movement.happened_at.astimezone(CHINA).date()
    rules = sale_rules(registry, sorted(flagged), card.region, owner_type, day)
    return {drug_id: rule for drug_id, rule in rules.items() if rule.governs(kind.code)}


def _double_checked(
    registry: Registry, movement: Movement, kind: BillType, scans: list[Scan], owner_type: int
) -> list[Scan]:
    """Scans of products that two people must check, refused where the bill names no second one (R-C4)."""
    if kind.code not in DOUBLE_CHECKED or movement.void or movement.header.get("second_person"):
        return scans
    card = registry.org(movement.owner)
    day = movement.happened_at.astimezone(CHINA).date()
    items = registry.lists.get("double_check", day, card.region if card is not None else "")
    flags = {
        flag
        for item in items
        if str(owner_type) in texts(item, "org_types") and str(kind.code) in texts(item, "bill_types")
        for flag in texts(item, "flags")
    }
    checked = []
    for scan in scans:
        product = registry.product(scan.drug_id)
        if scan.problem or product is None or not product.flags & flags:
            checked.append(scan)
            continue
        params = {"product": product.generic_name}
        checked.append(Scan(scan.n, scan.raw, scan.code, scan.drug_id, "second_person_needed", params))
    return checked


async def transferable(conn: Reads, registry: Registry, movement: Movement, scans: list[Scan]) -> list[Scan]:
    """Scans of a transfer to another hospital, refused where no group of hospitals lists the product (R-C5)."""
    if movement.type != TRANSFER or movement.to_org is None or movement.void:
        return scans
    drug_ids = sorted({s.drug_id for s in scans if s.drug_id and not s.problem})
    if not drug_ids:
        return scans
    found = await transfer_findings(
        conn, registry, movement.owner, movement.to_org, drug_ids, movement.happened_at
    )
    if not found:
        return scans
    return [
        Scan(s.n, s.raw, s.code, s.drug_id, found[s.drug_id].code, found[s.drug_id].params)
        if s.drug_id in found and not s.problem
        else s
        for s in scans
    ]


def _in_category(registry: Registry, kind: BillType, scan: Scan) -> Scan:
    product = registry.product(scan.drug_id)
    if scan.problem or product is None or product.flags & kind.categories:
        return scan
    params = {"type": kind.code, "name": kind.zh}
    return Scan(scan.n, scan.raw, scan.code, scan.drug_id, "product_category_only", params)


async def _notice(conn: Reads, movement: Movement) -> int:
    """The bill id of the notice named; refused (`notice_unknown`) when none of that number came to the owner."""
    rows = await conn.fetch(reads.NOTICE_BY_NUMBER, movement.owner, movement.notice, movement.from_org)
    if not rows:
        raise YaosuError(
            "invalid_request",
            {"count": 1},
            [Finding("notice_unknown", {"notice": movement.notice}, "notice")],
        )
    return int(rows[0]["bill_id"])
