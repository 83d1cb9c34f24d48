"""The regulator feed over the API: for the operator of a trace system, and for the regulator who receives."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText, IntId
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.state import state
from yaosu.exchange.frames import answers, listed
from yaosu.exchange.jianguan import held, service

router = APIRouter(prefix="/jianguan", tags=["jianguan"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]

FEED_EXAMPLE = {
    "id": 4,
    "title": "省药监局",
    "profile": "shandong",
    "region": "37",
    "state": "active",
    "url": "https://jianguan.example",
    "source_id": "src0a1b2c3d4e5f",
    "numbered": 1204,
    "held": 1204,
    "waiting": 0,
    "said": "jianguan_ok 已接收",
    "failures": 0,
    "last_check": {"equal": True, "first": 1, "last": 1204, "at": "2026-09-30T02:00:00+08:00"},
}
RESULT_EXAMPLE = {
    "first": 1,
    "last": 1204,
    "equal": True,
    "ours": {"count": 1204, "qty": 88000, "digest": "66c7f0f4…"},
    "theirs": {"count": 1204, "qty": 88000, "digest": "66c7f0f4…"},
    "differing": [],
    "extra": [],
    "days": [],
    "resent": 0,
    "questions": 1,
    "events": [],
}
SOURCE_EXAMPLE = {
    "id": 1,
    "source_id": "src0a1b2c3d4e5f",
    "name": "药溯",
    "region": "37",
    "state": "active",
    "told": 1204,
    "contiguous": 1204,
    "missing": 0,
    "refused": 0,
    "said": "",
    "seen_at": "2026-09-30T10:12:32+08:00",
    "made_at": "2026-01-05T09:00:00+08:00",
}


class FeedIn(BaseModel):
    """A regulator that is to be fed."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "org": 1,
                    "url": "https://jianguan.example",
                    "source_id": "src0a1b2c3d4e5f",
                    "key": "key-as-shown-once-here",
                    "profile": "shandong",
                    "region": "37",
                    "history": True,
                }
            ]
        },
    )
    org: IntId
    source_id: Annotated[CleanText, Field(min_length=1, max_length=64)]
    key: Annotated[CleanText, Field(min_length=16, max_length=200)]
    url: Annotated[CleanText, Field(max_length=500, description="Empty: the regulator pulls.")] = ""
    profile: Annotated[CleanText, Field(max_length=40)] = "national"
    region: Annotated[
        str, Field(pattern=r"^\d{0,6}$", description="Leading digits of GB/T 2260; empty: all.")
    ] = ""
    title: Annotated[CleanText, Field(max_length=100)] = ""
    history: Annotated[bool, Field(description="Also everything recorded before now.")] = True


class SourceIn(BaseModel):
    """A trace system that will feed us."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "药溯", "region": "37"}]}
    )
    name: Annotated[CleanText, Field(min_length=1, max_length=100)]
    region: Annotated[str, Field(pattern=r"^\d{0,6}$")] = ""


@router.get(
    "/feeds",
    summary="Regulator feeds",
    description="Operator: how far each feed is numbered, how far the regulator holds it, and the last reconciliation.",
    responses=answers({"items": [FEED_EXAMPLE], "next": None}),
)
async def feeds(conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """How the feeds stand (R-H1)."""
    return listed([f.as_json() for f in await service.feeds(conn, subject)])


@router.post(
    "/feeds",
    summary="Feed a regulator",
    description="With the sourceID and key that the regulator gave. Numbering begins at once.",
    responses=answers({"id": 4}, "connection_url_refused", "connection_too_many"),
)
async def add_feed(request: Request, body: FeedIn, conn: Conn, subject: CurrentSubject) -> dict[str, int]:
    """A new feed (R-F1, R-F2)."""
    app = state(request)
    made = await service.add(
        conn, subject, app.parts["keeper"], service.FeedDraft(**body.model_dump()), app.settings.webhook_hosts
    )
    return {"id": made}


@router.post(
    "/feeds/{number}/reconcile",
    summary="Reconcile a feed",
    description="Compares count, quantity and digest of everything the regulator holds, finds differing events, sends "
    "them again and compares once more. `null` when nothing was sent yet.",
    responses=answers(RESULT_EXAMPLE, "not_found", "jianguan_no_answer"),
)
async def reconcile(
    request: Request,
    number: Number,
    subject: CurrentSubject,
    full: Annotated[bool, Query(description="false: only what came after the last equal range.")] = True,
) -> dict[str, Any] | None:
    """Proof that both sides hold the same."""
    result = await service.reconcile(state(request), subject, number, full)
    return result.as_json() if result is not None else None


@router.get(
    "/feeds/{number}/checks",
    summary="Reconciliations of a feed",
    description="Newest first.",
    responses=answers({"items": [RESULT_EXAMPLE], "next": None}, "not_found"),
)
async def checks(number: Number, conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """What was compared and found."""
    return listed(held.plain(await service.checks(conn, subject, number)))


@router.get(
    "/sources",
    summary="Trace systems that feed us",
    description="Regulator: up to which number each is held without gaps.",
    responses=answers({"items": [SOURCE_EXAMPLE], "next": None}),
)
async def sources(conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """Completeness by source (R-F1)."""
    return listed([s.as_json() for s in await held.sources(conn, subject)])


@router.post(
    "/sources",
    summary="Register a trace system as source",
    description="Answers with its sourceID and key; the key is shown this once.",
    responses=answers(
        {**SOURCE_EXAMPLE, "key": "key-as-shown-once-here"},
        "jianguan_name_taken",
        "jianguan_head",
    ),
)
async def add_source(request: Request, body: SourceIn, conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """A source."""
    found, key = await held.register(conn, subject, state(request).parts["keeper"], body.name, body.region)
    return {**found.as_json(), "key": key}


@router.get(
    "/sources/{number}",
    summary="Completeness of one source",
    description="By business day: events, organisations, smallest packages; missing numbers; reconciliations.",
    responses=answers(
        {
            "source": SOURCE_EXAMPLE,
            "days": [{"day": "2026-09-30", "events": 120, "orgs": 8, "qty": 4100}],
            "gaps": [],
            "checks": [],
        },
        "not_found",
    ),
)
async def source(number: Number, conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """What a source sent, what is missing."""
    found = await held.completeness(conn, subject, number)
    return {
        "source": found["source"].as_json(),
        "days": held.plain(found["days"]),
        "gaps": found["gaps"],
        "checks": held.plain(found["checks"]),
    }


@router.post(
    "/sources/{number}/key",
    summary="A new key for a source",
    description="Shown this once; the old one ends at once.",
    responses=answers({"key": "key-as-shown-once-here"}, "not_found"),
)
async def renew_key(request: Request, number: Number, conn: Conn, subject: CurrentSubject) -> dict[str, str]:
    """A new shared key."""
    return {"key": await held.renew_key(conn, subject, state(request).parts["keeper"], number)}


@router.post(
    "/sources/{number}/end",
    summary="End a source",
    description="Nothing more is taken of it; what it sent stays on record.",
    responses=answers({**SOURCE_EXAMPLE, "state": "ended"}, "not_found"),
)
async def end_source(number: Number, conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """It feeds us no longer."""
    return (await held.end(conn, subject, number)).as_json()
