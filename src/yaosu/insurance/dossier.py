"""The dossier (R-X11): everything an institution can show of one code, in one click, as JSON with a digest.

For the institution it holds what it may see (D10); what it may not is counted and said to be left out. A bureau opens
the dossier of codes settled or looked into in its region, as those institutions would hand it in, and that is written
down as a read of theirs. No person is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from asyncpg import Record

from yaosu import gm
from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError, message
from yaosu.insurance import cases, looking, remit, store_case, store_dossier, store_message
from yaosu.insurance.model import CHINA
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.subject import Subject
from yaosu.trace import service as trace
from yaosu.trace import verify
from yaosu.trace.verify import BatchMemory

SCOPE = "insurance.dossier"
PAPERS = (
    "invoice_no", "invoice_code", "invoice_date", "delivery_note", "order_code", "supplier", "purchase_bill",
    "sale_bill", "receipt_no", "settlement_id", "visit_no", "reason",
)  # fmt: skip
"""Fields of a bill's header that are papers: invoices, notes, numbers. Nothing else of it is needed here."""
READING = frozenset({"trace.read", "bill.read", "stock.read"})

Json = dict[str, Any]


async def dossier(
    conn: Connection,
    registry: Registry,
    memory: BatchMemory,
    subject: Subject,
    raw: str,
    lang: str = "zh",
    case_id: int | None = None,
) -> Json:
    """The dossier of a code, or of a case's code. Refused: `insurance_no_dossier`, `not_found`, the reason of `raw`."""
    subject.require(SCOPE)
    reader = await remit.reader_of(conn, registry, subject)
    case: Record | None = None
    if case_id is not None:
        case, reader = await cases.seen(conn, registry, subject, case_id)
        raw = case["code"]
    (one,) = looking.ask(registry, [(raw, datetime.now(UTC))])
    if one.asked.code is None:
        refusal = one.asked.refusal
        assert refusal is not None
        raise YaosuError(refusal.code, refusal.params)
    drugs = sorted({one.drug_id, 0})
    asked = [reader.prefix, list(reader.institutions)]
    # for a bureau its settlements are what lets it in; for an institution they are its own
    settled = await conn.fetch(store_case.SETTLEMENTS, *asked, [one.code], drugs, None, cases.NEWEST, 500)
    found_cases = await conn.fetch(store_case.OF_CODE, *asked, drugs, one.code)
    if reader.bureau and not settled and not found_cases:
        raise YaosuError("insurance_no_dossier", {"code": one.code})
    institutions = await _institutions(conn, reader, settled, found_cases)
    views = [
        await _view(conn, registry, memory, who, one, lang)
        for who in _readers(registry, subject, reader, institutions)
    ]
    known = any(v["events"] or v["hidden_events"] for v in views) or bool(settled or found_cases)
    if not known and not any(v["now"].get("found") for v in views):
        raise YaosuError("insurance_no_dossier", {"code": one.code})
    numbers = [i["id"] for i in institutions]
    others = await conn.fetch(store_case.OTHERS, drugs, one.code, numbers)
    reports = await conn.fetch(store_message.OF_CODE, drugs, one.code, numbers)
    told = await conn.fetch(store_case.STATEMENTS, None, drugs, one.code, numbers)
    if reader.bureau:
        for org in {i["org"] for i in institutions} - {None}:
            await record_read(conn, subject, f"insurance dossier {one.code}", org)
    body: Json = {
        "title": "药品追溯码说明材料" if lang == "zh" else "Dossier of a trace code",
        "generated_at": datetime.now(CHINA).isoformat(timespec="seconds"),
        "for": _org(registry, subject.org_id),
        "code": one.code,
        "product": verify.product_json(registry, one.drug_id) if one.drug_id else None,
        "institutions": [{"code": i["code"], "name": i["name"], "region": i["region"]} for i in institutions],
        "views": views,
        "settlements": [settlement(registry, r, lang) for r in reversed(settled)],
        "settled_by_others": [
            {
                "sold_at": _time(r["sold_at"]),
                "region": r["region"],
                "split": r["split"],
                "disputed": r["state"] == "D",
            }
            for r in others
        ],
        "reports": [_report(r) for r in reports],
        "cases": [
            _case(registry, r, reader, lang) for r in found_cases if case is None or r["id"] == case["id"]
        ],
        "files": await _files(conn, reader, found_cases),
        "statements": [
            {"institution": r["name"], "at": _time(r["at"]), "by": r["account"], "text": r["text"]}
            for r in told
        ],
        "left_out": _left_out(views, others, lang),
    }
    body["digest"] = digest(body)
    return body


