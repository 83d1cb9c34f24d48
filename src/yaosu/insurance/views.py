"""How verdicts, cases and institutions are shown: JSON of the API, and what the pages are filled with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncpg import Record

from yaosu.db.engine import Connection
from yaosu.errors import message
from yaosu.insurance import cases, dossier, remit, store_case
from yaosu.insurance.institutions import Issued
from yaosu.insurance.model import Outcome, Said, Verdict
from yaosu.insurance.weights import Weights
from yaosu.registry.resolver import Registry
from yaosu.trace.verify import product_json

Json = dict[str, Any]


def said_json(said: Said, code: str, weights: Weights, lang: str) -> Json:
    """One thing found, with its weight."""
    body = dossier.finding({"rule": said.rule, "params": said.params}, code, lang)
    return {**body, "severity": weights.severity(said.rule)}


def verdict_json(verdict: Verdict, weights: Weights, lang: str) -> Json:
    """The verdict on one code or line."""
    rule = verdict.rule
    first = verdict.said[0] if verdict.said else None
    entry = message(f"ins_{rule}")
    params: Mapping[str, object] = {"code": verdict.code, **(first.params if first else {})}
    body = {
        "row": verdict.row,
        "verdict": rule,
        "severity": verdict.severity,
        "message": entry.text(lang, params),
        "next": entry.next_step(lang, params),
        "findings": [said_json(s, verdict.code, weights, lang) for s in verdict.said],
    }
    if verdict.raw:
        body |= {
            "code": verdict.code,
            "raw": verdict.raw,
            "repeated": verdict.repeated,
            "case": verdict.case_no or None,
        }
    return body


def outcome_json(outcome: Outcome, weights: Weights, lang: str) -> Json:
    """The answer to a settlement check."""
    return {
        "act": outcome.act,
        "decision": outcome.severity,
        "recorded": outcome.recorded,
        "codes": [verdict_json(v, weights, lang) for v in outcome.codes],
        "lines": [verdict_json(v, weights, lang) for v in outcome.lines],
    }


def case_json(registry: Registry, row: Record, reader: remit.Reader, lang: str) -> Json:
    """A case in a list. An institution is told its own side only."""
    lists = registry.lists
    own = reader.bureau or row["institution"] in reader.institutions
    return {
        "id": row["id"],
        "number": cases.case_no(row["opened_at"], row["id"]),
        "rule": row["rule"],
        "title": lists.text("insurance_rule", row["rule"], lang),
        "severity": row["severity"],
        "code": row["code"],
        "product": product_json(registry, row["drug_id"]) if row["drug_id"] else None,
        "act": row["act"] if own else None,
        "institution": {"code": row["institution_code"], "name": row["name"], "region": row["region"]}
        if own
        else None,
        "other": {"name": row["other_name"], "region": row["other_region"]}
        if row["other"] is not None and (reader.bureau or row["other"] in reader.institutions)
        else None,
        "side": "bureau" if reader.bureau else "later" if own else "earlier",
        "hints": [
            {"code": h, "text": lists.text("insurance_hint", h, lang)} for h in row["hint"].split(",") if h
        ],
        "times": row["times"],
        "state": row["state"],
        "opened_at": row["opened_at"].isoformat(),
        "due_at": row["due_at"].isoformat(),
        "answered_at": row["answered_at"].isoformat() if row["answered_at"] else None,
        "closed_at": row["closed_at"].isoformat() if row["closed_at"] else None,
        "result": row["result"] or None,
        "result_name": lists.text("insurance_result", row["result"], lang) if row["result"] else "",
        "closing": row["closing"],
        "findings": dossier.case_findings(row, own, lang),
    }


async def whole_case(
    conn: Connection, registry: Registry, row: Record, reader: remit.Reader, lang: str
) -> Json:
    """A case with what was said and added; an institution reads its own words and files."""
    told = await conn.fetch(store_case.STATEMENTS, row["id"], [], "", reader.own)
    files = await conn.fetch(store_case.FILES, row["id"], reader.own)
    in_remit = reader.bureau and str(row["region"]).startswith(reader.prefix or "")
    open_ = row["state"] != "closed"
    return {
        **case_json(registry, row, reader, lang),
        "statements": [
            {
                "institution": s["name"],
                "at": s["at"].isoformat(),
                "by": s["account"] if not reader.bureau else None,
                "text": s["text"],
            }
            for s in told
        ],
        "files": [
            {
                "id": f["id"],
                "name": f["name"],
                "media": f["media"],
                "bytes": f["bytes"],
                "sha256": f["sha256"],
                "institution": f["institution_name"],
                "at": f["at"].isoformat(),
            }
            for f in files
        ],
        "may": {"answer": open_ and not reader.bureau, "close": open_ and in_remit},
    }


def institution_json(row: Record) -> Json:
    """An institution in the bureau's list; nothing secret."""
    return {
        "id": row["id"],
        "code": row["code"],
        "name": row["name"],
        "region": row["region"],
        "profile": row["profile"],
        "app": row["app"],
        "org": row["org"],
        "active": row["active"],
        "made_at": row["made_at"].isoformat(),
    }


def issued_json(issued: Issued) -> Json:
    """What an institution needs to call; shown this once."""
    one = issued.institution
    return {
        "id": one.id,
        "code": one.code,
        "name": one.name,
        "profile": one.profile,
        "app": one.app,
        "secret": issued.secret,
        "private_key": issued.private_key or None,
        "bureau_key": issued.bureau_key,
    }
