"""Verbs of the operator: feed a regulator, see how it stands, reconcile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from yaosu.db.engine import Connection
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.jianguan import form
from yaosu.exchange.jianguan import store_feed as store
from yaosu.exchange.jianguan.compare import Reconciler, Result, named
from yaosu.exchange.jianguan.feed import NAME
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.store import ONE
from yaosu.people.keeper import Keeper
from yaosu.registry.service_lists import current
from yaosu.subject import Subject

SHOWN = 10
"""Differing events of a reconciliation that are shown by name."""
EVER = datetime(2008, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FeedDraft:
    """A regulator that is to be fed. `org`: the firm that runs this trace system."""

    org: int
    source_id: str
    key: str
    url: str = ""
    profile: str = "national"
    region: str = ""
    title: str = ""
    history: bool = True


@dataclass(frozen=True, slots=True)
class Feed:
    """How a feed stands."""

    link: connections.Known
    numbered: int
    held: int
    failures: int
    said: str
    sent_at: datetime | None
    last_check: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """The form of API answers; never the key."""
        last = self.last_check
        return {
            "id": self.link.id,
            "title": self.link.title,
            "profile": self.link.profile,
            "region": self.link.region,
            "state": self.link.state,
            "url": self.link.url,
            "source_id": str(self.link.account.get("source_id", "")),
            "numbered": self.numbered,
            "held": self.held,
            "waiting": self.numbered - self.held,
            "failures": self.failures,
            "said": self.said,
            "sent_at": self.sent_at.isoformat() if self.sent_at else None,
            "last_check": {
                "equal": last["equal"],
                "first": last["first"],
                "last": last["last"],
                "at": last["at"].astimezone(form.CHINA).isoformat(),
            }
            if last
            else None,
        }


async def add(
    conn: Connection, subject: Subject, keeper: Keeper, draft: FeedDraft, allowed: Collection[str]
) -> int:
    """Feed a regulator from now on, with all before where `history` says so; the feed's number. Operator only."""
    subject.require("registry.admin")
    await connections.check_org(conn, draft.org)
    profile = (await current(conn)).item("jianguan_profile", draft.profile)
    if profile is None:
        raise YaosuError("field_invalid", {"field": "profile", "reason": draft.profile or "—"})
    widest = str(profile.attrs.get("for_region") or "")
    region = draft.region or widest
    if not region.startswith(widest):
        raise YaosuError("field_invalid", {"field": "region", "reason": f"{draft.region} ≠ {widest}"})
    acting = Subject(
        subject.kind,
        subject.account_id,
        draft.org,
        role=subject.role,
        scopes=frozenset({"*"}),
        lang=subject.lang,
    )
    made = await connections.add(
        conn,
        acting,
        keeper,
        NAME,
        draft.title or "药品监管系统",
        draft.url,
        {"source_id": draft.source_id},
        {"key": draft.key},
        draft.profile,
        region,
        True,
        since=EVER if draft.history else None,
        allowed=allowed,
    )
    await conn.execute(store.ENSURE, made)
    return made


async def feeds(conn: Connection, subject: Subject) -> list[Feed]:
    """All feeds. Operator only."""
    subject.require("registry.admin")
    found = []
    for row in await conn.fetch(store.LINKS):
        one = await conn.fetchrow(ONE, row["id"])
        state = await conn.fetchrow(store.FEED, row["id"])
        checks = await conn.fetch(store.CHECKS, row["id"], 1)
        assert one is not None
        found.append(
            Feed(
                connections.known(one),
                state["seq"] if state else 0,
                state["acked"] if state else 0,
                state["fails"] if state else 0,
                state["said"] if state else "",
                state["sent_at"] if state else None,
                dict(checks[0]) if checks else None,
            )
        )
    return found


async def checks(conn: Connection, subject: Subject, number: int) -> list[dict[str, Any]]:
    """Reconciliations of a feed, newest first. Operator only."""
    subject.require("registry.admin")
    if await conn.fetchrow(store.FEED, number) is None:
        raise _missing(subject)
    found = [dict(r) for r in await conn.fetch(store.CHECKS, number, 50)]
    numbers = sorted({n for c in found for n in c["differing"][:SHOWN]})
    names = {e["seq"]: e for e in await named(conn, number, numbers)}
    return [{**c, "events": [names[n] for n in c["differing"][:SHOWN] if n in names]} for c in found]


async def reconcile(app: AppState, subject: Subject, number: int, full: bool = True) -> Result | None:
    """Compare both sides now. Operator only. Refused: `not_found`, `jianguan_no_answer`."""
    subject.require("registry.admin")
    async with app.pool.acquire() as conn:
        if await conn.fetchrow(store.FEED, number) is None:
            raise _missing(subject)
        link = await connections.open_link(conn, app.parts["keeper"], number)
    return await Reconciler(app, link).run(full)


def _missing(subject: Subject) -> YaosuError:
    return YaosuError("not_found", {"what": "监管接口" if subject.lang == "zh" else "Feed"})
