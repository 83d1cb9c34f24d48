"""Locks and suspensions over the API (R-E4, R-B5)."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from yaosu.circulation.schemas import org_id
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.problem import language
from yaosu.recall import examples, locks, service, store_lock, views
from yaosu.recall.api_common import Before, Limit, OrderId, answered, as_json
from yaosu.recall.schemas import LockIn, ReasonIn
from yaosu.registry.parts import registry_of
from yaosu.subject import Subject

router = APIRouter()


async def _shown(
    request: Request, conn: Connection, subject: Subject, lock_id: int, status: int = 200
) -> Response:
    lock = await locks.shown(conn, subject, lock_id)
    goods = (await store_lock.goods(conn, [lock_id]))[lock_id]
    return as_json(views.lock_view(registry_of(request), lock, goods, language(request)), status)


@router.get(
    "/locks",
    summary="Locks and suspensions",
    description="Those in force that concern the caller, newest first; with `released=true` the released ones too.",
    responses=answered({"items": [examples.LOCK], "next": None}),
)
async def listed(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    released: bool = False,
    before: Before = None,
    limit: Limit = 50,
) -> Response:
    """Locks, newest first."""
    found = await locks.listed(conn, subject, None if released else True, before or service.NEWEST, limit + 1)
    page = found[:limit]
    goods = await store_lock.goods(conn, [lock.id for lock in page])
    registry, lang = registry_of(request), language(request)
    items = [views.lock_view(registry, lock, goods[lock.id], lang) for lock in page]
    return as_json({"items": items, "next": page[-1].id if len(found) > limit else None})


@router.post(
    "/locks",
    status_code=201,
    summary="Lock goods or suspend their sale",
    description="A lock binds everybody: by the product's firm or the office in charge of it; another office locks the "
    "goods of one holder (`org`) or single codes in its region. A suspension is a firm's own and binds its own bills. "
    "In force with the answer.",
    responses=answered(
        examples.LOCK,
        "recall_not_yours",
        "lock_beyond_remit",
        "lock_reason_unknown",
        "stops_too_many_codes",
        "not_found",
        "body_too_large",
        "malformed_body",
        status=201,
    ),
)
async def place(request: Request, subject: CurrentSubject, body: LockIn, conn: Conn) -> Response:
    """Stop goods."""
    registry = registry_of(request)
    made = await locks.place(
        conn,
        registry,
        subject,
        kind=body.kind,
        drug_id=body.drug_id,
        batch_nos=body.batches,
        codes=body.codes,
        reason=body.reason,
        reason_text=body.reason_text,
        org=org_id(registry, "org", body.org),
    )
    return await _shown(request, conn, subject, made, 201)


@router.get(
    "/locks/{lock_id}",
    summary="One lock or suspension",
    description="What is stopped, by whom, why, and its release.",
    responses=answered(examples.LOCK, "not_found"),
)
async def one(request: Request, conn: Conn, subject: CurrentSubject, lock_id: OrderId) -> Response:
    """One of them."""
    return await _shown(request, conn, subject, lock_id)


@router.post(
    "/locks/{lock_id}/release",
    summary="Release goods",
    description="By whoever placed it, or a superior office for an office's lock; holders are told the reason.",
    responses=answered(
        examples.LOCK, "not_found", "lock_not_yours", "lock_released", "body_too_large", "malformed_body"
    ),
)
async def release(
    request: Request, subject: CurrentSubject, lock_id: OrderId, body: ReasonIn, conn: Conn
) -> Response:
    """Let goods move again."""
    await locks.release(conn, registry_of(request), subject, lock_id, body.reason)
    return await _shown(request, conn, subject, lock_id)
