"""Cases: what did not fit, opened once per code and act, explained by the institution, closed by the bureau (R-C7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from yaosu.access import audit
from yaosu.access.reach import asked
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.insurance import files, remit, rules, store, store_case
from yaosu.insurance.model import CHINA, Institution, Limits, Outcome, Verdict
from yaosu.insurance.weights import Weights, limit
from yaosu.notify.service import tell
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "insurance.case"
RESULTS = "insurance_result"
NEWEST = 2**63 - 1
TEXT_MAX = 4000


def case_no(opened_at: datetime, case_id: int) -> str:
    """The number of a case as people say it."""
    return f"YB{opened_at:%Y%m%d}{case_id:06d}"


async def open_cases(
    conn: Connection,
    registry: Registry,
    institution: Institution,
    outcome: Outcome,
    weights: Weights,
    limits: Limits,
    now: datetime,
) -> None:
    """A case for every code of an act that calls for one; told to the institution, the other one and the bureau."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    about: dict[tuple[str, str], Verdict] = {}
    for verdict in outcome.codes:
        said = next((s for s in verdict.said if weights.case(s.rule)), None)
        if said is None or verdict.repeated or not verdict.settlement:
            continue
        assert verdict.claim is not None and verdict.known is not None
        key = (verdict.code, verdict.claim.act or "-")
        if key in rows:
            continue
        earlier = said.earlier
        hints = rules.hint(verdict.claim, earlier, verdict.known, now, limits)
        other = earlier.institution if earlier is not None and earlier.institution != institution.id else None
        about[key] = verdict
        rows[key] = {
            "institution": institution.id,
            "other": other,
            "settlement": verdict.settlement,
            "earlier": (earlier.id or None) if earlier is not None else None,
            "drug_id": verdict.known.drug_id,
            "rule": said.rule,
            "severity": weights.severity(said.rule),
            "hint": ",".join(hints),
            "code": verdict.code,
            "act": key[1],
            "findings": [{"rule": s.rule, "params": dict(s.params)} for s in verdict.said],
        }
    if not rows:
        return
    due = now + timedelta(days=limit(registry.lists, "case_days", institution.region))
    made = await conn.fetch(store_case.OPEN, list(rows.values()), due)
    for row in made:
        about[row["code"], row["act"]].case_no = case_no(row["opened_at"], row["id"])
    await _tell(conn, institution, [r for r in made if r["fresh"]], due)


async def _tell(conn: Connection, institution: Institution, fresh: list[Record], due: datetime) -> None:
    """One message for an act, however many codes it is about."""
    if not fresh:
        return
    first = fresh[0]
    link = f"/insurance/cases/{first['id']}" if len(fresh) == 1 else "/insurance"
    params = {
        "number": case_no(first["opened_at"], first["id"]),
        "count": len(fresh),
        "institution": institution.name,
        "due": due.astimezone(CHINA).date().isoformat(),
    }
    ref = f"insurance {first['id']}"
    if institution.org is not None:
        await tell(conn, institution.org, "notice_insurance_case", params, link, ref)
    await tell(conn, institution.bureau, "notice_insurance_case_bureau", params, link, ref)
    told: set[int] = set()
    for row in fresh:
        if row["other"] is None or row["other"] in told:
            continue
        told.add(row["other"])
        found = await conn.fetchrow(store.BY_ID, row["other"])
        if found is None:
            continue
        number = {**params, "number": case_no(row["opened_at"], row["id"]), "institution": ""}
        where = f"/insurance/cases/{row['id']}"
        if found["org"] is not None:
            await tell(
                conn, found["org"], "notice_insurance_case_other", number, where, f"insurance {row['id']}"
            )
        if found["bureau"] != institution.bureau:
            number["institution"] = found["name"]
            await tell(
                conn, found["bureau"], "notice_insurance_case_bureau", number, where, f"insurance {row['id']}"
            )


