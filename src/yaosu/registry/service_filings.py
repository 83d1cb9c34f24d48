"""Filing of code rules before any code is requested (R-A1), and the homes of codes of other systems (R-A4)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from yaosu.access import audit
from yaosu.codes import parse
from yaosu.codes.custom import CustomPattern, check_issuer, check_pattern
from yaosu.codes.model import Scheme, TraceCode
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import checks, ladder
from yaosu.registry import store_filing as store
from yaosu.registry import store_org as orgs
from yaosu.registry.drafts import FilingDraft
from yaosu.registry.model import CUSTOM, SCHEMES, Filing, TraceSystem
from yaosu.registry.roles import is_operator, page_size, require_operator
from yaosu.subject import Subject

PREFIXES_MAX = 10_000
SAMPLES_MAX = 50
URL_MAX = 300


async def file_rule(conn: Connection, subject: Subject, draft: FilingDraft) -> Filing:
    """File a code rule: its prefixes or its pattern, and the trace system its codes live in (`product.write`).

    Refused: `filing_invalid` with a finding per field; `filing_overlaps` (409) with the filing and organisation
    each prefix or pattern conflicts with; `filing_not_yours`.
    """
    await _require_party(conn, subject, draft.org_id)
    await orgs.lock(conn)
    draft, prefixes = await _checked(conn, draft, 0)
    filing_id: int = await conn.fetchval(store.INSERT, *store.values(draft))
    await store.put_prefixes(conn, filing_id, draft, prefixes)
    await _record(conn, subject, "filing.create", filing_id, draft, prefixes)
    return await _by_id(conn, filing_id)


async def refile(
    conn: Connection, subject: Subject, filing_id: int, draft: FilingDraft, version: int
) -> Filing:
    """Change a filing whose version is still `version`, else `stale_version`.

    A prefix that a product has cannot be taken out (`filing_prefix_in_use`). `status` 0 withdraws the filing:
    no codes can be requested any more, while those already on boxes still resolve.
    """
    await orgs.lock(conn)
    row = await conn.fetchrow(store.VERSION, filing_id)
    if row is None or not await _is_party(conn, subject, row["org_id"]):
        subject.require("product.read")
        raise YaosuError("filing_not_found")
    await _require_party(conn, subject, row["org_id"])
    await _require_party(conn, subject, draft.org_id)
    if row["version"] != version:
        raise YaosuError("stale_version", {"version": row["version"], "sent": version})
    draft, prefixes = await _checked(conn, draft, filing_id)
    used = await conn.fetch(store.IN_USE, filing_id, prefixes)
    if used:
        found = [
            Finding(
                "filing_prefix_in_use",
                {"prefix": r["prefix"], "id": r["drug_id"], "name": r["generic_name"]},
                r["prefix"],
            )
            for r in used
        ]
        raise YaosuError("filing_prefix_in_use", found[0].params, found)
    await conn.fetchval(store.UPDATE, filing_id, *store.values(draft))
    await store.put_prefixes(conn, filing_id, draft, prefixes)
    await _record(conn, subject, "filing.update", filing_id, draft, prefixes)
    return await _by_id(conn, filing_id)


async def get_filing(conn: Connection, subject: Subject, filing_id: int) -> Filing:
    """A filing of the own organisation, or any for operator and regulators; else `filing_not_found`."""
    subject.require("product.read")
    found = await store.one(conn, filing_id)
    if found is None or not (subject.can("supervise.read") or await _is_party(conn, subject, found.org_id)):
        raise YaosuError("filing_not_found")
    return found


async def list_filings(conn: Connection, subject: Subject, after: int = 0, limit: int = 50) -> list[Filing]:
    """Filings after the number `after`: the own organisation's, or all for operator and regulators."""
    subject.require("product.read")
    everyone = is_operator(subject) or subject.can("supervise.read")
    return await store.page(conn, after, None if everyone else subject.org, page_size(limit))


