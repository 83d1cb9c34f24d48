"""医保 from the institution's side over the API: rows of a bill, codes of a settlement, the mapping (R-C6, R-C7)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.exchange.yibao import service
from yaosu.exchange.yibao.channel import Yibao
from yaosu.papers import xlsx
from yaosu.papers.model import Paper, Table
from yaosu.people.parts import keeper_of
from yaosu.registry.parts import registry_of

AFTER = r"^([0-9]{1,18}(:[A-Za-z0-9-]{1,30})?)?$"
"""Where a list goes on: `next` of the part before."""

router = APIRouter(prefix="/yibao", tags=["yibao"])

BillQuery = Annotated[int, Query(ge=1, le=2**63 - 1, description="Number of the bill (bill_id).")]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
STATES = ("", "owed", "done", "refused", "gone")

ROW = {
    "infno": "3505",
    "fields": {
        "med_list_codg": "XA02BCA216A001010104475",
        "fixmedins_hilist_id": "D001",
        "fixmedins_bchno": "Y1024-1",
        "manu_lotnum": "240101",
        "sel_retn_cnt": 2,
        "trdn_flag": "0",
        "psn_name": "＊",
        "drugtracinfo": [{"drug_trac_codg": "83857930000000123456"}],
    },
    "findings": [],
}


def answered(example: object, *codes: str) -> dict[int | str, dict[str, Any]]:
    """Responses with an example and the documented refusals."""
    return {
        200: {"description": "OK", "content": {"application/json": {"example": example}}},
        **problems("unauthenticated", "forbidden", "invalid_request", *codes),
    }


def as_json(value: object) -> Response:
    """An answer written by orjson."""
    return Response(orjson.dumps(value, default=str), media_type="application/json")


class MappingLine(BaseModel):
    """Catalogue number of one product."""

    drug_id: int = Field(ge=1, le=2**31 - 1, description="Our product.")
    fixmedins_hilist_id: str = Field(min_length=1, max_length=30, description="机构目录编号")
    med_list_codg: str = Field("", max_length=50, description="医疗目录编码; empty: the linked 医保 code")
    fixmedins_hilist_name: str = Field(
        "", max_length=200, description="机构目录名称; empty: the product's name"
    )
    price: str = Field("", max_length=17, description="unit price for rows that need one, e.g. 12.50")


class MappingIn(BaseModel):
    """Lines of the mapping."""

    lines: list[MappingLine] = Field(min_length=1, max_length=service.MAPPINGS_MAX)

    model_config = {
        "json_schema_extra": {
            "example": {"lines": [{"drug_id": 7, "fixmedins_hilist_id": "D001", "price": "12.50"}]}
        }
    }


@router.get(
    "/preview",
    summary="Rows a bill gives the medical insurance",
    description="The rows of 3501–3506 as they stand for a bill of the organisation now, with what is missing, what is "
    "not reported and why, and what already went out. Persons' fields stand as asterisks.",
    responses=answered(
        {
            "bill_id": 1024, "bill_no": "S-1", "profile": "national", "connected": True, "rows": [ROW], "skipped": [],
            "sent": [{"bchno": "Y1024-1", "infno": "3505", "state": "done", "said": "成功", "warned": ""}],
        },
        "not_found",
    ),
)  # fmt: skip
async def preview(request: Request, conn: Conn, subject: CurrentSubject, bill: BillQuery) -> Response:
    """What the bill gives."""
    made = await service.preview(conn, registry_of(request), subject, bill)
    return as_json(view(made, language(request)))


def view(made: service.Preview, lang: str) -> dict[str, Any]:
    """A preview as answers and the command line give it."""
    return {
        "bill_id": made.bill.id,
        "bill_no": made.bill.bill_no,
        "type": made.bill.type,
        "profile": made.profile.code,
        "connected": made.connected,
        "rows": [row.as_json(lang) for row in made.rows],
        "skipped": [{"code": f.code, "message": f.text(lang)} for f in made.skipped],
        "sent": [
            {k: r[k] for k in ("bchno", "infno", "state", "said", "warned", "batch_no", "split")}
            | {"count": float(r["count"]), "codes": r["codes"], "taken_back": bool(r["gone_key"])}
            for r in made.sent
        ],
    }


@router.get(
    "/rows",
    summary="Rows of a bill for a HIS that reports itself",
    description="`form=stock`: the rows of the bill's transaction, as `input` of the `A` form (JSON) or one line for "
    "each code (XLSX). `form=settlement`: `drug_trac_info` of 2207 for a sale; `feedetl_sn` is taken from `fee` "
    "(`code=number` or `drug_id=number`, several), else made from bill number and line.",
    responses=answered(
        {
            "drug_trac_info": [
                {
                    "feedetl_sn": "F1",
                    "drug_trac_codg": "83857930000000123456",
                    "trdn_flag": "0",
                    "min_prcunt_type": "1",
                }
            ]
        },
        "not_found",
        "yibao_no_settlement",
    ),
)
async def rows(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill: BillQuery,
    form: Annotated[Literal["stock", "settlement"], Query()] = "stock",
    format: Annotated[Literal["json", "xlsx"], Query()] = "json",
    fee: Annotated[list[CleanText] | None, Query(max_length=200)] = None,
) -> Response:
    """The rows as a file or as JSON."""
    registry = registry_of(request)
    if form == "settlement":
        numbers = dict(part.split("=", 1) for part in fee or () if "=" in part)
        listed = await service.settlement_rows(conn, registry, subject, bill, numbers)
        if format == "json":
            return as_json({"drug_trac_info": listed})
        columns = ["feedetl_sn", "drug_trac_codg", "trdn_flag", "min_prcunt_type"]
        return await sheet(f"2207-{bill}", columns, [[one[c] for c in columns] for one in listed])
    made = await service.preview(conn, registry, subject, bill)
    if format == "xlsx":
        columns, lines = service.as_table(made)
        return await sheet(f"yibao-{made.bill.id}", columns, lines)
    return as_json(service.as_input(made))


async def sheet(name: str, columns: list[str], lines: list[list[str]]) -> Response:
    """A workbook of one table."""
    paper = Paper(title="医保追溯码上报数据", blocks=[Table(columns, lines)], landscape=True)
    data = await asyncio.to_thread(xlsx.render, paper)
    headers = {
        "content-disposition": f'attachment; filename="{name}.xlsx"',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-store",
    }
    return Response(data, media_type=XLSX, headers=headers)


@router.get(
    "/reported",
    summary="Rows that went out",
    description="The organisation's rows by state: `owed` not yet answered, `done`, `refused`, `gone` (withdrawn), "
    "latest first; `said` is the platform's answer word for word, `warned` what it doubts of a row that it took "
    "(`state=warned` lists these).",
    responses=answered(
        {
            "counts": {"done": 120, "refused": 1},
            "warned": 1,
            "items": [
                {
                    "bchno": "Y1024-1",
                    "bill_id": 1024,
                    "infno": "3505",
                    "state": "done",
                    "said": "成功",
                    "warned": "83857930000123456789：疑似回流药",
                }
            ],
            "next": None,
        }
    ),
)
async def reported(
    conn: Conn,
    subject: CurrentSubject,
    only: Annotated[Literal["", "owed", "done", "refused", "gone", "warned"], Query(alias="state")] = "",
    after: Annotated[str, Query(pattern=AFTER)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """What went out and what was answered."""
    counts = await service.overview(conn, subject)
    items, last = await service.recent(conn, subject, only, after, limit)
    for one in items:
        one["made_at"] = one["made_at"].isoformat()
    return as_json(
        {"counts": counts["states"], "warned": counts["warned"], "items": items, "next": last or None}
    )


@router.get(
    "/mapping",
    summary="Catalogue numbers of products",
    description="Products in stock or mapped before, those without a number first. A row cannot be sent without "
    "医疗目录编码 and 机构目录编号.",
    responses=answered(
        {
            "items": [
                {
                    "drug_id": 7, "name": "奥美拉唑肠溶胶囊", "package": "20mg 14粒/盒",
                    "med_list_codg": "XA02BCA216A001010104475", "choices": ["XA02BCA216A001010104475"],
                    "fixmedins_hilist_id": "D001", "fixmedins_hilist_name": "", "price": "12.50", "complete": True,
                }
            ],
            "next": None,
        }
    ),
)  # fmt: skip
async def mapping(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The mapping."""
    return as_json({"items": await service.mapping(conn, registry_of(request), subject), "next": None})


