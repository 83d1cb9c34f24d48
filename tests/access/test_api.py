"""Accounts and keys over the API: nothing of others, everything recorded."""

from __future__ import annotations

import httpx
import pytest

from access.helpers import PASSWORD, key_headers, make_account, make_key, make_org
from yaosu.access.limits import RateLimit
from yaosu.db.engine import Pool


async def test_an_administrators_day(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as conn:
        headers = await key_headers(conn, await make_org(conn, 4))
    made = await client.post(
        "/api/v1/accounts", json={"login": "clerk.one", "name": "店员一", "role": "sales"}, headers=headers
    )
    assert made.status_code == 201, made.text
    number, first = made.json()["account"]["id"], made.json()["password"]
    assert made.json()["account"]["must_change"]

    done = await client.post("/api/v1/sessions", json={"login": "clerk.one", "password": first})
    assert done.json()["must_change"]
    csrf = {"x-csrf-token": done.json()["csrf"]}
    # before the first own password nothing else works, and the answer says what to do
    held = await client.get("/api/v1/accounts")
    assert (held.status_code, held.json()["code"]) == (403, "password_change_due")
    page = await client.get("/users", headers={"accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/account")
    changed = await client.post("/api/v1/me/password", json={"current": first, "new": PASSWORD}, headers=csrf)
    assert changed.status_code == 204, changed.text
    me = (await client.get("/api/v1/me")).json()
    assert (me["role"], me["org_type"], me["region"]) == ("sales", "4", "650100")

    patched = await client.patch(f"/api/v1/accounts/{number}", json={"active": False}, headers=headers)
    assert patched.json()["active"] is False
    # disabled is out at once, the open session too
    assert (await client.get("/api/v1/me")).status_code == 401
    client.cookies.clear()

    found = (await client.get("/api/v1/audit", headers=headers)).json()
    actions = [entry["action"] for entry in found["items"]]
    assert actions == ["account.change", "account.password", "sign_in", "account.create"]
    listed = (await client.get("/api/v1/accounts", headers=headers)).json()
    assert [a["login"] for a in listed["items"]] == ["clerk.one"]


async def test_the_session_token_is_new_at_every_sign_in_and_the_old_one_ends(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), "admin")
    tokens = []
    for _ in range(2):
        await client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
        tokens.append(client.cookies["yaosu_session"])
    client.cookies.clear()
    assert tokens[0] != tokens[1]
    states = [
        (await client.get("/api/v1/me", headers={"cookie": f"yaosu_session={token}"})).status_code
        for token in tokens
    ]
    assert states == [401, 200]


async def test_signing_out_clears_the_cookie_and_the_session(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), "admin")
    done = await client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    token = client.cookies["yaosu_session"]
    out = await client.delete("/api/v1/sessions/current", headers={"x-csrf-token": done.json()["csrf"]})
    assert out.status_code == 204
    assert "yaosu_session" not in client.cookies
    assert (await client.get("/api/v1/me", headers={"cookie": f"yaosu_session={token}"})).status_code == 401