async def require_filed(conn: Connection, prefix: str) -> int:
    """The filing in force that covers `prefix` in our own system: asked before codes are requested (R-A1).

    Refused: `prefix_not_filed`, `prefix_elsewhere` (names the other system), `filing_withdrawn`.
    """
    row = await conn.fetchrow(store.FILED, prefix)
    if row is None:
        raise YaosuError("prefix_not_filed", {"prefix": prefix[:40]})
    if not row["own"]:
        raise YaosuError("prefix_elsewhere", {"prefix": prefix, "system": row["system_name"]})
    if row["status"] != 1:
        raise YaosuError("filing_withdrawn", {"prefix": prefix, "id": row["filing_id"]})
    filing_id: int = row["filing_id"]
    return filing_id


async def list_systems(conn: Connection, subject: Subject) -> list[TraceSystem]:
    """All trace systems, ours first."""
    subject.require("product.read")
    return await store.systems(conn)


async def put_system(
    conn: Connection, subject: Subject, name: str, operator: str, query_url: str
) -> TraceSystem:
    """Register another trace system, or change operator and address of the one so named (operator only)."""
    require_operator(subject)
    found = [
        checks.text(name, "name", 100, needed=True),
        checks.text(operator, "operator", 100),
        url(query_url, "query_url"),
    ]
    _refuse([f for f in found if f is not None])
    row = await conn.fetchrow(store.PUT_SYSTEM, name.strip(), operator.strip(), query_url.strip())
    assert row is not None
    await audit.record(conn, subject, "trace_system.put", ("trace_system", row["id"]), {"name": name.strip()})
    return TraceSystem(row["id"], row["name"], row["operator"], row["query_url"], row["own"])


def url(value: str, where: str) -> Finding | None:
    """What is wrong with a query address: only http and https, since people will click on it."""
    if not value:
        return None
    try:
        parts = urlsplit(value.strip())
        fine = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        fine = False
    if not fine or len(value) > URL_MAX or not value.isprintable() or " " in value.strip():
        return Finding("filing_url", {"value": value[:80]}, where)
    return None


async def _is_party(conn: Connection, subject: Subject, org_id: int) -> bool:
    if is_operator(subject) or subject.org_id == org_id:
        return True
    if subject.org_id is None:
        return False
    org = await orgs.one(conn, orgs.BY_ID, org_id)
    # an overseas holder files through its 境内责任人 (R-A7)
    return org is not None and org.card.domestic_agent_id == subject.org_id


async def _require_party(conn: Connection, subject: Subject, org_id: int) -> None:
    subject.require("product.write")
    if not await _is_party(conn, subject, org_id):
        raise YaosuError("filing_not_yours")


async def _checked(conn: Connection, draft: FilingDraft, filing_id: int) -> tuple[FilingDraft, list[str]]:
    draft = replace(
        draft,
        rule_text=draft.rule_text.strip(),
        query_url=draft.query_url.strip(),
        filing_no=draft.filing_no.strip(),
        issuer=draft.issuer.strip(),
        samples=tuple(s.strip() for s in draft.samples if s.strip()),
    )
    found: list[Finding | None] = [
        checks.text(draft.rule_text, "rule_text", 4000, needed=True),
        checks.text(draft.filing_no, "filing_no", 100),
        url(draft.query_url, "query_url"),
    ]
    if draft.scheme not in SCHEMES:
        found.append(Finding("scheme_unknown", {"scheme": draft.scheme[:20]}, "scheme"))
    if draft.status not in (0, 1):
        found.append(Finding("value_shape", {"field": "status"}, "status"))
    if await orgs.one(conn, orgs.BY_ID, draft.org_id) is None:
        found.append(Finding("org_relation_unknown", {"id": draft.org_id}, "org_id"))
    if await conn.fetchrow(store.SYSTEM, draft.system_id) is None:
        found.append(Finding("trace_system_unknown", {"id": draft.system_id}, "system_id"))
    prefixes: list[str] = []
    if draft.scheme == CUSTOM:
        found += _pattern(draft)
        prefixes = [draft.issuer]
    else:
        if draft.pattern or draft.issuer or draft.samples:
            found.append(Finding("filing_pattern_without_custom", {}, "pattern"))
        if not draft.prefixes:
            found.append(Finding("filing_prefix_missing", {}, "prefixes"))
        if len(draft.prefixes) > PREFIXES_MAX:
            found.append(Finding("filing_prefixes_many", {"max": PREFIXES_MAX}, "prefixes"))
        for number, raw in enumerate(draft.prefixes[:PREFIXES_MAX]):
            key = ladder.identifier(draft.scheme, raw, f"prefixes.{number}")
            if isinstance(key, Finding):
                found.append(key)
            elif key not in prefixes:
                prefixes.append(key)
    _refuse([f for f in found if f is not None])
    overlaps = await _overlaps(conn, draft, prefixes, filing_id)
    if overlaps:
        raise YaosuError("filing_overlaps", overlaps[0].params, overlaps)
    return draft, prefixes