async def listed(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    *,
    states: list[str] | None = None,
    overdue: bool = False,
    code: str = "",
    rule: str = "",
    before: int = NEWEST,
    count: int = 50,
) -> list[Record]:
    """Cases the subject sees, newest first."""
    subject.require(SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    text = store_case.CASES if reader.prefix is not None else store_case.CASES_OF
    given = (
        reader.prefix, list(reader.institutions), states, overdue, code or None, rule or None, before, count
    )  # fmt: skip
    found: list[Record] = await conn.fetch(asked(text, given), *given)
    return found


async def counts(conn: Connection, registry: Registry, subject: Subject) -> Mapping[str, int]:
    """How many cases are in which state."""
    subject.require(SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    row = await conn.fetchrow(store_case.COUNTS, reader.prefix, list(reader.institutions))
    assert row is not None
    return dict(row)


async def seen(
    conn: Connection, registry: Registry, subject: Subject, case_id: int
) -> tuple[Record, remit.Reader]:
    """One case, for whoever may see it; `not_found` for everybody else."""
    subject.require(SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    row = await conn.fetchrow(store_case.CASE, reader.prefix, list(reader.institutions), case_id)
    if row is None:
        raise YaosuError("not_found", {"what": "核查单" if subject.lang == "zh" else "Case"})
    return row, reader


def side_of(row: Record, reader: remit.Reader) -> int:
    """Which of a case's institutions the reader is; 0 for a bureau."""
    if reader.bureau:
        return 0
    side: int = row["institution"] if row["institution"] in reader.institutions else row["other"]
    return side


async def say(conn: Connection, registry: Registry, subject: Subject, case_id: int, text: str) -> None:
    """An institution's explanation. Refused: `insurance_case_closed`, `insurance_not_yours`."""
    row, reader = await seen(conn, registry, subject, case_id)
    if reader.bureau:
        raise YaosuError("insurance_not_yours")
    await _open(conn, case_id)
    side = side_of(row, reader)
    await conn.execute(
        store_case.SAY, side, row["drug_id"], case_id, subject.account_id, row["code"], text[:TEXT_MAX]
    )
    # the clock runs for the institution whose act it is about
    if side == row["institution"]:
        await conn.execute(store_case.ANSWERED, case_id)
    await audit.record(conn, subject, "insurance.answer", ("insurance_case", case_id))
    bureau = await conn.fetchval(store.BUREAU, side)
    params = {"number": case_no(row["opened_at"], case_id), "institution": _name(row, side)}
    ref = f"insurance {case_id} answer {side}"
    await tell(conn, bureau, "notice_insurance_answered", params, f"/insurance/cases/{case_id}", ref)


def _name(row: Record, side: int) -> str:
    return str(row["name"] if side == row["institution"] else row["other_name"])


async def attach(
    conn: Connection, registry: Registry, subject: Subject, case_id: int, name: str, body: bytes
) -> int:
    """A file of an institution: an invoice, a receipt, a photograph. Refused: `insurance_file_kind`,
    `insurance_file_large`, `insurance_files_many`, `insurance_case_closed`, `insurance_not_yours`."""
    row, reader = await seen(conn, registry, subject, case_id)
    if reader.bureau:
        raise YaosuError("insurance_not_yours")
    media = files.media_of(body)
    await _open(conn, case_id)
    side = side_of(row, reader)
    if await conn.fetchval(store_case.COUNT_FILES, case_id, side) >= files.COUNT_MAX:
        raise YaosuError("insurance_files_many", {"limit": files.COUNT_MAX})
    made: int = await conn.fetchval(
        store_case.ADD_FILE,
        case_id,
        side,
        subject.account_id,
        media,
        files.clean_name(name),
        files.digest(body),
        body,
    )
    await audit.record(conn, subject, "insurance.attach", ("insurance_case", case_id), {"file": made})
    return made


async def file(
    conn: Connection, registry: Registry, subject: Subject, case_id: int, file_id: int
) -> tuple[str, str, bytes]:
    """(media type, name, content) of a file; an institution opens its own only."""
    _, reader = await seen(conn, registry, subject, case_id)
    row = await conn.fetchrow(store_case.FILE, file_id, case_id, reader.own)
    if row is None:
        raise YaosuError("not_found", {"what": "附件" if subject.lang == "zh" else "File"})
    return row["media"], row["name"], row["body"]


async def close(
    conn: Connection, registry: Registry, subject: Subject, case_id: int, result: str, text: str
) -> None:
    """The bureau's end of a case. A data error also withdraws the disputed row of the settlement ledger.

    Refused: `insurance_not_bureau`, `insurance_result_unknown`, `insurance_reason_needed`, `insurance_case_closed`.
    """
    row, reader = await seen(conn, registry, subject, case_id)
    if not reader.bureau or not str(row["region"]).startswith(reader.prefix or ""):
        raise YaosuError("insurance_not_bureau")
    item = registry.lists.item(RESULTS, result, region=row["region"])
    if item is None:
        raise YaosuError("insurance_result_unknown", {"result": result[:40]})
    if not text.strip():
        raise YaosuError("insurance_reason_needed")
    await _open(conn, case_id)
    await conn.execute(store_case.CLOSE, case_id, result, text.strip()[:TEXT_MAX], subject.account_id)
    if item.attrs.get("settlement") == "withdrawn":
        await store.finish(conn, [(row["drug_id"], row["code"], row["settlement"])], "W")
    await audit.record(conn, subject, "insurance.close", ("insurance_case", case_id), {"result": result})
    params = {"number": case_no(row["opened_at"], case_id), "result": item.zh, "result_en": item.en}
    for org in {row["org"], row["other_org"]} - {None}:
        ref = f"insurance {case_id} closed"
        await tell(conn, org, "notice_insurance_closed", params, f"/insurance/cases/{case_id}", ref)


async def _open(conn: Connection, case_id: int) -> None:
    if await conn.fetchval(store_case.LOCK, case_id) == "closed":
        raise YaosuError("insurance_case_closed")
