"""Schema migrations: numbered SQL files, each applied once, in order, in a transaction of its own.

The table `schema_migration` keeps number, name and SHA-256 of each applied file; a file that changed after it
was applied is refused, since the database would no longer be what the files say. Two servers that start at
once take turns through an advisory lock.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

from yaosu.db.engine import Connection

_LOCK_KEY = 7_295_461_001
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    number int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)"""


class MigrationChangedError(RuntimeError):
    """An applied migration file no longer has the content that was applied."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `number` from its name, `sql` its text."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Digest of the text, to notice edits of applied files."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """All migration files in order."""
    folder = resources.files("yaosu.db") / "migrations"
    found = []
    for entry in folder.iterdir():
        if entry.name.endswith(".sql"):
            found.append(Migration(int(entry.name.split("_", 1)[0]), entry.name, entry.read_text("utf-8")))
    return sorted(found, key=lambda m: m.number)


async def migrate(conn: Connection) -> list[str]:
    """Apply what is missing; the names applied now. Raises MigrationChangedError when history was edited."""
    await conn.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
    try:
        await conn.execute(_TABLE)
        done = {
            r["number"]: r["sha256"] for r in await conn.fetch("SELECT number, sha256 FROM schema_migration")
        }
        applied = []
        for one in migrations():
            if one.number in done:
                if done[one.number] != one.sha256:
                    raise MigrationChangedError(
                        f"{one.name} changed after it was applied; restore the file or start from an empty database"
                    )
                continue
            async with conn.transaction():
                await conn.execute(one.sql)
                await conn.execute(
                    "INSERT INTO schema_migration (number, name, sha256) VALUES ($1, $2, $3)",
                    one.number,
                    one.name,
                    one.sha256,
                )
            applied.append(one.name)
        return applied
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK_KEY)
