"""Pages that enter goods without codes: one invoice by hand, a file of historical stock, papers brought later."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import Response

from yaosu.access.types import CleanText
from yaosu.circulation.pages_common import partners_of
from yaosu.circulation.views import product_name
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.errors import Finding, YaosuError
from yaosu.registry.forms import Form
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.uncoded import imports, intake, service
from yaosu.uncoded.api_common import XLSX, doors_of, filed, read_file
from yaosu.uncoded.model import Item, Opening
from yaosu.uncoded.pages_common import show
from yaosu.uncoded.schemas import deadline_view

router = APIRouter()

ROWS = 3
ROWS_MAX = 60
PROPOSED = 300
"""Products offered by name; others are named by any of their codes."""
FIELDS = ("drug", "batch_no", "qty", "produced_on", "expires_on", "zone")


async def _form(request: Request) -> tuple[FormData, Form]:
    data = await request.form(max_files=60, max_fields=600)
    return data, Form(data)


def _products(registry: Registry) -> list[tuple[int, str]]:
    found = [p for p in registry.products().values() if p.active]
    return [(p.id, product_name(registry, p.id)) for p in found[:PROPOSED]]


async def _entry_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    values: dict[str, Any],
    rows: int = ROWS,
    error: YaosuError | None = None,
) -> Response:
    registry = registry_of(request)
    supplier = values.get("supplier", "")
    card = registry.org(int(supplier)) if supplier.isdigit() and len(supplier) < 10 else None
    context = {
        "values": values,
        "rows": rows,
        "rows_max": ROWS_MAX,
        "products": _products(registry),
        "partners": await partners_of(request, conn, subject),
        "own": subject.org,
        "chosen": card,
        "dates": [deadline_view(d) for d in service.dates(registry, subject)],
    }
    return show(request, "new.html", context, error)


@router.get("/uncoded/new")
async def new(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """The form of one purchase invoice."""
    subject.require("uncoded.open")
    return await _entry_page(request, conn, subject, {})


@router.post("/uncoded/new")
async def create(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Enter it; with the button for more rows, show the form again."""
    subject.require("uncoded.open")
    data, form = await _form(request)
    values: dict[str, Any] = dict(form.back())
    rows = min(form.number("rows") or ROWS, ROWS_MAX)
    try:
        values["proof_id"] = str(await _proof(request, subject, data, form) or "")
        if form.ticked("more"):
            return await _entry_page(request, conn, subject, values, min(rows + 3, ROWS_MAX))
        one = _opening(registry_of(request), form, rows, values["proof_id"])
        opened = await intake.open_account(doors_of(request), subject, one)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _entry_page(request, conn, subject, values, rows, error)
    if len(opened.lot_ids) == 1:
        return see_other(f"/uncoded/lots/{opened.lot_ids[0]}")
    return see_other("/uncoded")


async def _proof(request: Request, subject: Subject, data: FormData, form: Form) -> int | None:
    """The proof sent with the form, kept at once: should the goods be refused, the form comes back with it."""
    file = data.get("proof")
    if isinstance(file, UploadFile) and file.filename:
        body = await read_file(file)
        async with doors_of(request).pool.acquire() as conn, conn.transaction():
            return await service.keep_proof(conn, subject, body, file.filename)
    return form.number("proof_id")


def _opening(registry: Registry, form: Form, rows: int, proof_id: str) -> Opening:
    """What was typed; refused (`uncoded_invalid`) with everything that could not be read."""
    items: list[Item] = []
    for n in range(rows):
        if not any(form.text(f"{name}_{n}") for name in FIELDS if name != "zone"):
            continue
        drug = imports.product_of(registry, form.text(f"drug_{n}"))
        if isinstance(drug, Finding):
            form.findings.append(Finding(drug.code, drug.params, f"drug_{n}"))
        qty = form.number(f"qty_{n}")
        items.append(
            Item(
                drug if isinstance(drug, int) else 0,
                form.text(f"batch_no_{n}"),
                qty or 0,
                form.day(f"produced_on_{n}"),
                form.day(f"expires_on_{n}"),
                form.text(f"zone_{n}"),
            )
        )
    bought = form.day("invoice_date")
    if bought is None:
        form.findings.append(Finding("value_missing", {"field": "发票日期"}, "invoice_date"))
    if not proof_id:
        form.findings.append(Finding("uncoded_proof_missing", {}, "proof"))
    form.refuse("uncoded_invalid")
    assert bought is not None
    return Opening(
        invoice_no=form.text("invoice_no"),
        invoice_date=bought,
        items=tuple(items),
        zone=form.text("zone"),
        proof_id=int(proof_id),
        supplier=_supplier(registry, form),
        supplier_name=form.text("supplier_name"),
    )


