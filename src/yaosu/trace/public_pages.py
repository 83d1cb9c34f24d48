"""The public's page on a phone: typed, scanned as a plain code, or opened by a QR code on the box (R-G1)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from yaosu.edge.deps import Conn
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.registry.parts import registry_of
from yaosu.trace import public
from yaosu.trace.parts import take_public_query
from yaosu.trace.verify import minute

router = APIRouter()

CODE_CHARS_MAX = 2048
Text = Annotated[str, Path(max_length=CODE_CHARS_MAX)]

# a search engine that kept answers would publish them; they are for whoever has the box
_HEADERS = {"x-robots-tag": "noindex", "cache-control": "no-store"}


@router.get("/q")
async def ask(request: Request, code: Annotated[str, Query(max_length=CODE_CHARS_MAX)] = "") -> Response:
    """The box to type a code into; a typed code leads to its own address."""
    if code.strip():
        return see_other("/q/" + quote(code.strip(), safe=""))
    return render(request, "trace/query.html", {"answer": None, "code": ""}, headers=_HEADERS)


@router.get("/q/{code:path}")
async def answer(request: Request, conn: Conn, code: Text) -> Response:
    """What a consumer may know of a code."""
    return await _answer(request, conn, code)


@router.get("/c/{code:path}")
async def short(request: Request, conn: Conn, code: Text) -> Response:
    """The short address printed as a QR code: the same answer."""
    return await _answer(request, conn, code)


@router.get("/01/{gtin}/21/{serial:path}")
async def digital_link(request: Request, conn: Conn, gtin: Text, serial: Text) -> Response:
    """A GS1 Digital Link address on our own host."""
    return await _answer(request, conn, f"https://id.gs1.org/01/{gtin}/21/{quote(serial, safe='')}")


@router.get("/01/{gtin}/10/{batch}/21/{serial:path}")
async def digital_link_with_batch(
    request: Request, conn: Conn, gtin: Text, batch: Text, serial: Text
) -> Response:
    """The same with the batch in the path."""
    address = f"https://id.gs1.org/01/{gtin}/10/{quote(batch, safe='')}/21/{quote(serial, safe='')}"
    return await _answer(request, conn, address)


async def _answer(request: Request, conn: Conn, raw: str) -> Response:
    take_public_query(request)
    lang = language(request)
    parts = state(request).parts
    registry = registry_of(request)
    found = await public.query(conn, registry, parts["trace.counter"], raw, lang, stops=parts["stops"])
    status = 200 if found.unit is not None or found.home is not None else 404
    context = {
        "answer": found,
        "code": found.code or "",
        "finding": found.finding.text(lang),
        "advice": found.finding.next_step(lang),
        "notices": [n.text(lang) for n in found.notices],
        "first_at": minute(found.first_at),
        "home_url": found.home[1] if found.home and found.home[1].startswith(("https://", "http://")) else "",
    }
    return render(request, "trace/query.html", context, status, _HEADERS)
