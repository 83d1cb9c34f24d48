"""Files that a method answers with an address of: product lists and 落地 files, by a link that names its reader.

The link is signed with the master secret, good for a day, and says whose file it is; who has it may read that file, as
with the incumbent, whose production lines fetch files without signing.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import hmac
import io
import time
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu.edge.state import state
from yaosu.exchange.top.values_goods import barcode69, product_code
from yaosu.registry.parts import registry_of
from yaosu.registry.resolver import Registry

GOOD_FOR_S = 24 * 3600
PRODUCTS, PRODUCT_XML, BILL = "products", "product.xml", "bill"

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Link:
    """What a link is for: `org` may read the file `kind`, `ref` naming which (a bill's id)."""

    org: int
    kind: str
    ref: int = 0


def token(master: bytes, link: Link, now: float | None = None) -> str:
    """A link's signed text."""
    until = int((now if now is not None else time.time()) + GOOD_FOR_S)
    text = f"{link.org}.{link.kind}.{link.ref}.{until}"
    sign = hmac.digest(master, f"yaosu top file {text}".encode(), hashlib.sha256)[:18]
    return (
        base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        + "."
        + base64.urlsafe_b64encode(sign).decode()
    )


def opened(master: bytes, given: str, now: float | None = None) -> Link | None:
    """What a signed text is for; None when it is none of ours, changed, or too old."""
    head, _, tail = given.partition(".")
    try:
        text = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode("ascii")
        sign = base64.urlsafe_b64decode(tail)
    except (binascii.Error, ValueError):
        return None
    wanted = hmac.digest(master, f"yaosu top file {text}".encode(), hashlib.sha256)[:18]
    if not hmac.compare_digest(sign, wanted):
        return None
    org, rest = text.split(".", 1)
    kind, ref, until = rest.rsplit(".", 2)
    if int(until) < (now if now is not None else time.time()):
        return None
    return Link(int(org), kind, int(ref))


def products_csv(registry: Registry) -> bytes:
    """药品全量数据, a row per product and package level, columns in the published order, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    for product in sorted(registry.products().values(), key=lambda p: p.id):
        maker = registry.org(product.manufacturer_id)
        for level in product.levels:
            writer.writerow(
                [
                    product.id, product.physic_type, maker.name if maker else "", product.generic_name,
                    product.dosage_form, product.strength, product.package_size,
                    product.approval_no or product.import_cert_no, product.trade_name, level.identifier,
                    product.ratio, level.level, product_code(product),
                ]
            )  # fmt: skip
    return out.getvalue().encode()


def product_xml(registry: Registry, org: int) -> bytes:
    """product.xml for a production line: the products that the organisation answers for, with their ladders."""
    rows = ['<?xml version="1.0" encoding="utf-8"?>', '<Document Version="3.0"><Products>']
    for product in sorted(registry.products().values(), key=lambda p: p.id):
        if not product.owned_by(org) or not product.active:
            continue
        given = {
            "productCode": product_code(product),
            "subTypeNo": str(product.id),
            "productName": product.generic_name,
            "prodName": product.trade_name,
            "prepnType": product.dosage_form,
            "prepnSpec": product.strength,
            "packageSpec": product.package_size,
            "cascade": product.ratio,
            "approvalNo": product.approval_no or product.import_cert_no,
            "exprieLife": str(product.shelf_life),
            "exprieUnit": str(product.shelf_life_unit),
            "barcode69": barcode69(product) or "",
        }
        rows.append("<Product " + " ".join(f"{k}={quoteattr(v)}" for k, v in given.items()) + ">")
        for level in product.levels:
            rows.append(
                f'<Level packLayer="{level.level}" name={quoteattr(level.name)} '
                f'resCode={quoteattr(level.identifier)} amount="{level.units_per}"/>'
            )
        rows.append("</Product>")
    rows.append("</Products></Document>")
    return "\n".join(rows).encode()


@router.get("/top/files/{given}", include_in_schema=False)
async def download(request: Request, given: str) -> Response:
    """The file of a link; 404 for anything that is no valid link, without saying why."""
    app = state(request)
    link = opened(app.parts["master_secret"], given[:400])
    registry = registry_of(request)
    if link is None or registry.org(link.org) is None:
        return Response(status_code=404)
    if link.kind == PRODUCTS:
        return _file(products_csv(registry), "drugs.csv", "text/csv;charset=utf-8")
    if link.kind == PRODUCT_XML:
        return _file(product_xml(registry, link.org), "product.xml", "application/xml")
    if link.kind == BILL:
        from yaosu.exchange.top.landing import file_of

        found = await file_of(app.pool, registry, link.org, link.ref)
        if found is not None:
            return _file(found[1], found[0], "application/xml")
    return Response(status_code=404)


def _file(content: bytes, name: str, media: str) -> Response:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"}
    return Response(content, media_type=media, headers=headers)
