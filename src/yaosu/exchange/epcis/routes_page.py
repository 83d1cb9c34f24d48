"""The page for people: the address, the last captures, who is told what, and whose a GLN is."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.epcis import parties, store
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
Text = Annotated[str, Form(max_length=200)]
JOBS = 20


async def _page(
    request: Request,
    conn: Connection,
    subject: Subject,
    error: YaosuError | None = None,
    given: dict[str, str] | None = None,
) -> Response:
    subject.require("bill.read")
    registry = registry_of(request)
    rows = await conn.fetch(store.PARTIES_OF, subject.org)
    known: list[dict[str, Any]] = []
    for row in rows:
        card = registry.org(row["party"])
        known.append(
            {"gln": row["uri"], "name": card.name if card else "", "own": row["party"] == subject.org}
        )
    return render(
        request,
        "exchange/epcis.html",
        {
            "address": f"{state(request).settings.public_url}/epcis",
            "jobs": await store.jobs(conn, subject.org, None, JOBS),
            "subscriptions": await conn.fetch(store.OWN_SUBSCRIPTIONS, subject.org),
            "parties": known,
            "may_write": subject.can("bill.write"),
            "problem": error.as_json(language(request)) if error else None,
            "given": given or {"gln": "", "uscc": ""},
        },
        error.http if error else 200,
    )


@router.get("/help")
async def page(request: Request, conn: Conn, subject: CurrentSubject) -> Response:
    """What to do and what was done."""
    return await _page(request, conn, subject)


@router.post("/help")
async def put(
    request: Request, conn: Conn, subject: CurrentSubject, gln: Text = "", uscc: Text = ""
) -> Response:
    """Say whose a GLN is."""
    registry = registry_of(request)
    card = registry.org_by_uscc(uscc.strip().upper())
    try:
        if card is None:
            raise YaosuError("epcis_party_unknown", {"field": "uscc", "given": uscc[:40]})
        async with conn.transaction():
            await parties.put_party(conn, subject, registry, gln.strip(), card.id)
    except YaosuError as error:
        return await _page(request, conn, subject, error, {"gln": gln, "uscc": uscc})
    return see_other("/epcis/help")


@router.post("/help/unsubscribe")
async def unsubscribe(
    request: Request, conn: Conn, subject: CurrentSubject, subscription: Annotated[UUID, Form()]
) -> Response:
    """End a subscription, also one whose key is withdrawn: it belongs to the organisation."""
    subject.require("bill.write")
    if await conn.fetchval(store.DROP_OWN_SUBSCRIPTION, subject.org, subscription) is None:
        raise YaosuError("epcis_no_such", {"what": str(subscription)})
    return see_other("/epcis/help")
