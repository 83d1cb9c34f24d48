"""Who may submit bills for whom: 委托储运 and other cases beyond a chain's own stores (R-B8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from yaosu.access import audit
from yaosu.circulation import store_delegation as store
from yaosu.circulation.views import org_view
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


async def listed(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
    """Delegations the organisation gave or holds, in force or not."""
    rows = await conn.fetch(store.LIST, subject.org)
    return [
        {
            "id": r["id"],
            "principal": org_view(registry, r["principal"]),
            "agent": org_view(registry, r["agent"]),
            "valid_from": r["valid_from"],
            "valid_until": r["valid_until"],
            "revoked_at": r["revoked_at"],
        }
        for r in rows
    ]


async def give(
    conn: Connection, registry: Registry, subject: Subject, agent: int, valid_until: datetime | None
) -> int:
    """Let `agent` submit in the subject's organisation's name; the delegation's number."""
    subject.require("grant.manage")
    if registry.org(agent) is None or agent == subject.org:
        finding = Finding("party_unknown", {"field": "agent", "id": agent}, "agent")
        raise YaosuError("invalid_request", {"count": 1}, [finding])
    made: int = await conn.fetchval(store.GIVE, subject.org, agent, valid_until, subject.account_id)
    await audit.record(conn, subject, "delegation.give", ("delegation", made), {"agent": agent})
    return made


async def withdraw(conn: Connection, subject: Subject, delegation_id: int) -> None:
    """End a delegation at once; by its principal."""
    subject.require("grant.manage")
    if await conn.fetchval(store.REVOKE, delegation_id, subject.org) is None:
        raise YaosuError("not_found", {"what": "委托授权" if subject.lang == "zh" else "Delegation"})
    await audit.record(conn, subject, "delegation.withdraw", ("delegation", delegation_id), {})
