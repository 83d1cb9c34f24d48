"""What members of a medical group hear of it; the rules are the registry's (`registry.groups`, R-C5)."""

from __future__ import annotations

from yaosu.db.engine import Connection
from yaosu.notify.service import tell_many
from yaosu.registry import groups
from yaosu.registry.groups import Group
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


async def _tell(
    conn: Connection, registry: Registry, group: Group, kind: str, to: list[int], ref: str, by: int
) -> None:
    card = registry.org(by)
    params = {"name": card.name if card else f"#{by}", "group": group.name}
    await tell_many(conn, to, kind, params, f"/groups/{group.id}", f"{group.id}:{ref}")


async def invite(conn: Connection, registry: Registry, subject: Subject, group_id: int, org: int) -> None:
    """Ask a hospital to join and tell it."""
    await groups.invite(conn, registry, subject, group_id, org)
    found = await groups.get(conn, subject, group_id)
    asked = next(m for m in found.members if m.org == org)
    ref = f"{org}:{asked.invited_at.isoformat()}"
    await _tell(conn, registry, found, "notice_group_invited", [org], ref, subject.org)


async def accept(conn: Connection, registry: Registry, subject: Subject, group_id: int) -> None:
    """Join and tell the lead."""
    await groups.accept(conn, subject, group_id)
    found = await groups.get(conn, subject, group_id)
    joined = next(m for m in found.members if m.org == subject.org)
    ref = f"{subject.org}:{joined.accepted_at.isoformat() if joined.accepted_at else ''}"
    await _tell(conn, registry, found, "notice_group_joined", [found.lead], ref, subject.org)


async def leave(
    conn: Connection, registry: Registry, subject: Subject, group_id: int, org: int | None = None
) -> None:
    """Leave, or take a member out, and tell the other side."""
    found = await groups.leave(conn, subject, group_id, org)
    who = org if org is not None else subject.org
    member = next(m for m in found.members if m.org == who)
    to = found.lead if who == subject.org else who
    ref = f"{who}:{member.invited_at.isoformat()}"
    await _tell(conn, registry, found, "notice_group_left", [to], ref, who)


async def end(conn: Connection, registry: Registry, subject: Subject, group_id: int) -> None:
    """Dissolve the group and tell its members."""
    found = await groups.end(conn, subject, group_id)
    others = [m.org for m in found.members if m.org != subject.org and m.state != "left"]
    await _tell(conn, registry, found, "notice_group_ended", others, "end", subject.org)
