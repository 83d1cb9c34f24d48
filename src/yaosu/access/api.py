"""Sign-in, accounts, API keys and the audit record over the API."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from yaosu.access import accounts, audit, keys, scopes, service
from yaosu.access.openapi import problems
from yaosu.access.parts import sign_in_limit
from yaosu.access.schemas import (
    AccountBody,
    AccountChange,
    AccountOut,
    AccountsOut,
    AuditOut,
    AuditsOut,
    FirstPasswordOut,
    KeyBody,
    KeyOut,
    KeysOut,
    MeOut,
    NewAccountOut,
    NewKeyOut,
    PasswordBody,
    RoleOut,
    RolesOut,
    ScopeOut,
    SessionOut,
    SignInBody,
)
from yaosu.access.session_cookie import SESSION_COOKIE, clear_session, set_session
from yaosu.edge import problem
from yaosu.edge.deps import Conn, CurrentSubject
from yaosu.errors import YaosuError
from yaosu.subject import Subject

router = APIRouter(tags=["access"])

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Org = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="for the platform's operator only")]
Cursor = Annotated[int | None, Query(ge=0, le=2**63 - 1, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]


def _me(subject: Subject) -> MeOut:
    return MeOut(
        kind=subject.kind,
        account_id=subject.account_id,
        org_id=subject.org_id,
        org_type=subject.org_type,
        role=subject.role,
        scopes=sorted(subject.scopes),
        lang=subject.lang,
        region=subject.region,
        name=subject.name,
    )


@router.post(
    "/sessions",
    status_code=201,
    summary="Sign in",
    description="Public. Sets the session cookie; programs use API keys instead. Five failures in a row lock "
    "the account for 15 minutes.",
    response_model=SessionOut,
    responses=problems(
        "sign_in_failed", "sign_in_locked", "too_many_requests", "csrf_refused", "invalid_request"
    ),
)
async def sign_in(request: Request, response: Response, body: SignInBody, conn: Conn) -> Any:
    """Sign in with login and password."""
    limit = sign_in_limit(request)
    address = audit.caller_address.get()
    limit.check(address)
    done = await service.sign_in(
        conn,
        body.login,
        body.password,
        address,
        request.headers.get("user-agent", ""),
        request.cookies.get(SESSION_COOKIE, ""),
    )
    if done.refusal is not None or done.subject is None:
        limit.count(address)
        # answered, not raised: the counted failure has to commit
        return problem.answer(request, done.refusal or YaosuError("sign_in_failed"))
    set_session(request, response, done.token)
    return SessionOut(csrf=done.csrf, must_change=done.must_change, me=_me(done.subject))


@router.delete(
    "/sessions/current",
    status_code=204,
    summary="Sign out",
    description="Ends the session of the cookie at once.",
    responses=problems("unauthenticated", "csrf_refused", "no_session"),
)
async def sign_out(request: Request, response: Response, conn: Conn, subject: CurrentSubject) -> None:
    """End the current session."""
    await service.sign_out(conn, subject)
    clear_session(request, response)


@router.get(
    "/me",
    summary="Who am I",
    description="The caller's account or key, its organisation and its permissions.",
    responses=problems("unauthenticated"),
)
async def me(subject: CurrentSubject) -> MeOut:
    """The caller."""
    return _me(subject)


@router.post(
    "/me/password",
    status_code=204,
    summary="Change the own password",
    description="At least 10 characters, not the login, not a common one. Other sessions of the account end.",
    responses=problems(
        "unauthenticated", "csrf_refused", "password_wrong", "password_short", "password_is_login",
        "password_common", "password_same", "no_session",
    ),
)  # fmt: skip
async def change_password(body: PasswordBody, conn: Conn, subject: CurrentSubject) -> None:
    """Change the caller's password."""
    await accounts.change_password(conn, subject, body.current, body.new)


@router.get(
    "/roles",
    summary="Roles and permissions of the own organisation's type",
    description="What accounts can be given and API keys can carry.",
    responses=problems("unauthenticated", "not_found"),
)
async def roles(conn: Conn, subject: CurrentSubject, org_id: Org = None) -> RolesOut:
    """Roles and permissions that fit."""
    facts = await accounts.org_facts(conn, await accounts.managed_org(conn, subject, org_id))
    kind = facts.kind if facts else (None, None)
    table = scopes.permissions()
    return RolesOut(
        roles=[
            RoleOut(id=r.id, zh=r.zh, en=r.en, scopes=sorted(scopes.scopes_of(r.id, *kind)))
            for r in scopes.roles_for(*kind)
        ],
        scopes=[
            ScopeOut(id=s.id, zh=s.zh, en=s.en)
            for s in table.scopes.values()
            if s.id in scopes.grantable(*kind)
        ],
    )