def _pattern(draft: FilingDraft) -> list[Finding | None]:
    found: list[Finding | None] = []
    for checked, where in ((check_issuer(draft.issuer), "issuer"), (check_pattern(draft.pattern), "pattern")):
        if checked is not None:
            found.append(Finding(checked.code, checked.params, where))
    if draft.prefixes and draft.prefixes != (draft.issuer,):
        found.append(Finding("filing_prefix_with_custom", {}, "prefixes"))
    if not 1 <= len(draft.samples) <= SAMPLES_MAX:
        found.append(Finding("filing_samples", {"max": SAMPLES_MAX}, "samples"))
    if any(found):
        return found
    own = CustomPattern(draft.issuer, draft.issuer, draft.pattern, "upper" if draft.pattern_upper else "none")
    for number, sample in enumerate(draft.samples):
        read = parse(sample, [own])
        if not isinstance(read, TraceCode) or read.scheme != Scheme.CUSTOM:
            found.append(Finding("filing_sample_misfit", {"sample": sample[:60]}, f"samples.{number}"))
    return found


async def _overlaps(
    conn: Connection, draft: FilingDraft, prefixes: list[str], filing_id: int
) -> list[Finding]:
    found = [
        Finding(
            "filing_overlaps",
            {
                "prefix": r["prefix"],
                "id": r["filing_id"],
                "name": r["org_name"],
                "system": r["system_name"],
            },
            r["prefix"],
        )
        for r in await store.taken(conn, prefixes, filing_id)
    ]
    if draft.scheme != CUSTOM:
        return found
    mine = CustomPattern(
        draft.issuer, draft.issuer, draft.pattern, "upper" if draft.pattern_upper else "none"
    )
    for row in await conn.fetch(store.PATTERNS, filing_id):
        theirs = CustomPattern(
            row["issuer"], row["org_name"], row["pattern"], "upper" if row["pattern_upper"] else "none"
        )
        for sample in (*draft.samples, *row["samples"]):
            if all(isinstance(parse(sample, [one]), TraceCode) for one in (mine, theirs)):
                params = {
                    "prefix": sample[:60],
                    "id": row["id"],
                    "name": row["org_name"],
                    "system": row["issuer"],
                }
                found.append(Finding("filing_overlaps", params, "pattern"))
                break
    return found


async def _by_id(conn: Connection, filing_id: int) -> Filing:
    found = await store.one(conn, filing_id)
    assert found is not None
    return found


async def _record(
    conn: Connection, subject: Subject, action: str, filing_id: int, draft: FilingDraft, prefixes: list[str]
) -> None:
    details = {
        "scheme": draft.scheme,
        "system": draft.system_id,
        "status": draft.status,
        "prefix_count": len(prefixes),
        "prefixes": prefixes[:100],
    }
    await audit.record(conn, subject, action, ("filing", filing_id), details, org_id=draft.org_id)


def _refuse(findings: list[Finding]) -> None:
    if findings:
        raise YaosuError("filing_invalid", {"count": len(findings)}, findings)
