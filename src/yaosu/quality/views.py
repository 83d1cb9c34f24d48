"""Records of the room as API answers and as pages show them; texts in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asyncpg import Record

from yaosu.errors import Finding
from yaosu.quality import documents, evidence, selfcheck
from yaosu.quality.balance import Line
from yaosu.quality.selfcheck import Row
from yaosu.registry.resolver import Registry

Json = dict[str, Any]


def rule_name(registry: Registry, rule: str, lang: str) -> str:
    """A rule as the list calls it."""
    return registry.lists.text("quality_rule", rule, lang)


def product_name(registry: Registry, drug_id: int) -> str:
    """A product as people call it."""
    found = registry.product(drug_id)
    return f"{found.generic_name} {found.strength} {found.package_size}" if found else str(drug_id)


def org_name(registry: Registry, org: int) -> str:
    """An organisation by name."""
    card = registry.org(org)
    return card.name if card is not None else str(org)


def figure(one: Mapping[str, Any], lang: str) -> Json:
    """One measured rule."""
    return {
        "rule": one["rule"],
        "area": one["area"],
        "name": one["zh"] if lang == "zh" else one["en"],
        "held": one["held"],
        "value": one["value"],
        "of": one["of"],
        "qty": one["qty"],
        "limit": one["limit"],
        "unit": one["unit"],
        "days": one["days"],
        "source": one["source"],
        "links": one["links"],
    }


def check(row: Record, lang: str) -> Json:
    """A periodic check."""
    return {
        "id": row["id"],
        "org_id": row["org"],
        "origin": row["origin"],
        "by": row["name"],
        "made_at": row["made_at"],
        "found": row["found"],
        "figures": [figure(one, lang) for one in row["figures"]],
    }


def finding(registry: Registry, row: Record, lang: str) -> Json:
    """A finding as a task."""
    return {
        "id": row["id"],
        "org_id": row["org"],
        "rule": row["rule"],
        "area": row["area"],
        "name": rule_name(registry, row["rule"], lang),
        "state": row["state"],
        "found_at": row["found_at"],
        "due_at": row["due_at"],
        "owner": {"id": row["owner"], "name": row["owner_name"]} if row["owner"] else None,
        "params": row["params"],
        "evidence": row["evidence"],
        "answer": row["answer"],
        "answered_at": row["answered_at"],
        "closed_at": row["closed_at"],
    }


def event(row: Record) -> Json:
    """A step in a finding's history."""
    return {"at": row["at"], "kind": row["kind"], "by": row["name"], "text": row["text"]}


def balance_line(registry: Registry, line: Line, lang: str) -> Json:
    """One batch of the sheet."""
    one = line.statement
    return {
        "drug_id": one.drug_id,
        "product": product_name(registry, one.drug_id),
        "batch_no": one.batch_no,
        "opening": one.opening,
        "in": sum(one.came.values()),
        "out": sum(one.went.values()),
        "closing": one.closing,
        "balance": one.balance,
        "shelf": line.shelf,
        "units": line.units,
        "ties": line.ties,
        "reasons": [
            {"code": r.code, "text": Finding(r.code, r.params).text(lang), "qty": r.qty, "href": r.href}
            for r in line.reasons
        ],
    }


def count_head(row: Record) -> Json:
    """A stock count without its lines."""
    names = ("id", "made_at", "mode", "drug_id", "batch_no", "booked", "counted", "differing", "unexplained")
    return {**{name: row[name] for name in names}, "org_id": row["org"], "by": row["name"]}


def count(row: Record, lang: str) -> Json:
    """A stock count with every difference in words."""
    result = row["result"]
    details = []
    for one in result["details"]:
        params = dict(one["params"])
        if "verdict" in params:
            params["verdict"] = _verdict(params["verdict"], lang)
        said = Finding(one["reason"], params)
        details.append({**one, "text": said.text(lang), "next": said.next_step(lang)})
    return {
        **count_head(row),
        "lines": result["lines"],
        "details": details,
        "inside": result["inside"],
        "omitted": result["omitted"],
    }


def _verdict(code: str, lang: str) -> str:
    try:
        return Finding(code).text(lang)
    except KeyError:
        return code


def table_head(row: Record) -> Json:
    """A self-check table without its lines."""
    names = (
        "id",
        "kind",
        "state",
        "checked_on",
        "firm",
        "address",
        "filler",
        "contact",
        "signed_name",
        "signed_at",
        "content_hash",
        "filed_at",
    )
    return {**{name: row[name] for name in names}, "org_id": row["org"]}


def table(head: Record, rows: list[Row], lang: str) -> Json:
    """A self-check table with its lines and evidence."""
    form = selfcheck.forms()[head["kind"]]
    return {
        **table_head(head),
        "title": form.title if lang == "zh" else form.title_en,
        "intact": selfcheck.intact(head, rows) if head["signed_at"] is not None else None,
        "incomplete": selfcheck.incomplete(head, rows),
        "items": [
            {
                "code": r.item.code,
                "n": r.n,
                "text": r.item.printed,
                "added": r.item.added,
                "answer": r.answer,
                "done_on": r.done_on,
                "remark": r.remark,
                "evidence": [
                    {"text": evidence.text_of(one, lang), "href": one["href"], "known": one["known"]}
                    for one in r.evidence
                ],
            }
            for r in rows
        ],
    }


def document_head(row: Record) -> Json:
    """A controlled document in the list."""
    names = (
        "id",
        "kind",
        "number",
        "title",
        "department",
        "responsible",
        "version",
        "effective_on",
        "draft",
        "trained",
    )
    return {
        **{name: row[name] for name in names},
        "org_id": row["org"],
        **{n: row[n] for n in ("draft", "trained", "people")},
    }


def document(head: Record, versions: list[Record], states: Mapping[int, str]) -> Json:
    """A controlled document with its versions, the newest first."""
    names = ("id", "kind", "number", "title", "department", "responsible")
    return {
        **{name: head[name] for name in names},
        "org_id": head["org"],
        "versions": [
            {
                "version": v["version"],
                "state": states[v["version"]],
                "in_qms": v["in_qms"],
                "change_note": v["change_note"],
                "writer": v["writer"],
                "approver": v["approver"],
                "approved_at": v["approved_at"],
                "effective_on": v["effective_on"],
                "content_hash": v["content_hash"],
                "content": v["content"],
            }
            for v in versions
        ],
    }


def templates() -> list[Json]:
    """Texts to start from."""
    return [
        {"name": name, "for": title, "content": documents.template(name)}
        for name, title in documents.TEMPLATES.items()
    ]


def clue_head(registry: Registry, row: Record, lang: str) -> Json:
    """A clue in the list."""
    return {
        "id": row["id"],
        "org": {"id": row["org"], "name": row["org_name"]},
        "kind": row["kind"],
        "kind_name": registry.lists.text("quality_clue_kind", row["kind"], lang),
        "title": row["title"],
        "state": row["state"],
        "sent_at": row["sent_at"],
        "noted_at": row["noted_at"],
        "answered_at": row["answered_at"],
    }


def clue(registry: Registry, row: Record, lang: str) -> Json:
    """A clue with its evidence."""
    return {
        **clue_head(registry, row, lang),
        "text": row["text"],
        "codes": row["codes"],
        "bills": row["bills"],
        "regulator": row["regulator_name"],
        "evidence": row["evidence"],
        "evidence_hash": row["evidence_hash"],
        "answer": row["answer"],
    }
