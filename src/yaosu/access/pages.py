"""Pages of sign-in, the own account, users, API keys and the record of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import Response

from yaosu import yamls
from yaosu.access import accounts, audit, keys, scopes, service
from yaosu.access.model import Account, ApiKey
from yaosu.access.parts import sign_in_limit
from yaosu.access.session_cookie import SESSION_COOKIE, clear_session, set_language, set_session
from yaosu.access.types import Name
from yaosu.db.engine import Connection
from yaosu.edge.deps import Conn, CurrentSubject, MaybeSubject
from yaosu.edge.pages import render, see_other
from yaosu.edge.problem import language
from yaosu.errors import YaosuError
from yaosu.subject import Subject

router = APIRouter()

CHINA = ZoneInfo("Asia/Shanghai")
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Org = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
Short = Annotated[str, Form(max_length=64)]
Secret = Annotated[str, Form(max_length=200)]
After = Annotated[int, Query(ge=0, le=2**31 - 1)]
PAGE = 100


def _next(path: str, org_id: int | None, shown: Sequence[Account | ApiKey]) -> str:
    """The address of the next page, empty on the last."""
    if len(shown) < PAGE:
        return ""
    return f"{path}?cursor={shown[-1].id}" + (f"&org_id={org_id}" if org_id is not None else "")


def local_path(wanted: str) -> str:
    """`wanted` if it is a page of ours, else the overview: no link may lead a signed-in user elsewhere."""
    plain = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    return wanted if plain and wanted.isprintable() else "/"


@router.get("/login")
async def login_form(
    request: Request,
    subject: MaybeSubject,
    next: Annotated[str, Query(max_length=500)] = "/",
    login: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The sign-in page; straight on for somebody signed in, unless the link names who is to sign in."""
    if subject.kind == "account" and not login:
        return see_other(local_path(next))
    return render(request, "access/login.html", {"next": local_path(next), "login": login, "error": None})


@router.post("/login")
async def login(
    request: Request,
    conn: Conn,
    login: Short = "",
    password: Secret = "",
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Sign in and go on to the page that was asked for."""
    address = audit.caller_address.get()
    limit = sign_in_limit(request)
    refusal: YaosuError | None = None
    try:
        limit.check(address)
    except YaosuError as error:
        refusal = error
    if refusal is None:
        agent = request.headers.get("user-agent", "")
        old = request.cookies.get(SESSION_COOKIE, "")
        done = await service.sign_in(conn, login, password, address, agent, old)
        refusal = done.refusal
        if refusal is None:
            response = see_other("/account" if done.must_change else local_path(next))
            set_session(request, response, done.token)
            return response
        limit.count(address)
    context = {"next": local_path(next), "login": login, "error": refusal.as_json(language(request))}
    return render(request, "access/login.html", context, refusal.http)


@router.post("/logout")
async def logout(request: Request, conn: Conn, subject: MaybeSubject) -> Response:
    """Sign out; no error when the session has already ended."""
    if subject.kind == "account":
        await service.sign_out(conn, subject)
    response = see_other("/login")
    clear_session(request, response)
    return response


@router.get("/lang/{lang}")
async def show_language(
    request: Request,
    lang: Literal["zh", "en"],
    next: Annotated[str, Query(max_length=500)] = "/",
) -> Response:
    """Pages of this browser in the other language; the account stays as it is, since any site can lead here."""
    response = see_other(local_path(next))
    set_language(request, response, lang)
    return response


@router.post("/lang/{lang}")
async def switch_language(
    request: Request,
    conn: Conn,
    subject: MaybeSubject,
    lang: Literal["zh", "en"],
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Change the language of the account and of this browser, and come back."""
    await accounts.set_language(conn, subject, lang)
    response = see_other(local_path(next))
    set_language(request, response, lang)
    return response


@router.get("/account")
async def account(request: Request, subject: CurrentSubject, done: str = "") -> Response:
    """The own account: password and language."""
    return render(request, "access/account.html", {"error": None, "done": done == "password"})


@router.post("/account")
async def change_password(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    current: Secret = "",
    new: Secret = "",
    again: Secret = "",
) -> Response:
    """Change the own password."""
    try:
        if new != again:
            raise YaosuError("password_differs")
        async with conn.transaction():
            await accounts.change_password(conn, subject, current, new)
    except YaosuError as error:
        context = {"error": error.as_json(language(request)), "done": False}
        return render(request, "access/account.html", context, error.http)
    return see_other("/account?done=password")


@router.get("/users")
async def users(
    request: Request, conn: Conn, subject: CurrentSubject, org_id: Org = None, cursor: After = 0
) -> Response:
    """Accounts of the organisation."""
    return await _users(request, conn, subject, org_id, after=cursor)


async def _users(
    request: Request,
    conn: Connection,
    subject: Subject,
    org_id: int | None,
    more: Mapping[str, Any] | None = None,
    status: int = 200,
    after: int = 0,
) -> Response:
    found = await accounts.accounts(conn, subject, org_id, after, PAGE)
    facts = await accounts.org_facts(conn, await accounts.managed_org(conn, subject, org_id))
    context = {
        "accounts": found,
        "next": _next("/users", org_id, found),
        "roles": scopes.roles_for(*(facts.kind if facts else (None, None))),
        "role_table": scopes.permissions().roles,
        "org_id": org_id if subject.org_id is None else None,
        "org": facts,
        "error": None,
        "shown_once": None,
        "form": {},
        **(more or {}),
    }
    return render(request, "access/users.html", context, status)


@router.post("/users")
async def add_user(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    login: Short = "",
    name: Annotated[Name, Form()] = "",
    role: Short = "",
    org_id: Org = None,
) -> Response:
    """A new account; its first password is on the page this once."""
    try:
        async with conn.transaction():
            made, password = await accounts.create_account(
                conn, subject, login, name or login, role, org_id=org_id
            )
    except YaosuError as error:
        more = {
            "error": error.as_json(language(request)),
            "form": {"login": login, "name": name, "role": role},
        }
        return await _users(request, conn, subject, org_id, more, error.http)
    return await _users(request, conn, subject, org_id, {"shown_once": (made.login, password)})


@router.post("/users/{number}")
async def change_user(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    number: Number,
    action: Annotated[Literal["role", "disable", "enable", "reset"], Form()],
    role: Short = "",
    org_id: Org = None,
) -> Response:
    """Change a role, disable, enable, or reset the password of an account."""
    try:
        async with conn.transaction():
            if action == "reset":
                found = await accounts.account_of(conn, subject, number)
                password = await accounts.reset_password(conn, subject, number)
                more: dict[str, Any] = {"shown_once": (found.login, password)}
                return await _users(request, conn, subject, org_id, more)
            if action == "role":
                await accounts.change_account(conn, subject, number, role=role)
            else:
                await accounts.change_account(conn, subject, number, active=action == "enable")
    except YaosuError as error:
        more = {"error": error.as_json(language(request))}
        return await _users(request, conn, subject, org_id, more, error.http)
    return see_other("/users" if org_id is None else f"/users?org_id={org_id}")


@router.get("/keys")
async def key_list(
    request: Request, conn: Conn, subject: CurrentSubject, org_id: Org = None, cursor: After = 0
) -> Response:
    """API keys of the organisation."""
    return await _keys(request, conn, subject, org_id, after=cursor)


async def _keys(
    request: Request,
    conn: Connection,
    subject: Subject,
    org_id: int | None,
    more: Mapping[str, Any] | None = None,
    status: int = 200,
    after: int = 0,
) -> Response:
    found = await keys.keys(conn, subject, org_id, after, PAGE)
    facts = await accounts.org_facts(conn, await accounts.managed_org(conn, subject, org_id))
    possible = scopes.grantable(*(facts.kind if facts else (None, None)))
    if subject.org_id is not None:
        possible = frozenset(s for s in possible if subject.can(s))
    table = scopes.permissions().scopes
    context = {
        "keys": found,
        "next": _next("/keys", org_id, found),
        "scopes": [s for s in table.values() if s.id in possible],
        "scope_table": table,
        "org_id": org_id if subject.org_id is None else None,
        "org": facts,
        "now": datetime.now(CHINA),
        "error": None,
        "shown_once": None,
        "form": {},
        **(more or {}),
    }
    return render(request, "access/keys.html", context, status)


@router.post("/keys")
async def add_key(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    name: Annotated[Name, Form()],
    scope: Annotated[list[str] | None, Form(max_length=100)] = None,
    expires_on: Annotated[str, Form(max_length=10)] = "",
    org_id: Org = None,
) -> Response:
    """A new key; its secret is on the page this once."""
    try:
        until = _end_of_day(expires_on)
        async with conn.transaction():
            made, secret = await keys.create_key(conn, subject, name, scope or [], until, org_id)
    except YaosuError as error:
        form = {"name": name, "scopes": scope or [], "expires_on": expires_on}
        more = {"error": error.as_json(language(request)), "form": form}
        return await _keys(request, conn, subject, org_id, more, error.http)
    return await _keys(request, conn, subject, org_id, {"shown_once": (made.name, secret)})


def _end_of_day(text: str) -> datetime | None:
    """A key is good through the chosen day, in China's time; no day, no end."""
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=CHINA)
        return datetime.combine(day.date() + timedelta(days=1), time(), CHINA)
    except (ValueError, OverflowError):
        raise YaosuError("key_expiry_form") from None


