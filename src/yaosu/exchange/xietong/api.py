"""The coordination platform over the API: systems that take part, what is filed, mailboxes, and how a client stands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from yaosu.access.types import CleanText, IntId
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.exchange.frames import answers, listed, paged
from yaosu.exchange.outbox.schemas import BackfillStateIn, SinceIn
from yaosu.exchange.xietong import client, hub, protocol, views
from yaosu.exchange.xietong.hub import SystemDraft

router = APIRouter(prefix="/xietong", tags=["xietong"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Url = Annotated[CleanText, Field(max_length=500)]
Cursor = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Limit = Annotated[int, Query(ge=1, le=200)]

SYSTEM_EXAMPLE = {
    "id": 1,
    "app_id": "xt3f0a9c1d2e4b5a67",
    "name": "药溯",
    "operator": "药溯运营有限公司",
    "usc_id": "91370102000000011K",
    "resolver_url": "https://trace.example/xietong/resolve",
    "query_url": "https://trace.example/q/",
    "receive_url": "https://trace.example/xietong/exchange",
    "signs_with": "HMAC-SM3",
    "state": "active",
    "mailbox": {"last": 120, "taken": 120, "waiting": 0},
    "push": {"failures": 0, "said": ""},
    "refused": {"count": 0, "last": ""},
    "seen_at": "2026-09-30T10:12:32+08:00",
    "made_at": "2026-01-05T09:00:00+08:00",
}


class SystemIn(BaseModel):
    """A trace system that takes part."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "药溯",
                    "operator": "药溯运营有限公司",
                    "usc_id": "91370102000000011K",
                    "query_url": "https://trace.example/q/",
                    "receive_url": "https://trace.example/xietong/exchange",
                }
            ]
        },
    )
    name: Annotated[CleanText, Field(min_length=1, max_length=100)]
    operator: Annotated[CleanText, Field(max_length=100)] = ""
    usc_id: Annotated[CleanText, Field(max_length=40)] = ""
    resolver_url: Url = ""
    query_url: Annotated[
        Url, Field(description="`{code}` is replaced; after `/` or `=` the code is put.")
    ] = ""
    receive_url: Annotated[Url, Field(description="Where events are pushed to; empty: the system pulls.")] = (
        ""
    )
    public_key: Annotated[
        CleanText, Field(max_length=200, description="SM2 public key; where given, it must sign with it.")
    ] = ""
    state: Literal["active", "held", "ended"] = "active"

    def draft(self) -> SystemDraft:
        """The value for the service."""
        return SystemDraft(**self.model_dump())