@router.get(
    "/accounts",
    summary="List accounts",
    description="Accounts of the own organisation, by number. Needs `user.manage`.",
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def list_accounts(
    conn: Conn, subject: CurrentSubject, org_id: Org = None, cursor: Cursor = None, limit: Limit = 100
) -> AccountsOut:
    """A page of accounts."""
    found = await accounts.accounts(conn, subject, org_id, min(cursor or 0, 2**31 - 1), limit)
    items = [AccountOut.model_validate(a) for a in found]
    return AccountsOut(items=items, next=str(items[-1].id) if len(items) == limit else None)


@router.post(
    "/accounts",
    status_code=201,
    summary="Create an account",
    description="The first password is made up, shown once and due for change. Needs `user.manage`.",
    responses=problems(
        "unauthenticated", "csrf_refused", "forbidden", "role_beyond", "login_taken", "login_form",
        "role_unknown", "role_not_for_org", "not_found",
    ),
)  # fmt: skip
async def create_account(body: AccountBody, conn: Conn, subject: CurrentSubject) -> NewAccountOut:
    """A new account of the own organisation."""
    made, password = await accounts.create_account(
        conn, subject, body.login, body.name, body.role, org_id=body.org_id, lang=body.lang
    )
    return NewAccountOut(account=AccountOut.model_validate(made), password=password)


@router.patch(
    "/accounts/{number}",
    summary="Change or disable an account",
    description="A new role, and disabling, end the account's sessions at once. Needs `user.manage`.",
    responses=problems(
        "unauthenticated", "csrf_refused", "forbidden", "role_beyond", "not_found", "role_unknown",
        "role_not_for_org", "self_disable",
    ),
)  # fmt: skip
async def change_account(
    number: Number, body: AccountChange, conn: Conn, subject: CurrentSubject
) -> AccountOut:
    """Change what is given."""
    changed = await accounts.change_account(conn, subject, number, **body.model_dump())
    return AccountOut.model_validate(changed)


@router.post(
    "/accounts/{number}/reset",
    summary="Reset a password",
    description="Unlocks the account, ends its sessions, shows a new password once. Needs `user.manage`.",
    responses=problems("unauthenticated", "csrf_refused", "forbidden", "role_beyond", "not_found"),
)
async def reset(number: Number, conn: Conn, subject: CurrentSubject) -> FirstPasswordOut:
    """A new first password."""
    return FirstPasswordOut(password=await accounts.reset_password(conn, subject, number))


@router.get(
    "/keys",
    summary="List API keys",
    description="Keys of the own organisation without their secrets, ended ones too. Needs `key.manage`.",
    responses=problems("unauthenticated", "forbidden", "not_found"),
)
async def list_keys(
    conn: Conn, subject: CurrentSubject, org_id: Org = None, cursor: Cursor = None, limit: Limit = 100
) -> KeysOut:
    """A page of keys."""
    found = await keys.keys(conn, subject, org_id, min(cursor or 0, 2**31 - 1), limit)
    items = [KeyOut.model_validate(k) for k in found]
    return KeysOut(items=items, next=str(items[-1].id) if len(items) == limit else None)


@router.post(
    "/keys",
    status_code=201,
    summary="Create an API key",
    description="Its secret is shown once. A key holds at most its maker's permissions, at making and at each use. "
    "Needs `key.manage`.",
    responses=problems(
        "unauthenticated", "csrf_refused", "forbidden", "scope_beyond", "scope_unknown", "key_without_scope",
        "key_expiry_past", "not_found",
    ),
)  # fmt: skip
async def create_key(body: KeyBody, conn: Conn, subject: CurrentSubject) -> NewKeyOut:
    """A new key of the own organisation."""
    made, secret = await keys.create_key(conn, subject, body.name, body.scopes, body.expires_at, body.org_id)
    return NewKeyOut(key=KeyOut.model_validate(made), secret=secret)


@router.post(
    "/keys/{number}/take-over",
    summary="Answer for an API key",
    description="A key may do at most what the role of the account behind it allows today, and ends with that account. "
    "Taking it over puts the caller's account behind it; the secret stays. Needs `key.manage`, a signed-in account and "
    "every permission of the key.",
    responses=problems(
        "unauthenticated",
        "csrf_refused",
        "forbidden",
        "scope_beyond",
        "key_revoked",
        "key_needs_account",
        "not_found",
    ),
)
async def take_over_key(number: Number, conn: Conn, subject: CurrentSubject) -> KeyOut:
    """Put the own account behind a key."""
    return KeyOut.model_validate(await keys.take_over(conn, subject, number))


@router.delete(
    "/keys/{number}",
    status_code=204,
    summary="Revoke an API key",
    description="At once here, within ten seconds on other servers of the database. Needs `key.manage`.",
    responses=problems("unauthenticated", "csrf_refused", "forbidden", "not_found"),
)
async def revoke_key(number: Number, conn: Conn, subject: CurrentSubject) -> None:
    """End a key."""
    await keys.revoke_key(conn, subject, number)


@router.get(
    "/audit",
    summary="Read the record of changes",
    description="Sign-ins and changes of the own organisation, newest first. Needs `audit.read`.",
    responses=problems("unauthenticated", "forbidden"),
)
async def read_audit(
    conn: Conn,
    subject: CurrentSubject,
    action: Annotated[str, Query(max_length=60, examples=["key.create"])] = "",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditsOut:
    """A page of the record."""
    found = await audit.entries(conn, subject, cursor, action, limit)
    items = [AuditOut.model_validate(e) for e in found]
    return AuditsOut(items=items, next=str(items[-1].id) if len(items) == limit else None)