@router.put(
    "/mapping",
    summary="Enter catalogue numbers",
    description="All lines or none. Deliveries that waited for a number go when they are tried again.",
    responses=answered({"lines": 1}, "yibao_no_connection", "yibao_mapping_invalid"),
)
async def put_mapping(request: Request, conn: Conn, subject: CurrentSubject, body: MappingIn) -> Response:
    """Enter numbers."""
    lines = [
        service.Mapped(m.drug_id, m.fixmedins_hilist_id, m.med_list_codg, m.fixmedins_hilist_name, m.price)
        for m in body.lines
    ]
    return as_json({"lines": await service.put_mapping(conn, registry_of(request), subject, lines)})


@router.post(
    "/stock",
    summary="Report the stock (3501)",
    description="Deliveries of 3501/3501A with what is in stock now, by product and batch; once a day.",
    responses=answered({"rows": 42}, "yibao_no_connection"),
)
async def stock(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Report the stock."""
    return as_json({"rows": await service.report_stock(conn, registry_of(request), subject)})


@router.post(
    "/sign-out",
    summary="Sign out at the platform (9002)",
    description="Ends the number of today's sign-in (9001), which connections that ask for it make by themselves "
    "before the first call of a day. `signed_out` false: nobody signed in today. The next call signs in anew.",
    responses=answered(
        {"signed_out": True}, "yibao_no_connection", "yibao_sign_out_refused", "connection_secret_unreadable"
    ),
)
async def sign_out(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Sign out."""
    link = await service.open_own(conn, registry_of(request), keeper_of(request), subject)
    return as_json({"signed_out": await Yibao(state(request)).sign_out(link)})
