"""Who is asking: the key or the session in a request's headers, looked up through the cache of identities."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.types import Scope

from yaosu.access import secrets, service, store
from yaosu.access.cache import identities
from yaosu.access.model import Identity
from yaosu.access.session_cookie import SESSION_COOKIE
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError


def app_state(scope: Scope) -> AppState:
    """The server's shared parts."""
    found: AppState = scope["app"].state.yaosu
    return found


def client_address(scope: Scope) -> str:
    """Network address of the caller as the server saw it (the server applies its own proxy rules)."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def credentials(scope: Scope) -> tuple[str | None, str]:
    """The key (None when none was given) and the session token."""
    key: str | None = None
    token = ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, rest = value.decode("latin-1").partition(" ")
            key = rest.strip() if kind.lower() == "bearer" else ""
        elif name == b"x-api-key":
            key = value.decode("latin-1").strip()
        elif name == b"cookie":
            token = _cookie(value.decode("latin-1")) or token
    return key, token


def _cookie(header: str) -> str:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == SESSION_COOKIE:
            return value.strip('"')
    return ""


async def by_key(scope: Scope, key: str) -> Identity:
    """The owner of a key; refused (`key_invalid`, `key_revoked`, `key_expired` …) when it is good for nothing."""
    if not secrets.is_key(key):
        raise YaosuError("key_invalid")
    digest = secrets.digest(key)
    known, identity = identities.get(digest)
    if not known:
        async with app_state(scope).pool.acquire() as conn:
            identity, refusal = await store.identity_of_key(conn, digest)
        identities.put(digest, identity)
        if identity is None:
            raise YaosuError(refusal)
        _used(scope, identity)
    if identity is None:
        # remembered as useless; which of the reasons it was is worth a query, the answer must not change
        async with app_state(scope).pool.acquire() as conn:
            identity = await service.authenticate_key(conn, key)
    if _over(identity):
        raise YaosuError("key_expired")
    return identity


async def by_session(scope: Scope, token: str) -> Identity | None:
    """The owner of a session cookie; None when it is over."""
    if not secrets.is_token(token):
        return None
    digest = secrets.digest(token)
    known, identity = identities.get(digest)
    if not known:
        async with app_state(scope).pool.acquire() as conn:
            identity = await service.authenticate_session(conn, token)
        identities.put(digest, identity)
        if identity is not None:
            _used(scope, identity)
    if identity is None or _over(identity):
        return None
    return identity


def _over(identity: Identity) -> bool:
    return identity.valid_until is not None and identity.valid_until <= datetime.now(UTC)


def _used(scope: Scope, identity: Identity) -> None:
    """Once per cache life, not per request."""
    used = app_state(scope).parts.get("access.last_used")
    if used is not None:
        used.note(identity.key_id, identity.session_id)


def route_of(scope: Scope) -> str:
    """The path with the values of its parameters taken out; nothing of a path that no route knows."""
    path: str = scope["path"]
    if path.startswith("/static/"):
        return "/static"
    if "endpoint" not in scope:
        return "unmatched"
    for name, value in scope.get("path_params", {}).items():
        path = path.replace(f"/{value}", f"/{{{name}}}", 1)
    return path