class ConnectIn(BaseModel):
    """Take part in a platform that has registered us."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "org": 1,
                    "url": "https://xietong.example",
                    "app_id": "xt3f0a9c1d2e4b5a67",
                    "key": "key-as-shown-once-here",
                }
            ]
        },
    )
    org: IntId
    url: Annotated[CleanText, Field(min_length=8, max_length=500)]
    app_id: Annotated[CleanText, Field(min_length=1, max_length=64)]
    key: Annotated[CleanText, Field(min_length=16, max_length=200)]
    private_key: Annotated[str, Field(max_length=2000)] = ""
    title: Annotated[CleanText, Field(max_length=100)] = ""
    since: Annotated[
        AwareDatetime | None,
        Field(description="Also tell activations and movements recorded from then on; none: only new ones."),
    ] = None


@router.get(
    "/systems",
    summary="Trace systems that take part",
    description="Platform's operator: every registered system with its mailbox and what was refused of it.",
    responses=answers({"items": [SYSTEM_EXAMPLE], "next": None}),
)
async def systems(conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """Everybody who takes part."""
    return listed([s.as_json() for s in await hub.systems(conn, subject)])


@router.post(
    "/systems",
    summary="Register a trace system",
    description="Answers with its app_id and key; the key is shown this once. Its mailbox begins with all base data.",
    responses=answers(
        {**SYSTEM_EXAMPLE, "key": "key-as-shown-once-here"},
        "xietong_name_taken",
        "xietong_url",
        "xietong_field",
    ),
)
async def register(request: Request, body: SystemIn, conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """A system takes part from now on (R-A1)."""
    system, key = await hub.register(conn, subject, state(request).parts["keeper"], body.draft())
    return {**system.as_json(), "key": key}


@router.put(
    "/systems/{number}",
    summary="Change a trace system",
    description="Addresses, SM2 key and state; `held` and `ended` systems are neither heard nor told.",
    responses=answers(SYSTEM_EXAMPLE, "not_found", "xietong_url", "xietong_field"),
)
async def change(number: Number, body: SystemIn, conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """Change what was registered."""
    return (await hub.change(conn, subject, number, body.draft())).as_json()


@router.post(
    "/systems/{number}/key",
    summary="A new key for a trace system",
    description="Shown this once; the old one ends at once.",
    responses=answers({"key": "key-as-shown-once-here"}, "not_found"),
)
async def renew(request: Request, number: Number, conn: Conn, subject: CurrentSubject) -> dict[str, str]:
    """A new shared key."""
    return {"key": await hub.renew_key(conn, subject, state(request).parts["keeper"], number)}


@router.get(
    "/rules",
    summary="Filed code rules",
    description="Platform's operator: every code rule with its filing number, firm and system.",
    responses=answers(
        {
            "items": [
                {
                    "id": 1,
                    "filing_no": "XT00000001",
                    "scheme": "cn20",
                    "prefixes": ["8385793"],
                    "firm": "91370102000000011K",
                    "firm_name": "测试制药有限公司",
                    "system": "药溯",
                    "status": 1,
                }
            ],
            "next": None,
        }
    ),
)
async def rules(
    conn: Conn,
    subject: CurrentSubject,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Limit = 100,
) -> dict[str, Any]:
    """What is filed (R-A1, R-A4)."""
    items = await views.rules(conn, subject, after, limit)
    return paged(items, limit)


@router.get(
    "/events",
    summary="Events taken by the platform",
    description="Platform's operator: newest first, with the number of systems each was distributed to.",
    responses=answers(
        {
            "items": [
                {
                    "id": 9,
                    "event_id": "5e0c2f53-7d0e-4d0c-9a52-3b1f1f6a9d11",
                    "event_type": 20,
                    "sub_type": "2002",
                    "usc_id": "91370102000000011K",
                    "system": "药溯",
                    "bytes": 512,
                    "sent_to": 1,
                    "received_at": "2026-09-30T10:12:32+08:00",
                }
            ],
            "next": None,
        }
    ),
)
async def events(
    conn: Conn, subject: CurrentSubject, before: Cursor = None, limit: Limit = 100
) -> dict[str, Any]:
    """What came."""
    items = await views.events(conn, subject, before, limit)
    return paged(items, limit)


@router.get(
    "/connections",
    summary="How we stand with coordination platforms",
    description="Operator of a trace system: what is filed, due or refused, and what came from the platform.",
    responses=answers(
        {
            "items": [
                {
                    "connection": {"id": 3, "channel": "xietong", "title": "药品追溯协同服务平台"},
                    "filed": {
                        "firm": {"filed": 12},
                        "rule": {"filed": 3},
                        "product": {"filed": 5, "refused": 1},
                    },
                    "inbox": {"done": 240, "waiting": 1},
                    "pulled": 241,
                    "asked_at": "2026-09-30T10:12:32+08:00",
                    "said": "ok 成功",
                    "backfill": {
                        "since": "2026-01-01T00:00:00+08:00",
                        "state": "running",
                        "bills": 1200,
                        "percent": 41,
                        "started_at": "2026-09-30T09:00:00+08:00",
                        "ended_at": None,
                    },
                }
            ],
            "next": None,
        }
    ),
)
async def standings(conn: Conn, subject: CurrentSubject) -> dict[str, Any]:
    """Filed, due, refused, received."""
    return listed([s.as_json() for s in await client.standings(conn, subject)])


@router.post(
    "/connections",
    summary="Take part in a coordination platform",
    description="With the app_id and key that its operator gave us. From now on base data are filed, application data "
    "of other systems' codes are sent, and what is for us is fetched.",
    responses=answers({"id": 3}, "connection_url_refused", "connection_too_many"),
)
async def connect(request: Request, body: ConnectIn, conn: Conn, subject: CurrentSubject) -> dict[str, int]:
    """The client's side (R-B9)."""
    app = state(request)
    made = await client.connect(
        conn,
        subject,
        app.parts["keeper"],
        body.org,
        body.url,
        body.app_id,
        body.key,
        body.private_key,
        body.title,
        app.settings.webhook_hosts,
        body.since,
    )
    return {"id": made}