@router.post("/keys/{number}/take-over")
async def take_over_key(
    request: Request, conn: Conn, subject: CurrentSubject, number: Number, org_id: Org = None
) -> Response:
    """Put the own account behind a key."""
    try:
        async with conn.transaction():
            await keys.take_over(conn, subject, number)
    except YaosuError as error:
        more = {"error": error.as_json(language(request))}
        return await _keys(request, conn, subject, org_id, more, error.http)
    return see_other("/keys" if org_id is None else f"/keys?org_id={org_id}")


@router.post("/keys/{number}/revoke")
async def end_key(conn: Conn, subject: CurrentSubject, number: Number, org_id: Org = None) -> Response:
    """Revoke a key."""
    await keys.revoke_key(conn, subject, number)
    return see_other("/keys" if org_id is None else f"/keys?org_id={org_id}")


@cache
def _actions() -> dict[str, dict[str, str]]:
    loaded: dict[str, dict[str, str]] = yamls.read(
        (resources.files("yaosu.access") / "actions.yaml").read_text("utf-8")
    )
    return loaded


def action_name(action: str) -> str:
    """An action of the audit record in Chinese; blank for one without a name."""
    noun, _, verb = action.partition(".")
    names = _actions()
    if action in names["verbs"]:
        return f"{names['nouns'][noun]} {names['verbs'][action]}"
    words = [names["nouns"].get(noun, ""), names["verbs"].get(verb, "") if verb else "·"]
    return " ".join(w for w in words if w != "·") if all(words) else ""


@router.get("/audit")
async def audit_page(
    request: Request,
    conn: Conn,
    subject: CurrentSubject,
    action: Annotated[str, Query(max_length=60)] = "",
    cursor: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """The record of changes of the organisation."""
    limit = 50
    found = await audit.entries(conn, subject, cursor, action.strip(), limit)
    more = found[-1].id if len(found) == limit else None
    context = {
        "entries": found,
        "action": action.strip(),
        "next": more,
        "zone": CHINA,
        "name_of": action_name,
    }
    return render(request, "access/audit.html", context)
