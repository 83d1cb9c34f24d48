"""Pages of the trace room: search, one code with its history and tree, where a batch is; and the public's page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.ledger.pages import number
from yaosu.registry.parts import registry_of
from yaosu.rules.states import label
from yaosu.trace import flow_pages, public_pages, service, verify
from yaosu.trace.verify import minute

router = APIRouter()
router.include_router(public_pages.router)
router.include_router(flow_pages.router)

SCAN_CHARS_MAX = 4096
TREE_SHOWN = 500
"""Packages drawn in the tree at once; a larger package shows its direct content."""

_TONES = {"S": "ok", "X": "refused", "C": "refused", "N": "warn", "Q": "warn"}


@router.get("/trace")
async def trace_page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    code: Annotated[str, Query(max_length=SCAN_CHARS_MAX)] = "",
    drug: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The search box; with a code its verdict, its history and its package tree."""
    subject.require(service.SCOPE)
    context: dict[str, Any] = {"code": code, "now": None, "drug": drug}
    if code.strip():
        context |= await _code(request, conn, subject, code, number(drug))
    return render(request, "trace/code.html", context)


async def _code(
    request: Request, conn: Conn, subject: CurrentSubject, code: str, drug: int | None
) -> dict[str, Any]:
    registry, lang = registry_of(request), language(request)
    memory = state(request).parts["trace.memory"]
    now: Any
    (now,) = await service.verify_codes(conn, registry, subject, [code], lang, memory)
    found: dict[str, Any] = {"now": now, "events": [], "tree": [], "hidden": 0, "contents": None}
    if not now["found"]:
        master = state(request).parts["master_secret"]
        await verify.tell_origin(conn, registry, subject, master, now, lang)
        return found
    units = [now, *now.get("others", [])]
    chosen = next((u for u in units if u["product"] and u["product"]["drug_id"] == drug), now)
    found |= {"now": chosen, "units": units if len(units) > 1 else []}
    drug_id = chosen["product"]["drug_id"] if chosen["product"] else None
    body: Any = await service.history(conn, registry, subject, code, lang, drug_id, memory)
    found |= {"events": [_event(e, lang) for e in body["events"]], "hidden": body["hidden"]}
    found["stays"] = body["stays"]
    try:
        tree: Any = await service.contents(
            conn, registry, subject, chosen["code"], drug_id=drug_id, limit=TREE_SHOWN
        )
        found |= {"tree": _tree(tree, chosen, lang.startswith("zh")), "contents": tree}
    except YaosuError as refusal:
        # who may not look inside still sees the verdict and what is theirs of the history
        if refusal.code != "trace_not_for_you":
            raise
    return found


def _event(event: dict[str, Any], lang: str) -> dict[str, Any]:
    zh = lang.startswith("zh")
    sender, receiver, owner = event["from"], event["to"], event["owner"]
    # a shipment leaves the sender open where the owner is the sender, a receipt the receiver
    ends = (sender or owner, receiver or owner) if sender or receiver else (owner,)
    place = " → ".join(dict.fromkeys(end["name"] for end in ends if end))
    if event["hidden"]:
        place = "相关单位未授权查看" if zh else "parties not visible to you"
    why = ""
    if event["certainty"] == "inferred":
        last = event["because"][-1]
        if last["renamed"]:
            why = f"替换前的追溯码 {event['via']}" if zh else f"under its former code {event['via']}"
        else:
            end = _shown(last["to"]) if last["to"] else ("至今" if zh else "now")
            period = f"{_shown(last['from'])} — {end}"
            why = f"在 {event['via']} 内（{period}）" if zh else f"inside {event['via']} ({period})"
    remarks = []
    if not event["in_force"]:
        remarks.append("已被更正或冲回" if zh else "corrected or reversed")
    remarks += [_FLAGS[f][0 if zh else 1] for f in event["flags"] if f in _FLAGS]
    if event["replacement"]:
        remarks.append(f"{event['replacement']['old']} → {event['replacement']['new']}")
    if event["after"] and event["before"] != event["after"]:
        before = label(event["before"], lang) if event["before"] else "—"
        remarks.insert(0, f"{before} → {label(event['after'], lang)}")
    title = event["title"] + (f" · {event['bill_no']}" if event["bill_no"] else "")
    tone = "warn" if not event["in_force"] else _TONES.get(event["after"] or "", "")
    return {
        "time": _shown(event["happened_at"]),
        "recorded": _shown(event["recorded_at"]),
        "title": title,
        "place": place,
        "text": "；".join(remarks),
        "href": f"/bills/{event['bill_id']}" if event["bill_id"] and event["bill_type"] > 6 else "",
        "tone": tone,
        "observed": event["certainty"] == "observed",
        "why": why,
    }


_FLAGS = {
    "late": ("迟报", "uploaded late"),
    "out_of_order": ("晚于后续记录上传", "out of order"),
    "time_runs_back": ("时间早于前一记录", "earlier than the record before it"),
    "no_notice": ("含无上游信息的货品", "with goods nobody announced"),
    "reversal": ("冲回", "reversal"),
    "correction": ("更正", "correction"),
}


def _shown(text: str | None) -> str:
    return minute(datetime.fromisoformat(text)) if text else "—"


def _tree(body: dict[str, Any], now: dict[str, Any], zh: bool) -> list[dict[str, Any]]:
    """Nested nodes for the tree macro; what was taken out hangs where it was."""
    nodes: dict[str, dict[str, Any]] = {}
    roots: list[dict[str, Any]] = []
    for item in body["items"]:
        node = {
            "code": item["code"],
            "level": item["level"]["name"] if zh or item["level"]["number"] < 90 else "logistics unit",
            "status": now["status"]["code"] if item["code"] == body["code"] else "",
            "count": f"×{item['qty']:,}" if item["qty"] != 1 else None,
            "note": "",
            "href": f"/trace?code={quote(item['code'], safe='')}" if item["code"] != body["code"] else "",
            "current": item["code"] == body["code"],
            "children": [],
            "open": item["depth"] < 2,
        }
        nodes[item["code"]] = node
        above = nodes.get(item["parent"]) if item["code"] != body["code"] else None
        (above["children"] if above is not None else roots).append(node)
    for gone in body["taken_out"][:TREE_SHOWN]:
        above = nodes.get(gone["parent"])
        node = {
            "code": gone["code"],
            "level": "",
            "note": "已取出" if zh else "taken out",
            "href": f"/trace?code={quote(gone['code'], safe='')}",
            "children": [],
        }
        (above["children"] if above is not None else roots).append(node)
    return roots


@router.get("/trace/batch")
async def batch_page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug: Annotated[str, Query(max_length=20)] = "",
    batch: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Where a batch is."""
    subject.require(service.SCOPE)
    body = None
    drug_id = number(drug)
    if drug_id is not None and batch.strip():
        body = await service.where(conn, registry_of(request), subject, drug_id, batch.strip())
    names = {letter: label(letter, language(request)) for letter in "AIOQSXCN"}
    return render(
        request,
        "trace/batch.html",
        {"body": body, "drug": drug, "batch": batch, "names": names, "shown": _shown},
    )