def digest(body: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 and SM3 over the dossier without this field, as JSON with sorted names and no blanks."""
    content = orjson.dumps({k: v for k, v in body.items() if k != "digest"}, option=orjson.OPT_SORT_KEYS)
    return {"sha256": hashlib.sha256(content).hexdigest(), "sm3": gm.sm3(content).hex()}


async def explain(conn: Connection, registry: Registry, subject: Subject, raw: str, text: str) -> None:
    """Keep an institution's own explanation of a code, with or without a case; it stands in the dossier from then on.

    Refused: `insurance_not_registered`, `insurance_not_yours`, `insurance_reason_needed`, the reason of `raw`.
    """
    subject.require(SCOPE)
    if remit.is_bureau(registry, subject):
        raise YaosuError("insurance_not_yours")
    if not text.strip():
        raise YaosuError("insurance_reason_needed")
    institution = await remit.institution_for(conn, registry, subject)
    (one,) = looking.ask(registry, [(raw, datetime.now(UTC))])
    if one.asked.code is None:
        refusal = one.asked.refusal
        assert refusal is not None
        raise YaosuError(refusal.code, refusal.params)
    made = await conn.fetchval(
        store_case.SAY, institution.id, one.drug_id, None, subject.account_id, one.code,
        text.strip()[: cases.TEXT_MAX],
    )  # fmt: skip
    await audit.record(conn, subject, "insurance.explain", ("insurance_statement", made))


async def _institutions(
    conn: Connection, reader: remit.Reader, settled: Sequence[Record], found: Sequence[Record]
) -> list[Record]:
    wanted = set(reader.institutions) | {r["institution"] for r in settled}
    if reader.bureau:
        for row in found:
            wanted |= {
                i for i, region in ((row["institution"], row["region"]), (row["other"], row["other_region"]))
                if i is not None and str(region).startswith(reader.prefix or "")
            }  # fmt: skip
    return list(await conn.fetch(store_case.NAMED, sorted(wanted)))


def _readers(
    registry: Registry, subject: Subject, reader: remit.Reader, institutions: Sequence[Record]
) -> list[Subject]:
    """Through whose eyes the records are read: the institution's own; for a bureau those it has to do with."""
    if not reader.bureau:
        return [_reading(subject)]
    found = []
    for org in dict.fromkeys(i["org"] for i in institutions if i["org"] is not None):
        card = registry.org(org)
        if card is not None:
            found.append(Subject("key", None, org, str(card.type), "", READING, subject.lang, card.region))
    return found


def _reading(subject: Subject) -> Subject:
    """The institution's own subject, with what reading its own history takes."""
    return Subject(
        subject.kind, subject.account_id, subject.org_id, subject.org_type, subject.role,
        subject.scopes | READING, subject.lang, subject.region, subject.name, subject.session_id,
    )  # fmt: skip


async def _view(
    conn: Connection,
    registry: Registry,
    memory: BatchMemory,
    subject: Subject,
    one: looking.Seen,
    lang: str,
) -> Json:
    """One organisation's records of the code."""
    family = [card.id for card in registry.family_of(subject.org)] or [subject.org]
    now: Json
    told: Any
    events: Any
    hidden: Any
    try:
        told = await trace.history(conn, registry, subject, one.code, lang, one.drug_id or None, memory)
        now, events, hidden = dict(told["now"]), told["events"], told["hidden"]
    except YaosuError as refusal:
        if refusal.code not in ("trace_no_unit", "trace_elsewhere", "trace_several_products"):
            raise
        (now,) = await trace.verify_codes(conn, registry, subject, [one.code], lang, memory)
        events, hidden = [], 0
    sight = visible(subject)
    ids = {e["bill_id"] for e in events if e["bill_id"] is not None}
    bills = await store_dossier.bills(conn, sight, ids, family)
    checks = await store_dossier.checks(conn, sight, ids)
    own = [b["id"] for b in bills if b["owner"] in family]
    split = await conn.fetchrow(store_dossier.SPLIT, one.drug_id, one.code, family)
    parts = await conn.fetch(store_dossier.PARTS, one.drug_id, one.code, family) if split else []
    sent = await conn.fetch(store_dossier.DELIVERIES, own, family) if own else []
    attempts = await conn.fetch(store_dossier.ATTEMPTS, [d["id"] for d in sent]) if sent else []
    return {
        "organisation": _org(registry, subject.org_id),
        "now": now,
        "events": events,
        "hidden_events": hidden,
        "bills": [_bill(registry, b, family, lang) for b in bills],
        "receipt_checks": [_check(registry, c) for c in checks],
        "split": _split(split, parts),
        "deliveries": [_delivery(d, attempts) for d in sent],
    }


def _org(registry: Registry, org_id: int | None) -> Json | None:
    card = registry.org(org_id) if org_id is not None else None
    return {"id": card.id, "name": card.name, "uscc": card.uscc} if card is not None else None


def _bill(registry: Registry, row: Record, family: Sequence[int], lang: str) -> Json:
    kind = bill_types().get(row["type"])
    header = row["header"] or {}
    side = "other"
    if row["owner"] in family and kind is not None:
        side = {"in": "purchase", "use": "sale", "out": "sale"}.get(kind.direction, "own")
    return {
        "bill_id": row["id"],
        "bill_no": row["bill_no"],
        "type": row["type"],
        "title": kind.label(lang) if kind is not None else str(row["type"]),
        "side": side,
        "status": row["status"],
        "revision": row["revision"],
        "owner": _org(registry, row["owner"]),
        "from": _org(registry, row["from_org"]),
        "to": _org(registry, row["to_org"]),
        "happened_at": _time(row["happened_at"]),
        "recorded_at": _time(row["recorded_at"]),
        "operator": row["operator"],
        "papers": {name: str(header[name]) for name in PAPERS if header.get(name) not in (None, "")},
        "leaf": row["leaf"],
    }


def _check(registry: Registry, row: Record) -> Json:
    return {
        "id": row["id"],
        "receipt_bill": row["receipt_bill"],
        "seller": _org(registry, row["seller"]),
        "made_at": _time(row["made_at"]),
        "outcome": row["outcome"],
        "counts": row["counts"],
        "state": row["state"],
        "answer": row["answer"],
    }


def _split(pack: Record | None, parts: Sequence[Record]) -> Json | None:
    if pack is None:
        return None
    return {
        "total": pack["total"],
        "left": pack["unit_left"],
        "out": pack["unit_out"],
        "lost": pack["unit_lost"],
        "opened_at": _time(pack["opened_at"]),
        "entries": [
            {"kind": p["kind"], "qty": p["qty"], "bill_no": p["bill_no"], "at": _time(p["happened_at"])}
            for p in parts
        ],
    }


def _delivery(row: Record, attempts: Sequence[Record]) -> Json:
    return {
        "id": row["id"],
        "bill_id": row["bill_id"],
        "to": row["target"],
        "kind": row["kind"],
        "state": row["state"],
        "made_at": _time(row["created_at"]),
        "settled_at": _time(row["settled_at"]),
        "answer": row["answer"],
        "remote": row["remote"],
        "attempts": [
            {"n": a["n"], "at": _time(a["at"]), "what": a["what"], "state": a["state"], "answer": a["answer"]}
            for a in attempts
            if a["delivery_id"] == row["id"]
        ],
    }


STATES = {
    "S": ("已结算/销售", "settled"),
    "D": ("有争议", "disputed"),
    "R": ("不予结算", "refused"),
    "B": ("已退", "taken back"),
    "W": ("已撤销", "withdrawn"),
}


def settlement(registry: Registry, row: Record, lang: str) -> Json:
    """A row of the settlement ledger for its readers; the numbers of the act by kind, no person."""
    keys: dict[str, str] = {}
    for stored in row["keys"]:
        _, kind, number = stored.split(":", 2)
        keys[kind] = number
    return {
        "id": row["id"],
        "code": row["code"],
        "institution": {
            "id": row["institution"],
            "code": row["institution_code"],
            "name": row["name"],
            "region": row["region"],
        },
        "sold_at": _time(row["sold_at"]),
        "recorded_at": _time(row["recorded_at"]),
        "collected_at": _time(row["collected_at"]),
        "settled_at": _time(row["settled_at"]),
        "ended_at": _time(row["ended_at"]),
        "split": row["split"],
        "units": row["units"] or None,
        "state": row["state"],
        "state_name": STATES[row["state"]][0 if lang == "zh" else 1],
        "severity": row["severity"],
        "med_list_codg": row["med_list_codg"],
        "numbers": keys,
        "bill_id": row["bill_id"] or None,
        "findings": [finding(f, row["code"], lang) for f in row["findings"]],
    }


def finding(stored: Mapping[str, Any], code: str, lang: str) -> Json:
    """One thing said, in the reader's language. The number of another institution is nobody's to know."""
    entry = message(f"ins_{stored['rule']}")
    params = {"code": code, **{k: v for k, v in stored["params"].items() if k != "institution"}}
    return {
        "rule": stored["rule"],
        "message": entry.text(lang, params),
        "next": entry.next_step(lang, params),
    }


def case_findings(row: Record, own: bool, lang: str) -> list[Json]:
    """What a case is about: for the institution that settled before, only that somebody else did since."""
    if own:
        return [finding(f, row["code"], lang) for f in row["findings"]]
    entry = message("insurance_settled_again")
    return [{"rule": "settled_again", "message": entry.text(lang, {}), "next": entry.next_step(lang, {})}]


def _report(row: Record) -> Json:
    data = row["data"]
    count = next((data[n] for n in ("sel_retn_cnt", "purc_retn_cnt", "cnt", "inv_cnt") if n in data), "")
    return {
        "transaction": row["stage"],
        "number": row["key"],
        "msgid": row["msgid"],
        "received_at": _time(row["received_at"]),
        "happened_at": _time(row["happened_at"]),
        "withdrawn_at": _time(row["deleted_at"]),
        "batch_no": data.get("manu_lotnum", ""),
        "count": count,
        "supplier": data.get("spler_name", ""),
        "invoice": data.get("purc_invo_no", ""),
        "split": data.get("trdn_flag") == "1",
    }


def _case(registry: Registry, row: Record, reader: remit.Reader, lang: str) -> Json:
    lists = registry.lists
    own = reader.bureau or row["institution"] in reader.institutions
    return {
        "id": row["id"],
        "number": cases.case_no(row["opened_at"], row["id"]),
        "rule": row["rule"],
        "title": lists.text("insurance_rule", row["rule"], lang),
        "probable_causes": [lists.text("insurance_hint", h, lang) for h in row["hint"].split(",") if h],
        # whose act it is about, and what was said of it, is not told to the other side
        "act": row["act"] if own else "",
        "times": row["times"],
        "opened_at": _time(row["opened_at"]),
        "due_at": _time(row["due_at"]),
        "state": row["state"],
        "result": lists.text("insurance_result", row["result"], lang) if row["result"] else "",
        "closing": row["closing"],
        "findings": case_findings(row, own, lang),
    }


async def _files(conn: Connection, reader: remit.Reader, found: Sequence[Record]) -> list[Json]:
    made = []
    for case in found:
        for row in await conn.fetch(store_case.FILES, case["id"], reader.own):
            made.append(
                {
                    "case": cases.case_no(case["opened_at"], case["id"]),
                    "name": row["name"],
                    "institution": row["institution_name"],
                    "bytes": row["bytes"],
                    "sha256": row["sha256"],
                    "at": _time(row["at"]),
                }
            )
    return made


def _left_out(views: Sequence[Json], others: Sequence[Record], lang: str) -> list[str]:
    """What the reader may not see, said plainly (D10)."""
    zh = lang == "zh"
    said = []
    hidden = sum(v["hidden_events"] for v in views)
    blank = sum(1 for v in views for e in v["events"] if e["hidden"])
    if hidden or blank:
        count = hidden + blank
        said.append(
            f"另有 {count} 条其他单位之间的流转记录，按权限不列单位和单据"
            if zh
            else f"{count} events between other firms: parties and papers are not yours to see"
        )
    if others:
        said.append(
            f"其他机构的结算记录 {len(others)} 条，只列时间和统筹区"
            if zh
            else f"{len(others)} settlements of other institutions: time and region only"
        )
    said.append(
        "个人信息（参保人、医师、药师）一律不列"
        if zh
        else "Persons (insured, doctors, pharmacists) never appear"
    )
    return said


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(CHINA).isoformat(timespec="seconds") if moment is not None else None
