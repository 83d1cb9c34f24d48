"""Which organisations have a connection to another system, kept by each process, so that the write path leaves word
of a bill only where something may be owed (R-X9).
"""

from __future__ import annotations

from yaosu.db.engine import Connection

VERSION = "SELECT version FROM route_version"
# with the places inside them: what a ward uses is reported by its hospital
OWNERS = """
SELECT org, everyone FROM connection WHERE state <> 'ended'
UNION SELECT o.id, false FROM org o JOIN connection c ON c.org = o.parent_id AND c.state <> 'ended' WHERE o.place"""
SANDBOX = "SELECT org FROM sandbox_org"
RAISE_VERSION = "UPDATE route_version SET version = version + 1"


class Routed:
    """The owners whose bills are to be routed. Brought to the version that a transaction has read."""

    def __init__(self) -> None:
        self.version = -1
        self.everyone = False
        self.orgs: frozenset[int] = frozenset()
        self.sandbox: frozenset[int] = frozenset()
        """Organisations that only try something out: nothing of theirs goes to the authorities."""

    async def at(self, conn: Connection, version: int) -> None:
        """Bring it to at least `version`."""
        if version == self.version:
            return
        # the version first: what changes in between makes it look older than it is, never newer
        found = await conn.fetchval(VERSION)
        rows = await conn.fetch(OWNERS)
        self.everyone = any(r["everyone"] for r in rows)
        self.orgs = frozenset(r["org"] for r in rows)
        self.sandbox = frozenset(r["org"] for r in await conn.fetch(SANDBOX))
        self.version = found

    def concerns(self, owner: int) -> bool:
        """Whether bills of this owner may be owed to somebody."""
        return owner in self.orgs or (self.everyone and owner not in self.sandbox)


async def raise_version(conn: Connection) -> None:
    """After any change of connections, in its transaction: every process looks again at its next bill."""
    await conn.execute(RAISE_VERSION)
