"""Pages of products and filings."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from yaosu.access.types import CleanText
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import see_other
from yaosu.errors import YaosuError
from yaosu.registry import service
from yaosu.registry.api_common import After, Fresh, Number
from yaosu.registry.checks import LINK_KINDS
from yaosu.registry.drafts import FilingDraft, LevelDraft, LinkDraft, ProductDraft
from yaosu.registry.forms import Form
from yaosu.registry.model import Filing, Product
from yaosu.registry.pages_common import show
from yaosu.registry.roles import is_operator
from yaosu.registry.service_products import draft_of, managed_orgs
from yaosu.subject import Subject

router = APIRouter()
SIZE = 50
LEVEL_ROWS = 5
"""Levels offered in the form; ladders with more come by API or file."""

_NUMBERS = ("prep_units_per", "shelf_life", "mah_id", "manufacturer_id", "packer_id", "agent_id")
_SMALL = ("shelf_life_unit", "physic_type", "status")
_DAYS = ("approval_expires", "import_cert_expires", "import_permit_expires")


@router.get("/products")
async def products(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    q: Annotated[CleanText, Query()] = "",
    own: Annotated[bool, Query()] = False,
    after: After = 0,
) -> Response:
    """Products by name or any code."""
    items = await service.find_product(conn, subject, q) if q and not after else []
    by_code = bool(items)
    if not items:
        items = await service.list_products(conn, subject, after, q, own, SIZE)
    full = not by_code and len(items) == SIZE
    more = f"/products?after={items[-1].id}&own={int(own)}" if full and not q else ""
    context = {"items": items, "q": q, "own": own, "next": more, "by_code": by_code}
    return show(request, "products.html", context)


@router.get("/products/new")
async def new_product(request: Request, subject: CurrentSubject) -> Response:
    """The form of a new product."""
    subject.require("product.write")
    form = {"mah_id": subject.org_id or "", "manufacturer_id": subject.org_id or "", "prep_units_per": 1}
    return show(request, "product_form.html", _form_context(None, form))


@router.post("/products/new")
async def create(request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject) -> Response:
    """Register a product."""
    form = await Form.of(request)
    try:
        made = await service.create_product(conn, subject, _draft(form))
    except YaosuError as error:
        if error.http == 401 or error.code == "forbidden":
            raise
        return show(request, "product_form.html", _form_context(None, _back(form)), error)
    return see_other(f"/products/{made.id}")


@router.get("/products/{drug_id}")
async def one(request: Request, conn: Conn, subject: CurrentSubject, drug_id: Number) -> Response:
    """One product."""
    product = await service.get_product(conn, subject, drug_id)
    may = subject.can("product.write") and await managed_orgs(conn, subject, draft_of(product))
    return show(request, "product.html", {"product": product, "may_edit": may})


@router.get("/products/{drug_id}/edit")
async def edit(request: Request, conn: Conn, subject: CurrentSubject, drug_id: Number) -> Response:
    """The form of a product."""
    product = await service.get_product(conn, subject, drug_id)
    await _require_mine(conn, subject, product)
    return show(request, "product_form.html", _form_context(product, _values(product)))


@router.post("/products/{drug_id}/edit")
async def change(
    request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject, drug_id: Number
) -> Response:
    """Change a product."""
    form = await Form.of(request)
    product = await service.get_product(conn, subject, drug_id)
    await _require_mine(conn, subject, product)
    try:
        version = form.number("version") or 0
        await service.update_product(conn, subject, drug_id, _draft(form), version)
    except YaosuError as error:
        return show(request, "product_form.html", _form_context(product, _back(form)), error)
    return see_other(f"/products/{drug_id}")


async def _require_mine(conn: Any, subject: Subject, product: Product) -> None:
    subject.require("product.write")
    if not await managed_orgs(conn, subject, draft_of(product)):
        raise YaosuError("product_not_yours")


def _form_context(product: Product | None, form: dict[str, Any]) -> dict[str, Any]:
    return {
        "product": product,
        "form": form,
        "rows": range(1, LEVEL_ROWS + 1),
        "link_kinds": LINK_KINDS,
    }


def _values(product: Product) -> dict[str, Any]:
    draft = draft_of(product)
    values: dict[str, Any] = {f.name: getattr(draft, f.name) for f in fields(draft)}
    values["version"] = product.version
    values["flags"] = set(product.flags)
    for level in product.levels:
        n = level.level
        values |= {f"level_{n}_name": level.name, f"level_{n}_contains": level.contains}
        values |= {f"level_{n}_identifier": level.identifier, f"level_{n}_scheme": level.scheme}
    for kind in LINK_KINDS:
        values[f"link_{kind}"] = "\n".join(v for k, v, _ in product.links if k == kind)
    return values


def _back(form: Form) -> dict[str, Any]:
    return {**form.back(), "flags": set(form.several("flags"))}


def _draft(form: Form) -> ProductDraft:
    known = {f.name for f in fields(ProductDraft)}
    read = {*_NUMBERS, *_SMALL, *_DAYS, "flags", "levels", "links", "essential", "expiry_rule"}
    values: dict[str, Any] = {name: form.text(name) for name in known - read}
    for name in _NUMBERS:
        values[name] = form.number(name)
    for name in ("prep_units_per", "shelf_life", "mah_id", "manufacturer_id"):
        values[name] = values[name] or 0
    values |= {name: form.day(name) for name in _DAYS}
    values["shelf_life_unit"] = form.small("shelf_life_unit") or 0
    values["physic_type"] = form.small("physic_type") or 3
    status = form.small("status")
    values["status"] = 1 if status is None else status
    levels = []
    for n in range(1, LEVEL_ROWS + 1):
        identifier = form.text(f"level_{n}_identifier")
        contains = form.number(f"level_{n}_contains")
        if identifier or (n > 1 and contains is not None):
            scheme = form.text(f"level_{n}_scheme") or "cn20"
            held = contains if contains is not None else (1 if n == 1 else 0)
            levels.append(LevelDraft(n, held, identifier, scheme, form.text(f"level_{n}_name")))
    links = [LinkDraft(kind, value) for kind in LINK_KINDS for value in form.lines(f"link_{kind}")]
    form.refuse("product_invalid")
    return ProductDraft(
        **values,
        essential=form.ticked("essential"),
        expiry_rule=form.text("expiry_rule") or None,
        flags=frozenset(form.several("flags")),
        levels=tuple(levels),
        links=tuple(links),
    )


@router.get("/filings")
async def filings(request: Request, conn: Conn, subject: CurrentSubject, after: After = 0) -> Response:
    """Filings and the form of a new one."""
    return await _filings(request, conn, subject, after, None, {}, None)


@router.get("/filings/{filing_id}")
async def filing(request: Request, conn: Conn, subject: CurrentSubject, filing_id: Number) -> Response:
    """One filing in the form."""
    found = await service.get_filing(conn, subject, filing_id)
    return await _filings(request, conn, subject, 0, found, _filing_values(found), None)


@router.post("/filings")
async def file_rule(request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject) -> Response:
    """File a code rule."""
    form = await Form.of(request)
    try:
        await service.file_rule(conn, subject, _filing(form, subject))
    except YaosuError as error:
        if error.http == 401 or error.code == "forbidden":
            raise
        return await _filings(request, conn, subject, 0, None, dict(form.back()), error)
    return see_other("/filings")


@router.post("/filings/{filing_id}")
async def refile(
    request: Request, fresh: Fresh, conn: Conn, subject: CurrentSubject, filing_id: Number
) -> Response:
    """Change or withdraw a filing."""
    form = await Form.of(request)
    found = await service.get_filing(conn, subject, filing_id)
    try:
        draft = _filing(form, subject)
        await service.refile(conn, subject, filing_id, draft, form.number("version") or 0)
    except YaosuError as error:
        if error.http == 401 or error.code == "forbidden":
            raise
        return await _filings(request, conn, subject, 0, found, dict(form.back()), error)
    return see_other("/filings")


async def _filings(
    request: Request,
    conn: Any,
    subject: Subject,
    after: int,
    filing: Filing | None,
    form: dict[str, Any],
    error: YaosuError | None,
) -> Response:
    items = await service.list_filings(conn, subject, after, SIZE)
    context = {
        "items": items,
        "filing": filing,
        "form": form,
        "next": f"/filings?after={items[-1].id}" if len(items) == SIZE else "",
        "systems": await service.list_systems(conn, subject),
        "may_file": subject.can("product.write"),
        "operator": is_operator(subject),
        "today": date.today(),  # noqa: DTZ011 — a filing's day by the calendar where the server runs
    }
    return show(request, "filings.html", context, error)


def _filing_values(found: Filing) -> dict[str, Any]:
    values: dict[str, Any] = {f.name: getattr(found, f.name) for f in fields(found)}
    values["prefixes"] = "\n".join(found.prefixes)
    values["samples"] = "\n".join(found.samples)
    return values


def _filing(form: Form, subject: Subject) -> FilingDraft:
    status = form.small("status")
    filed_on = form.day("filed_on")
    scheme = form.text("scheme")
    draft = FilingDraft(
        org_id=form.number("org_id") or subject.org_id or 0,
        scheme=scheme,
        rule_text=form.text("rule_text"),
        filed_on=filed_on or date.today(),  # noqa: DTZ011 — left blank: filed today
        prefixes=tuple(form.lines("prefixes")) if scheme != "custom" else (),
        pattern=form.text("pattern"),
        pattern_upper=form.ticked("pattern_upper"),
        issuer=form.text("issuer"),
        samples=tuple(s for s in form.text("samples").splitlines() if s.strip()),
        system_id=form.number("system_id") or 0,
        query_url=form.text("query_url"),
        filing_no=form.text("filing_no"),
        status=1 if status is None else status,
    )
    form.refuse("filing_invalid")
    return draft