def _supplier(registry: Registry, form: Form) -> int | None:
    found = form.number("supplier")
    if found is not None and registry.org(found) is None:
        params = {"field": "supplier", "id": found}
        raise YaosuError("uncoded_invalid", {"count": 1}, [Finding("party_unknown", params, "supplier")])
    return found


@router.get("/uncoded/imports")
async def import_form(request: Request, subject: CurrentSubject) -> Response:
    """Choose a file and its proofs."""
    subject.require("uncoded.open")
    return show(request, "import.html", {"columns": imports.COLUMNS, "made": None})


@router.get("/uncoded/imports/template.xlsx")
async def import_template(subject: CurrentSubject) -> Response:
    """The template."""
    subject.require("uncoded.open")
    return filed(await asyncio.to_thread(imports.template), "无码库存.xlsx", XLSX)


@router.post("/uncoded/imports")
async def import_file(request: Request, subject: CurrentSubject) -> Response:
    """Enter every row of the file, or none."""
    subject.require("uncoded.open")
    data, _ = await _form(request)
    file = data.get("file")
    proofs = [p for p in data.getlist("proofs") if isinstance(p, UploadFile) and p.filename]
    context: dict[str, Any] = {"columns": imports.COLUMNS, "made": None}
    try:
        if not isinstance(file, UploadFile) or not file.filename:
            raise YaosuError("import_empty")
        kept = [(p.filename or "", await read_file(p)) for p in proofs]
        body = await read_file(file, 32)
        context["made"] = await imports.import_file(doors_of(request), subject, body, file.filename, kept)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return show(request, "import.html", context, error)
    return show(request, "import.html", context)


async def _papers_page(
    request: Request,
    conn: Connection,
    subject: Subject,
    bill_no: str,
    values: dict[str, Any],
    error: YaosuError | None = None,
) -> Response:
    registry = registry_of(request)
    lots = await service.book(conn, registry, subject)
    bare = [lot for lot in lots if lot.bill_no == bill_no]
    if not bare:
        raise service.not_found(subject, "无码入库单", "Uncoded receipt")
    first = bare[0]
    values = {
        "invoice_no": first.invoice_no,
        "invoice_date": first.invoice_date.isoformat() if first.invoice_date else "",
        "supplier_name": first.supplier_name,
        **values,
    }
    context = {
        "bill_no": bill_no,
        "lots": [(product_name(registry, lot.drug_id), lot.batch_no, lot.entered) for lot in bare],
        "values": values,
        "partners": await partners_of(request, conn, subject),
        "own": subject.org,
        "chosen": registry.org(first.supplier) if first.supplier is not None else None,
    }
    return show(request, "papers.html", context, error)


@router.get("/uncoded/papers")
async def papers(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    bill_no: Annotated[CleanText, Query(min_length=1, max_length=64)],
) -> Response:
    """The form for papers of goods that entered without."""
    subject.require("uncoded.open")
    return await _papers_page(request, conn, subject, bill_no, {})


@router.post("/uncoded/papers")
async def attach(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """Keep the papers."""
    subject.require("uncoded.open")
    data, form = await _form(request)
    bill_no = form.text("bill_no")
    values: dict[str, Any] = dict(form.back())
    try:
        proof_id = await _proof(request, subject, data, form)
        one = _opening(registry_of(request), form, 0, str(proof_id or ""))
        await intake.attach(conn, registry_of(request), subject, bill_no, one)
    except YaosuError as error:
        if error.http in (401, 403, 404):
            raise
        return await _papers_page(request, conn, subject, bill_no, values, error)
    return see_other("/uncoded")
