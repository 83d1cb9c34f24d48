"""FastAPI dependencies: a connection inside the request's transaction, and who is asking.

The transaction commits when the handler returns and rolls back when it raises: services never commit.
The subject was put on the request by the authentication middleware (`access.middleware`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from yaosu.db.engine import Connection
from yaosu.edge.state import state
from yaosu.errors import YaosuError
from yaosu.subject import ANONYMOUS, Subject


async def connection(request: Request) -> AsyncIterator[Connection]:
    """A pooled connection in a transaction that lives as long as the handler."""
    async with state(request).pool.acquire() as conn, conn.transaction():
        yield conn


def subject_of(request: Request) -> Subject:
    """Whoever the middleware found."""
    found: Subject = getattr(request.state, "subject", ANONYMOUS)
    return found


# async although nothing is awaited: the framework runs plain functions in threads, which costs more than they do
async def maybe_subject(request: Request) -> Subject:
    """Whoever asks; anonymous when nobody signed in."""
    return subject_of(request)


async def current_subject(request: Request) -> Subject:
    """Whoever asks, refused (`unauthenticated`) when nobody signed in."""
    subject = subject_of(request)
    if subject.kind == "anonymous":
        raise YaosuError("unauthenticated")
    return subject


# scope="function": commit before the answer leaves, so that an answer always means a durable record
Conn = Annotated[Connection, Depends(connection, scope="function")]
CurrentSubject = Annotated[Subject, Depends(current_subject)]
MaybeSubject = Annotated[Subject, Depends(maybe_subject)]
