"""Pages of 医保上报: what was reported and answered, what a bill gives, catalogue numbers of products (R-C6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import china, render, see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.exchange.yibao import service
from yaosu.exchange.yibao.api import AFTER, sheet
from yaosu.insurance.fields import codes_of, tables, transaction
from yaosu.registry.forms import Form
from yaosu.registry.parts import registry_of

router = APIRouter()

PAGE = 50
BillQuery = Annotated[int, Query(ge=1, le=2**63 - 1)]
HEAD_FIELDS = frozenset({"drugtracinfo", "fixmedins_bchno"})


def _name(infno: str, lang: str) -> str:
    one = transaction(infno)
    return infno if one is None else f"{infno} {one.zh if lang == 'zh' else one.en}"


@router.get("/yibao")
async def index(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    state: Annotated[Literal["", "owed", "done", "refused", "gone", "warned"], Query()] = "",
    after: Annotated[str, Query(pattern=AFTER)] = "",
) -> Response:
    """Rows that went out, by state, with the platform's words."""
    lang, registry = language(request), registry_of(request)
    counts = await service.overview(conn, subject)
    rows, more = await service.recent(conn, subject, state, after, PAGE)
    link = await service.own_link(conn, registry, subject)
    for row in rows:
        product = registry.product(row["drug_id"])
        row["product"] = product.generic_name if product is not None else f"#{row['drug_id']}"
        row["transaction"] = _name(row["infno"], lang)
        row["at"] = china(row["made_at"])
    context: dict[str, Any] = {
        "rows": rows,
        "states": counts["states"],
        "state": state,
        "link": link,
        "total": sum(counts["states"].values()),
        "next": f"/yibao?state={state}&after={more}" if more else "",
        "warned": counts["warned"],
        "may_manage": subject.can(service.MANAGE),
        "may_map": subject.can("exchange.read"),
    }
    return render(request, "yibao/index.html", context)


@router.get("/yibao/bill")
async def bill(request: Request, conn: Conn, subject: CurrentSubject, bill: BillQuery) -> Response:
    """What one bill gives."""
    lang, registry = language(request), registry_of(request)
    made = await service.preview(conn, registry, subject, bill)
    known = tables().fields
    shown = [
        {
            "bchno": row.fields.get("fixmedins_bchno", ""),
            "fields": [
                (known[n].zh if n in known and lang == "zh" else n, n, v)
                for n, v in row.fields.items()
                if n not in HEAD_FIELDS
            ],
            "codes": codes_of(row.fields),
            "findings": [{"message": f.text(lang), "next": f.next_step(lang)} for f in row.findings],
        }
        for row in made.rows
    ]
    context = {
        "made": made,
        "rows": shown,
        "transaction": _name(made.rows[0].infno, lang) if made.rows else "",
        "skipped": [f.text(lang) for f in made.skipped],
        "sent": made.sent,
        "name_of": lambda infno: _name(infno, lang),
        "settles": made.bill.kind == "use" and bool(made.rows),
    }
    return render(request, "yibao/bill.html", context)


@router.get("/yibao/bill.xlsx")
async def workbook(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill: BillQuery,
    form: Annotated[Literal["stock", "settlement"], Query()] = "stock",
) -> Response:
    """The rows as a workbook, for a HIS that reports itself."""
    registry = registry_of(request)
    if form == "settlement":
        listed = await service.settlement_rows(conn, registry, subject, bill, {})
        columns = ["feedetl_sn", "drug_trac_codg", "trdn_flag", "min_prcunt_type"]
        return await sheet(f"2207-{bill}", columns, [[one[c] for c in columns] for one in listed])
    made = await service.preview(conn, registry, subject, bill)
    return await sheet(f"yibao-{bill}", *service.as_table(made))


@router.get("/yibao/mapping")
async def mapping(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Catalogue numbers."""
    return await _mapping_page(request, conn, subject)


async def _mapping_page(
    request: Request, conn: Conn, subject: CurrentSubject, error: YaosuError | None = None
) -> Response:
    registry = registry_of(request)
    found = await service.mapping(conn, registry, subject)
    context = {
        "items": found,
        "missing": sum(1 for one in found if not one["complete"]),
        "link": await service.own_link(conn, registry, subject),
        "may_manage": subject.can(service.MANAGE),
        "problem": error.as_json(language(request)) if error is not None else None,
    }
    return render(request, "yibao/mapping.html", context, error.http if error is not None else 200)


@router.post("/yibao/mapping")
async def put_mapping(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """One product's numbers."""
    form = await Form.of(request)
    line = service.Mapped(
        form.number("drug_id") or 0,
        form.text("fixmedins_hilist_id"),
        form.text("med_list_codg"),
        form.text("fixmedins_hilist_name"),
        form.text("price"),
    )
    try:
        await service.put_mapping(conn, registry_of(request), subject, [line])
    except YaosuError as error:
        if error.http in (401, 403):
            raise
        return await _mapping_page(request, conn, subject, error)
    return see_other("/yibao/mapping")


@router.post("/yibao/stock")
async def stock(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Report the stock of today."""
    await service.report_stock(conn, registry_of(request), subject)
    return see_other("/yibao")
