"""What the database may do to a request through nobody's fault, in the words of the registry of messages.

Two things, and a caller must be able to tell them apart: somebody else was faster and the database took our work back
(nothing is recorded, for sure), or the database does not answer (whether it was recorded is not known). Rooms see the
driver's own errors, since a trouble is no verdict on what they judge; only what answers a caller asks here.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from yaosu.errors import YaosuError

AGAIN_S = {"database_conflict": 1, "database_away": 5, "too_busy": 2}
"""Seconds after which a caller may try again (`Retry-After`)."""


class TakenBackError(RuntimeError):
    """Work of ours took itself back, because somebody else changed what it rested on."""


_TAKEN_BACK = (
    TakenBackError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    # rooms look before they add: somebody added the same in between, and a repeat is told so in the room's own words
    asyncpg.UniqueViolationError,
)
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.StatementCompletionUnknownError,
    ConnectionError,
)


class AwayError(ConnectionError):
    """No connection to the database could be made: nobody listens, no way leads there, or it took too long."""


def away(error: BaseException) -> bool:
    """Whether the database did not answer; nothing is known of what was under way."""
    if isinstance(error, asyncpg.InterfaceError):
        # the driver has one class for a closed connection and for wrong use
        return "closed" in str(error) or "closing" in str(error)
    return isinstance(error, _AWAY)


def trouble(error: BaseException) -> YaosuError | None:
    """`database_conflict` or `database_away` for what the database did; None for anything else."""
    if isinstance(error, _TAKEN_BACK):
        return YaosuError("database_conflict")
    return YaosuError("database_away") if away(error) else None


def note(log: Any, event: str, error: BaseException) -> None:
    """What broke, into a room's log: as `event` with its place in the code, unless it was the database."""
    known = trouble(error)
    if known is None:
        log.error(event, error=type(error).__name__, exc_info=error)
    else:
        log.warning(known.code, **traits(error))


def traits(error: BaseException) -> dict[str, str]:
    """What a log line says of it: kinds and names of ours, never values, which may be somebody's."""
    found = {"error": type(error).__name__}
    for name in ("table_name", "constraint_name"):
        value = getattr(error, name, None)
        if value:
            found[name.removesuffix("_name")] = str(value)
    return found
