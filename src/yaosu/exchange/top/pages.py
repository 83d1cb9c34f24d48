"""The gateway's addresses, and the page of the app keys."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import Response

from yaosu.access.scopes import roles_for
from yaosu.edge import problem
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.state import state
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.top import batch, catalogue, downloads, gateway, keys, words
from yaosu.exchange.top import methods_retail_drugs as drugs
from yaosu.exchange.top.parts import aliases_of, keys_of, sealing_of
from yaosu.exchange.top.protocol import Refused
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()
router.include_router(downloads.router)

ADDRESSES = ("/router/rest", "/top/router/rest", "/router/rest/", "/gw/router/rest")
"""Where published clients send calls, on whatever host they are told."""
BATCHES = ("/router/batch", "/top/router/batch", "/router/batch/", "/gw/router/batch")
"""Where they send many calls in one request."""

AppKey = Annotated[str, Path(pattern=r"^[0-9]{8}$")]


async def rest(request: Request) -> Response:
    """One call of the protocol."""
    return await gateway.serve(request, state(request))


for _address in ADDRESSES:
    router.add_api_route(_address, rest, methods=["GET", "POST"], include_in_schema=False)


async def many(request: Request) -> Response:
    """A batch of calls of the protocol."""
    return await batch.serve(request, state(request))


for _address in BATCHES:
    router.add_api_route(_address, many, methods=["POST"], include_in_schema=False)


def _refused(request: Request, error: YaosuError) -> Response:
    """What was refused before the gateway saw it (size, unreadable address), in the protocol's form."""
    text = Finding(error.code, error.params).text("zh")
    known = words.words().refused.get(error.code)
    if known is not None and error.http == 503:
        no = Refused(known[1], text, known[0])
    else:
        no = Refused(f"isv.{error.code.replace('_', '-')}", text, 43, "Parameter Error")
    request_id = getattr(request.state, "request_id", "") or gateway.new_request_id()
    xml = request.query_params.get("format") != "json"
    media = "text/xml;charset=UTF-8" if xml else "application/json;charset=UTF-8"
    return Response(gateway.refusal(no, request_id, xml=xml), headers={"content-type": media})


for _address in (*ADDRESSES, *BATCHES):
    problem.OWN_FORMS[_address] = _refused


async def _page(
    request: Request,
    conn: Conn,
    subject: Subject,
    error: YaosuError | None = None,
    shown_once: tuple[str, str] | None = None,
    form: Mapping[str, Any] | None = None,
) -> Response:
    registry = registry_of(request)
    alias = (await aliases_of(request).of(state(request).pool, [subject.org]))[subject.org]
    card = registry.org(subject.org)
    sub_type = card.sub_type if card is not None else None
    context = {
        "keys": await keys.listed(conn, subject),
        "posts": [(r.id, r.label(problem.language(request))) for r in roles_for(subject.org_type, sub_type)],
        "alias": alias,
        "org": card,
        "address": state(request).settings.public_url + ADDRESSES[0],
        "done": catalogue.counted(),
        "error": error.as_json(problem.language(request)) if error is not None else None,
        "shown_once": shown_once,
        "form": form or {},
    }
    return render(request, "exchange/top/keys.html", context, status=error.http if error is not None else 200)


@router.get("/top")
async def key_page(request: Request, subject: CurrentSubject, conn: Conn) -> Response:
    """App keys of the own organisation, its two names, and the address."""
    subject.require(keys.SCOPE)
    return await _page(request, conn, subject)


@router.post("/top/keys")
async def add_key(
    request: Request,
    subject: CurrentSubject,
    conn: Conn,
    title: Annotated[str, Form(max_length=200)] = "",
    role: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """A new key; its secret is shown this once."""
    try:
        made, secret = await keys.add(conn, registry_of(request), sealing_of(request), subject, title, role)
    except YaosuError as error:
        return await _page(request, conn, subject, error, form={"title": title, "role": role})
    return await _page(request, conn, subject, shown_once=(made.app_key, secret))


@router.post("/top/keys/{app_key}/rotate")
async def rotate_key(
    request: Request,
    app_key: AppKey,
    subject: CurrentSubject,
    conn: Conn,
    keep_hours: Annotated[int, Form()] = 24,
) -> Response:
    """A new secret; the old one goes on for some hours."""
    try:
        secret = await keys.rotate(conn, sealing_of(request), subject, app_key, keep_hours)
    except YaosuError as error:
        return await _page(request, conn, subject, error)
    keys_of(request).forget(app_key)
    return await _page(request, conn, subject, shown_once=(app_key, secret))


@router.post("/top/keys/{app_key}/take-over")
async def take_over_key(request: Request, app_key: AppKey, subject: CurrentSubject, conn: Conn) -> Response:
    """Another account answers for the key."""
    try:
        await keys.take_over(conn, subject, app_key)
    except YaosuError as error:
        return await _page(request, conn, subject, error)
    keys_of(request).forget(app_key)
    return see_other("/top")


@router.post("/top/keys/{app_key}/revoke")
async def revoke_key(request: Request, app_key: AppKey, subject: CurrentSubject, conn: Conn) -> Response:
    """The end of a key."""
    await keys.revoke(conn, subject, app_key)
    keys_of(request).forget(app_key)
    return see_other("/top")


@router.get("/top/key-drugs/{token}.csv")
async def key_drugs(request: Request, token: Annotated[str, Path(max_length=80)]) -> Response:
    """The list of key drugs, for whoever was given the address by the gateway within the hour."""
    app = state(request)
    if not drugs.good_link(app.parts["master_secret"], token, time.time()):
        raise YaosuError("not_found", {"what": "该地址"})
    headers = {"content-disposition": 'attachment; filename="key-drugs.csv"'}
    return Response(drugs.key_drugs_csv(registry_of(request)), media_type="text/csv", headers=headers)