async def test_failed_sign_ins_count_over_http_and_lock(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), "admin")
    answers = [
        await client.post("/api/v1/sessions", json={"login": login, "password": "wrong-password"})
        for _ in range(5)
    ]
    assert {a.status_code for a in answers} == {401}
    locked = await client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    assert (locked.status_code, locked.json()["code"]) == (429, "sign_in_locked")
    assert "15" in locked.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/v1/accounts/{account}", {"active": False}),
        ("POST", "/api/v1/accounts/{account}/reset", None),
        ("DELETE", "/api/v1/keys/{key}", None),
        ("GET", "/api/v1/accounts?org_id={org}", None),
        ("GET", "/api/v1/keys?org_id={org}", None),
        ("GET", "/api/v1/roles?org_id={org}", None),
        ("POST", "/api/v1/keys", {"name": "x", "scopes": ["bill.read"], "org_id": "{org}"}),
        ("POST", "/api/v1/accounts", {"login": "intruder", "name": "x", "role": "admin", "org_id": "{org}"}),
    ],
)
async def test_what_belongs_to_another_organisation_is_not_found(
    client: httpx.AsyncClient, pool: Pool, method: str, path: str, body: dict[str, object] | None
) -> None:
    async with pool.acquire() as conn:
        us, them = await make_org(conn), await make_org(conn)
        headers = await key_headers(conn, us)
        account, _ = await make_account(conn, them, "admin")
        secret = await make_key(conn, them)
        key = await conn.fetchval("SELECT id FROM api_key WHERE prefix = $1", secret[:11])
    if body and "org_id" in body:
        body = {**body, "org_id": them}
    filled = path.format(account=account, key=key, org=them)
    answer = await client.request(method, filled, json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    # and in the same words as what does not exist at all
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT active FROM account WHERE id = $1", account)
        assert await conn.fetchval("SELECT revoked_at IS NULL FROM api_key WHERE id = $1", key)


async def test_pages_of_keys_follow_each_other(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.acquire() as conn:
        org = await make_org(conn)
        headers = await key_headers(conn, org)
        for _ in range(4):
            await make_key(conn, org)
    seen: list[int] = []
    address = "/api/v1/keys?limit=2"
    while True:
        page = (await client.get(address, headers=headers)).json()
        seen += [item["id"] for item in page["items"]]
        assert not any("secret" in item for item in page["items"])
        if page["next"] is None:
            break
        address = f"/api/v1/keys?limit=2&cursor={page['next']}"
    assert len(seen) == len(set(seen)) == 5


async def test_the_operator_opens_an_organisations_first_account(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        shop = await make_org(conn, 4)
        headers = await key_headers(conn, None, ["user.manage", "key.manage"])
    body = {"login": "first.admin", "name": "店长", "role": "admin", "org_id": shop}
    made = await client.post("/api/v1/accounts", json=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json()["account"]["org_id"] == shop
    wrong = await client.post(
        "/api/v1/accounts", json={**body, "login": "x.y.z", "role": "regulator"}, headers=headers
    )
    assert wrong.json()["code"] == "role_not_for_org"
    nowhere = await client.post("/api/v1/accounts", json={**body, "org_id": 2**31 - 1}, headers=headers)
    assert nowhere.status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/accounts?cursor=-1", None),
        ("GET", "/api/v1/accounts?cursor=99999999999999999999", None),
        ("GET", "/api/v1/accounts?limit=0", None),
        ("GET", "/api/v1/audit?cursor=x", None),
        ("PATCH", "/api/v1/accounts/99999999999", {"active": True}),
        ("POST", "/api/v1/keys", {"name": "x", "scopes": ["bill.read"], "expires_at": "2027-01-01T00:00:00"}),
        ("POST", "/api/v1/keys", {"name": "x", "scopes": ["bill.read"], "expires": "2027-01-01T00:00:00Z"}),
        ("POST", "/api/v1/keys", {"name": "x", "scopes": "bill.read"}),
        ("POST", "/api/v1/keys", []),
        ("POST", "/api/v1/accounts", {"login": "a" * 65, "name": "x", "role": "sales"}),
    ],
)
async def test_bad_input_gets_a_clear_answer(
    client: httpx.AsyncClient, pool: Pool, method: str, path: str, body: object
) -> None:
    async with pool.acquire() as conn:
        headers = await key_headers(conn, await make_org(conn))
    answer = await client.request(method, path, json=body, headers={**headers, "accept-language": "en"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["findings"]


async def test_an_address_that_only_guesses_is_told_to_wait(
    client: httpx.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    parts = transport.app.state.yaosu.parts  # type: ignore[attr-defined]
    monkeypatch.setitem(parts, "access.sign_ins", RateLimit(per_minute=1, burst=3))
    guess = {"login": "nobody.at.all", "password": "some-password"}
    codes = [(await client.post("/api/v1/sessions", json=guess)).json()["code"] for _ in range(5)]
    assert codes == ["sign_in_failed"] * 3 + ["too_many_requests"] * 2
    waits = await client.post("/api/v1/sessions", json=guess)
    assert 0 < int(waits.headers["retry-after"]) <= 61
    page = await client.post("/login", data=guess, headers={"accept": "text/html"})
    assert page.status_code == 429
    assert "请求过于频繁" in page.text
