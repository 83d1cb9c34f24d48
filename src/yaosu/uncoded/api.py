"""The uncoded account over the API: dates, lots, proofs, entries, the account as a document (R-C8, R-D1)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, File, Path, Query, Request, Response, UploadFile

from yaosu.access.openapi import problems
from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.papers import docx, pdf, xlsx
from yaosu.registry.parts import registry_of
from yaosu.uncoded import api_ends, imports, intake, paper, service
from yaosu.uncoded.api_common import (
    MEDIA,
    XLSX,
    LotId,
    OrgQuery,
    answered,
    as_json,
    doors_of,
    filed,
    read_file,
)
from yaosu.uncoded.examples import LOT
from yaosu.uncoded.model import Opening
from yaosu.uncoded.schemas import AttachIn, OpeningIn, deadline_view, lot_view, supplier_of

router = APIRouter(prefix="/uncoded", tags=["uncoded"])
router.include_router(api_ends.router)

LOTS_MAX = 500


@router.get(
    "/deadlines",
    summary="Dates of the uncoded account",
    description="From which day what is blocked for the organisation in its region, and until when historical stock is "
    "to be cleared, each with the days left and its source (lists `deadline`, `exemption`).",
    responses=answered(
        {
            "items": [
                {
                    "code": "uncoded_stock_cleared",
                    "title": "历史无码库存清理完成",
                    "date": "2026-02-28",
                    "days_left": 49,
                    "source": "新疆2025征求意见稿（五）",
                }
            ]
        }
    ),
)
async def deadlines(request: Request, subject: CurrentSubject) -> Response:
    """The count-down (R-D1)."""
    subject.require("stock.read")
    return as_json({"items": [deadline_view(d) for d in service.dates(registry_of(request), subject)]})


@router.get(
    "/lots",
    summary="Lots of uncoded stock",
    description="Every purchase of goods without codes, by product and batch, the oldest first: age, proof, place, "
    "what entered and what is left. `id` is null for goods that entered without a proof.",
    responses=answered({"items": [LOT], "next": None, "total_left": 97}),
)
async def lots(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    drug_id: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    batch_no: Annotated[CleanText, Query(max_length=64)] = "",
    q: Annotated[CleanText, Query(description="part of a product, batch, invoice, supplier or zone")] = "",
    open: Annotated[bool, Query(description="only lots with goods left")] = True,
    org: OrgQuery = None,
    after: Annotated[int, Query(ge=0, le=10_000_000, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=LOTS_MAX)] = 100,
) -> Response:
    """The 专帐 (R-D1)."""
    registry = registry_of(request)
    wanted = service.Filter(drug_id, batch_no, q, open)
    found = service.chosen(registry, await service.book(conn, registry, subject, org, drug_id), wanted)
    page = found[after : after + limit]
    day = service.today()
    return as_json(
        {
            "items": [lot_view(registry, lot, day) for lot in page],
            "next": str(after + limit) if len(found) > after + limit else None,
            "total_left": sum(lot.left for lot in found),
        }
    )


@router.get(
    "/lots/{lot_id}",
    summary="A lot of uncoded stock",
    description="One lot with every bill that took from it.",
    responses=answered({**LOT, "draws": []}, "not_found"),
)
async def lot(request: Request, conn: Conn, subject: CurrentSubject, lot_id: LotId) -> Response:
    """One lot."""
    registry = registry_of(request)
    found = await service.lot(conn, registry, subject, lot_id)
    return as_json(lot_view(registry, found, service.today(), draws=True))


@router.post(
    "/proofs",
    status_code=201,
    summary="Upload a proof of purchase",
    description="PDF, JPEG or PNG, at most 5 MB; the content decides, not the name. The same bytes twice are "
    "one proof.",
    responses=answered(
        {"id": 3}, "uncoded_proof_empty", "uncoded_proof_large", "uncoded_proof_kind", status=201
    ),
)
async def put_proof(conn: Conn, subject: CurrentSubject, file: Annotated[UploadFile, File()]) -> Response:
    """Keep a proof (R-D1)."""
    made = await service.keep_proof(conn, subject, await read_file(file), file.filename or "")
    return as_json({"id": made}, 201)


@router.get(
    "/proofs/{proof_id}",
    summary="A proof of purchase",
    description="The file, as it was uploaded.",
    response_class=Response,
    responses={
        200: {"content": {"application/pdf": {}, "image/jpeg": {}, "image/png": {}}},
        **problems("unauthenticated", "forbidden", "not_found"),
    },
)
async def proof(
    conn: Conn, subject: CurrentSubject, proof_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """The bytes."""
    found = await service.proof(conn, subject, proof_id)
    return filed(found["body"], found["name"], found["media"])


@router.post(
    "/lots",
    status_code=201,
    summary="Enter goods without codes",
    description="Goods of one purchase invoice enter by quantity as one bill (type 21) with their proof. The date of "
    "the invoice decides what the region's dates allow; never-coded products are free.",
    responses=answered(
        {"bill_no": "WR-20260110-0001", "bill_id": 4711, "lot_ids": [5], "qty": 120},
        "uncoded_invalid",
        "uncoded_purchase_blocked",
        "bill_conflict",
        status=201,
    ),
)
async def open_account(request: Request, body: OpeningIn, subject: CurrentSubject) -> Response:
    """Open the account (R-C8, R-B3)."""
    doors = doors_of(request)
    made = await intake.open_account(doors, subject, body.opening(doors.registry), await request.body())
    return as_json(
        {"bill_no": made.bill_no, "bill_id": made.bill_id, "lot_ids": made.lot_ids, "qty": made.qty}, 201
    )


@router.post(
    "/lots/papers",
    status_code=201,
    summary="Add the papers of goods that entered without",
    description="For 无码入库 bills that came through `POST /movements`: supplier, invoice, place and proof.",
    responses=answered({"lot_ids": [5]}, "uncoded_invalid", "not_found", status=201),
)
async def attach(request: Request, conn: Conn, body: AttachIn, subject: CurrentSubject) -> Response:
    """Papers later."""
    registry = registry_of(request)
    one = Opening(
        invoice_no=body.invoice_no,
        invoice_date=body.invoice_date,
        items=(),
        zone=body.zone,
        proof_id=body.proof_id,
        supplier=supplier_of(registry, body.supplier),
        supplier_name=body.supplier_name,
    )
    return as_json({"lot_ids": await intake.attach(conn, registry, subject, body.bill_no, one)}, 201)


@router.get(
    "/imports/template",
    summary="Template of the import file",
    description="XLSX with Chinese headings and a row of notes.",
    response_class=Response,
    responses={200: {"content": {XLSX: {}}}, **problems("unauthenticated", "forbidden")},
)
async def import_template(subject: CurrentSubject) -> Response:
    """The template."""
    subject.require("uncoded.open")
    return filed(await asyncio.to_thread(imports.template), "无码库存.xlsx", XLSX)


@router.post(
    "/imports",
    status_code=201,
    summary="Enter historical stock from a file",
    description="XLSX, or CSV in UTF-8 or GB18030, at most 2,000 rows, with the proofs as further files (named in the "
    "column 凭证文件; a single proof serves all rows). One bill per invoice; all rows or none, with an error per cell. "
    "The same file twice enters nothing twice.",
    responses=answered(
        {"bills": [{"bill_no": "WR-20250612-9f2c41aa01bc23de", "bill_id": 4711, "lot_ids": [5], "qty": 120}]},
        "uncoded_import_bad",
        "import_file_unreadable",
        "import_too_large",
        "uncoded_proof_empty",
        "uncoded_proof_kind",
        "uncoded_proof_large",
        status=201,
    ),
)
async def import_file(
    request: Request,
    subject: CurrentSubject,
    file: Annotated[UploadFile, File()],
    proofs: Annotated[list[UploadFile], File(max_length=50)],
) -> Response:
    """Bulk entry (R-D1)."""
    kept = [(p.filename or "", await read_file(p)) for p in proofs]
    data = await read_file(file, 32)
    made = await imports.import_file(doors_of(request), subject, data, file.filename or "", kept)
    bills = [{"bill_no": m.bill_no, "bill_id": m.bill_id, "lot_ids": m.lot_ids, "qty": m.qty} for m in made]
    return as_json({"bills": bills}, 201)


@router.get(
    "/book",
    summary="The account as a document",
    description="无码药品专帐 with lots, dates and what left, as XLSX, PDF or DOCX.",
    response_class=Response,
    responses={
        200: {"content": {media: {} for media in MEDIA.values()}},
        **problems("unauthenticated", "forbidden"),
    },
)
async def book(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    format: Literal["xlsx", "pdf", "docx"] = "xlsx",
    open: Annotated[bool, Query(description="only lots with goods left")] = False,
    org: OrgQuery = None,
) -> Response:
    """Export (R-D1)."""
    subject.require("export.read")
    registry = registry_of(request)
    found = service.chosen(
        registry, await service.book(conn, registry, subject, org), service.Filter(open=open)
    )
    owner = service.org_of(subject, org)
    day = service.today()
    made = paper.account(
        registry, owner, found, service.dates(registry, subject, org), day, language(request)
    )
    render = {"xlsx": xlsx.render, "pdf": pdf.render, "docx": docx.render}[format]
    return filed(await asyncio.to_thread(render, made), f"无码药品专帐-{day}.{format}", MEDIA[format])
