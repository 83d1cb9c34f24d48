"""From a movement to something the transaction can judge: parse, resolve, check header and rights. No database
writes; the only reads are the notice and delegations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson

from yaosu.circulation import store_read as reads
from yaosu.circulation.model import CODES_MAX, Movement, Prepared
from yaosu.codes import NotACode, Scheme, TraceCode, parse
from yaosu.db.engine import Reads
from yaosu.errors import Finding, YaosuError
from yaosu.registry.model import Resolution
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import BillType, submittable
from yaosu.rules.judge import Expected, Order, Scan
from yaosu.subject import Subject

CLOCK_SKEW = timedelta(minutes=10)
"""A device may be this much ahead of us."""
EARLIEST = datetime(2008, 1, 1, tzinfo=UTC)
"""Before electronic codes on medicine there was nothing to record (standards §9)."""
RAW_KEPT_MAX = 200
"""Characters of an unreadable scan that are kept."""

_FIELDS = {
    "from": ("发货方", "sender (from_org)"),
    "to": ("收货方", "receiver (to_org)"),
    "direct": ("直调企业", "direct_org"),
    "reason": ("原因代码", "reason code (header.reason)"),
    "reason_text": ("原因说明", "reason (header.reason_text)"),
    "executer": ("执行人", "executer (header.executer_name)"),
    "superviser": ("监督人", "superviser (header.superviser_name)"),
}


def scans_of(registry: Registry, raws: Sequence[str]) -> tuple[list[Scan], list[tuple[int, str]], list[str]]:
    """Parse and resolve raw scans: the scans, the unit keys to lock, and scanned logistics containers."""
    scans: list[Scan] = []
    keys: list[tuple[int, str]] = []
    containers: list[str] = []
    resolve = registry.resolve
    for n, raw in enumerate(raws):
        code = parse(raw, registry.customs)
        if isinstance(code, NotACode):
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
        else:
            scans.append(_unresolved(n, raw, code, found))
    return scans, keys, containers


def _unresolved(n: int, raw: str, code: TraceCode, found: Resolution) -> Scan:
    if found.kind == "elsewhere" and found.system is not None:
        params = {"system": found.system.name, "url": found.query_url or "—"}
        return Scan(n, raw, code.text, 0, "registered_elsewhere", params)
    return Scan(n, raw, code.text, 0, "prefix_unknown", {"prefix": code.prefix})


def content_hash(movement: Movement, scans: Sequence[Scan]) -> bytes:
    """SHA-256 of what the bill says, so that a repeat is recognised whatever way it is written down (D8)."""
    content = {
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
    owner = await _may_submit(conn, registry, subject, movement.owner)
    findings = _header_findings(registry, movement, kind, owner)
    if not movement.codes and not movement.void:
        findings.append(Finding("no_codes", {}, "codes"))
    if findings:
        raise YaosuError("invalid_request", {"count": len(findings)}, findings)
    scans, keys, containers = scans_of(registry, movement.codes)
    if kind.categories:
        scans = [_in_category(registry, kind, s) for s in scans]
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
    )


async def _may_submit(conn: Reads, registry: Registry, subject: Subject, owner_id: int) -> int:
    """The owner's organisation type; refused (`not_your_bill`) unless the subject may submit for it (R-B7, B8)."""
    subject.require("bill.write")
    owner = registry.org(owner_id)
    if owner is None:
        raise YaosuError("invalid_request", {"count": 1}, [_unknown("owner", owner_id)])
    if owner_id != subject.org_id and subject.kind != "system" and owner.parent_id != subject.org_id:
        allowed = await conn.fetchval(reads.DELEGATED, owner_id, subject.org_id)
        if not allowed:
            raise YaosuError("not_your_bill", {"name": owner.name})
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
        elif not org.active:
            found.append(Finding("party_abolished", {"field": field, "name": org.name}, field))
    if kind.kind == "ship" and movement.to_org == movement.owner and kind.code != 203:
        found.append(Finding("party_self", {}, "to_org"))
    found += _time_findings(movement)
    return found


def _time_findings(movement: Movement) -> list[Finding]:
    shown = movement.happened_at.isoformat()
    if movement.happened_at > datetime.now(UTC) + CLOCK_SKEW:
        return [Finding("happened_in_future", {"time": shown}, "happened_at")]
    if movement.happened_at < EARLIEST:
        return [Finding("happened_too_early", {"time": shown}, "happened_at")]
    return []


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