@router.post(
    "/connections/{number}/backfill",
    summary="Tell a coordination platform what was recorded before",
    description="Activations and movements recorded since then go out in order, a portion at a time, so that new data "
    "do not wait for them; what was sent is not sent twice. `backfill` of the connection says how it stands.",
    responses=answers({"count": 1204}, "not_found", "invalid_request"),
)
async def backfill(number: Number, body: SinceIn, conn: Conn, subject: CurrentSubject) -> dict[str, int]:
    """From the beginning, or from a day on."""
    return {"count": await client.backfill(conn, subject, number, body.since)}


@router.post(
    "/connections/{number}/backfill/state",
    summary="Pause telling what was recorded before, or go on",
    description="It keeps its place.",
    responses=answers({"id": 3, "state": "paused"}, "not_found", "invalid_request"),
)
async def backfill_state(
    number: Number, body: BackfillStateIn, conn: Conn, subject: CurrentSubject
) -> dict[str, Any]:
    """Paused or running."""
    await client.backfill_state(conn, subject, number, body.state)
    return {"id": number, "state": body.state}


@router.get(
    "/connections/{number}/filed",
    summary="What is filed with a platform",
    description="Firms, code rules and products, what is not filed first, with the platform's answer word for word.",
    responses=answers(
        {
            "items": [
                {
                    "kind": "rule",
                    "key": "3",
                    "ours": 3,
                    "state": "refused",
                    "said": "xietong_taken 8385793 已由追溯系统“乙”（某企业）备案。",
                    "filing_no": "",
                    "tries": 1,
                }
            ],
            "next": None,
        }
    ),
)
async def filed(
    number: Number,
    conn: Conn,
    subject: CurrentSubject,
    only: Annotated[str, Query(pattern="^(due|filed|refused)?$")] = "",
    cursor: Annotated[int, Query(ge=0, le=10**9, description="`next` of the page before")] = 0,
    limit: Limit = 200,
) -> dict[str, Any]:
    """Filed status (R-A1)."""
    items = await views.filed(conn, subject, number, only, limit, cursor)
    return listed(items, cursor + limit if len(items) == limit else None)


@router.get(
    "/connections/{number}/inbox",
    summary="What came from a platform",
    description="Newest first: what was booked, what waits for something that has not come yet, what was refused.",
    responses=answers(
        {
            "items": [
                {
                    "id": 7,
                    "n": 7,
                    "event_id": "5e0c2f53-7d0e-4d0c-9a52-3b1f1f6a9d11",
                    "sub_type": "2003",
                    "state": "done",
                    "bill_id": 4711,
                    "said": {},
                }
            ],
            "next": None,
        }
    ),
)
async def inbox(
    number: Number,
    conn: Conn,
    subject: CurrentSubject,
    only: Annotated[str, Query(pattern="^(waiting|done|partly|refused)?$")] = "",
    before: Cursor = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """What other systems told us."""
    items = await views.inbox(conn, subject, number, only, before, limit)
    return paged(items, limit)


@router.post(
    "/inbox/{number}/retry",
    summary="Book an event again",
    description="For events that wait or were refused, after what was missing has been mended.",
    responses=answers({"id": 7}, "not_found"),
)
async def retry(request: Request, number: Number, conn: Conn, subject: CurrentSubject) -> dict[str, int]:
    """Try once more."""
    await views.retry(conn, subject, number)
    state(request).parts["xietong.wake"].set()
    return {"id": number}


@router.get(
    "/resolve",
    summary="The home of a code",
    description="The trace system a code belongs to, its resolver and its public query page (R-A4); the same is public "
    "at `/xietong/resolve`.",
    responses=answers(
        {
            "code": "83857930000879766660",
            "prefix": "8385793",
            "scheme": "cn20",
            "app_id": "xt3f0a9c1d2e4b5a67",
            "system": "药溯",
            "operator": "药溯运营有限公司",
            "resolver_url": "https://trace.example/xietong/resolve",
            "query_url": "https://trace.example/q/83857930000879766660",
        },
        "xietong_resolve_unknown",
    ),
)
async def resolve(
    request: Request, subject: CurrentSubject, code: Annotated[str, Query(min_length=1, max_length=2048)]
) -> dict[str, Any]:
    """Longest prefix, every scheme."""
    subject.require("product.read")
    found = await protocol.home_of(request, code)
    if found is None:
        raise YaosuError("xietong_resolve_unknown", {"code": code[:60]})
    return found.as_json()
