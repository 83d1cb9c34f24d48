"""Products, filings, trace systems and resolving over the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from yaosu.access.openapi import problems
from yaosu.codes import NotACode, parse
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.errors import YaosuError
from yaosu.registry import service
from yaosu.registry.api_common import After, Fresh, Limit, Number, Words, cursor
from yaosu.registry.parts import registry_of
from yaosu.registry.schemas import (
    FilingBody,
    FilingChange,
    FilingOut,
    FilingsOut,
    ProductBody,
    ProductChange,
    ProductOut,
    ProductsOut,
    SystemBody,
    SystemOut,
    SystemsOut,
)
from yaosu.registry.schemas_lists import ResolutionOut

router = APIRouter(tags=["registry"])


@router.get(
    "/products",
    summary="Products",
    description="`q` in generic name, trade name or approval number; `code` finds by any linked code (多码关联).",
    response_model=ProductsOut,
    responses=problems("unauthenticated", "forbidden", "invalid_request"),
)
async def list_products(
    conn: Conn,
    subject: CurrentSubject,
    q: Words = "",
    code: Words = "",
    own: Annotated[bool, Query(description="only those of the own organisation")] = False,
    after: After = 0,
    limit: Limit = 50,
) -> Any:
    """Search or page through products."""
    if code:
        found = await service.find_product(conn, subject, code)
        return ProductsOut(items=[ProductOut.of(p) for p in found], next=None)
    found = await service.list_products(conn, subject, after, q, own, limit)
    return ProductsOut(items=[ProductOut.of(p) for p in found], next=cursor([p.id for p in found], limit))


@router.post(
    "/products",
    status_code=201,
    summary="Register a product",
    description="For its holder, manufacturer, the holder's domestic responsible person, or the operator.",
    response_model=ProductOut,
    responses=problems(
        "unauthenticated", "forbidden", "product_not_yours", "product_invalid", "product_code_taken"
    ),
)
async def create_product(fresh: Fresh, conn: Conn, subject: CurrentSubject, body: ProductBody) -> Any:
    """Register a product with ladder and linked codes."""
    return ProductOut.of(await service.create_product(conn, subject, body.draft()))


@router.get(
    "/products/{drug_id}",
    summary="One product",
    description="Basic data, ladder and linked codes.",
    response_model=ProductOut,
    responses=problems("unauthenticated", "forbidden", "product_not_found"),
)
async def get_product(conn: Conn, subject: CurrentSubject, drug_id: Number) -> Any:
    """One product."""
    return ProductOut.of(await service.get_product(conn, subject, drug_id))


@router.put(
    "/products/{drug_id}",
    summary="Change a product",
    description="Levels with codes in use keep identifier, scheme and content.",
    response_model=ProductOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "product_not_found",
        "product_not_yours",
        "product_invalid",
        "product_code_taken",
        "ladder_in_use",
        "stale_version",
    ),
)
async def update_product(
    fresh: Fresh, conn: Conn, subject: CurrentSubject, drug_id: Number, body: ProductChange
) -> Any:
    """Change a product."""
    return ProductOut.of(await service.update_product(conn, subject, drug_id, body.draft(), body.version))


@router.get(
    "/filings",
    summary="Filings of code rules",
    description="The own organisation's; all for operator and regulators.",
    response_model=FilingsOut,
    responses=problems("unauthenticated", "forbidden", "invalid_request"),
)
async def list_filings(conn: Conn, subject: CurrentSubject, after: After = 0, limit: Limit = 50) -> Any:
    """A page of filings."""
    found = await service.list_filings(conn, subject, after, limit)
    return FilingsOut(items=[FilingOut.of(f) for f in found], next=cursor([f.id for f in found], limit))


@router.post(
    "/filings",
    status_code=201,
    summary="File a code rule",
    description="Before any code is requested (R-A1). Overlap with another filing is refused and names it.",
    response_model=FilingOut,
    responses=problems(
        "unauthenticated", "forbidden", "filing_not_yours", "filing_invalid", "filing_overlaps"
    ),
)
async def create_filing(fresh: Fresh, conn: Conn, subject: CurrentSubject, body: FilingBody) -> Any:
    """File a code rule."""
    return FilingOut.of(await service.file_rule(conn, subject, body.draft()))


@router.get(
    "/filings/{filing_id}",
    summary="One filing",
    description="Of the own organisation; any for operator and regulators.",
    response_model=FilingOut,
    responses=problems("unauthenticated", "forbidden", "filing_not_found"),
)
async def get_filing(conn: Conn, subject: CurrentSubject, filing_id: Number) -> Any:
    """One filing."""
    return FilingOut.of(await service.get_filing(conn, subject, filing_id))


@router.put(
    "/filings/{filing_id}",
    summary="Change or withdraw a filing",
    description="Withdrawn (`status` 0): no further codes, those on boxes still resolve.",
    response_model=FilingOut,
    responses=problems(
        "unauthenticated",
        "forbidden",
        "filing_not_found",
        "filing_not_yours",
        "filing_invalid",
        "filing_overlaps",
        "filing_prefix_in_use",
        "stale_version",
    ),
)
async def update_filing(
    fresh: Fresh, conn: Conn, subject: CurrentSubject, filing_id: Number, body: FilingChange
) -> Any:
    """Change a filing."""
    return FilingOut.of(await service.refile(conn, subject, filing_id, body.draft(), body.version))


@router.get(
    "/trace-systems",
    summary="Trace systems",
    description="Ours first, then the others whose codes are recognised (R-A4).",
    response_model=SystemsOut,
    responses=problems("unauthenticated", "forbidden"),
)
async def list_systems(conn: Conn, subject: CurrentSubject) -> Any:
    """All trace systems."""
    return SystemsOut(items=[SystemOut.of(s) for s in await service.list_systems(conn, subject)])


@router.put(
    "/trace-systems",
    summary="Register a trace system of others",
    description="For the platform's operator; the same name changes operator and address.",
    response_model=SystemOut,
    responses=problems("unauthenticated", "forbidden", "filing_invalid"),
)
async def put_system(fresh: Fresh, conn: Conn, subject: CurrentSubject, body: SystemBody) -> Any:
    """Register a trace system."""
    made = await service.put_system(conn, subject, body.name, body.operator, body.query_url)
    return SystemOut.of(made)


@router.get(
    "/resolve/{raw:path}",
    summary="Resolve a scanned text",
    description="Any scanner text, percent-encoded: which product and package level, or which other trace system. "
    "A text that is no trace code is refused with the likely cause.",
    response_model=ResolutionOut,
    responses=problems("unauthenticated", "forbidden", "code_is_retail_barcode"),
)
async def resolve(
    request: Request, subject: CurrentSubject, raw: Annotated[str, Path(examples=["83857930000879766660"])]
) -> Any:
    """Resolve one code by its prefix; nothing is said about the single package."""
    subject.require("product.read")
    registry = registry_of(request)
    code = parse(raw, registry.customs)
    if isinstance(code, NotACode):
        raise YaosuError(code.code, code.params)
    found = registry.resolve(code)
    product = registry.product(found.drug_id) if found.drug_id is not None else None
    level = product.level(found.level) if product is not None and found.level is not None else None
    return ResolutionOut(
        text=code.text,
        scheme=code.scheme.value,
        prefix=code.prefix,
        serial=code.serial,
        batch=code.batch,
        expiry=code.expiry,
        kind=found.kind,
        drug_id=found.drug_id,
        generic_name=product.generic_name if product is not None else None,
        level=found.level,
        level_name=level.name if level is not None else None,
        units_per=level.units_per if level is not None else None,
        system=SystemOut.of(found.system) if found.system is not None else None,
        query_url=found.query_url,
    )
