"""What every request passes: who asks, size, bytes, forgery, headers, the log line."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
import structlog
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

from access.helpers import PASSWORD, make_account, make_key, make_org
from yaosu.access.cache import ENTRIES_MAX, TTL_S, IdentityCache
from yaosu.access.headers import response_headers
from yaosu.access.limits import RateLimit
from yaosu.access.model import Identity
from yaosu.api.app import create_app
from yaosu.db.engine import Pool
from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.settings import Settings
from yaosu.subject import Subject

ME = "/api/v1/me"
PROBE = "/api/v1/openapi.json"


@pytest_asyncio.fixture(loop_scope="module")
async def key(pool: Pool) -> str:
    """A working key of a wholesaler."""
    async with pool.acquire() as conn:
        return await make_key(conn, await make_org(conn))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """The real application with a 1 MB limit, behind HTTPS, and two routes that read and fail."""
    settings = Settings(
        tmp_path_factory.mktemp("data"), database, "127.0.0.1", 0, "https://yaosu.example", 1, True
    )
    app: FastAPI = create_app(settings, database)

    async def swallow(request: Request) -> JSONResponse:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return JSONResponse({"size": size})

    async def fail(request: Request) -> JSONResponse:
        raise RuntimeError("secret detail of the failure")

    app.add_route("/api/v1/swallow", swallow, methods=["POST"])
    app.add_route("/api/v1/uploads/swallow", swallow, methods=["POST"])
    app.add_route("/api/v1/fail/{code}", fail, methods=["GET"])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="https://yaosu.example") as opened,
    ):
        yield opened


async def _signed_in(
    client: httpx.AsyncClient, pool: Pool, role: str = "admin"
) -> tuple[dict[str, str], str]:
    """Headers with the cookie of a new session, and its CSRF secret; the client itself keeps nothing."""
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), role)
    answer = await client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    token = answer.cookies["yaosu_session"]
    client.cookies.clear()
    return {"cookie": f"yaosu_session={token}"}, answer.json()["csrf"]


# --- keys ---------------------------------------------------------------------------------------------------


async def test_a_key_that_nobody_holds_is_refused_even_where_none_is_needed(
    client: httpx.AsyncClient,
) -> None:
    made_up = "yk_abcdefgh_" + "A" * 43
    for headers in (
        {"authorization": f"Bearer {made_up}"},
        {"x-api-key": made_up},
        {"authorization": "Basic x"},
        {"x-api-key": ""},
    ):
        for _ in range(2):  # the second comes from memory
            answer = await client.get(PROBE, headers=headers)
            assert answer.status_code == 401
            assert answer.json()["code"] == "key_invalid"
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_good_key_is_let_through_by_either_header(client: httpx.AsyncClient, key: str) -> None:
    for headers in (
        {"authorization": f"Bearer {key}"},
        {"authorization": f"bearer {key}"},
        {"x-api-key": key},
    ):
        answer = await client.get(ME, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["kind"] == "key"
        assert answer.headers["cache-control"] == "no-store"


async def test_a_key_revoked_over_the_api_is_worth_nothing_at_once(
    client: httpx.AsyncClient, pool: Pool, key: str
) -> None:
    bearer = {"authorization": f"Bearer {key}"}
    assert (await client.get(ME, headers=bearer)).status_code == 200
    async with pool.acquire() as conn:
        number = await conn.fetchval("SELECT id FROM api_key WHERE prefix = $1", key[:11])
    assert (await client.delete(f"/api/v1/keys/{number}", headers=bearer)).status_code == 204
    answer = await client.get(ME, headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked")


async def test_a_busy_key_costs_no_query_per_request(client: httpx.AsyncClient, pool: Pool, key: str) -> None:
    bearer = {"authorization": f"Bearer {key}"}
    await client.get(PROBE, headers=bearer)
    # what the database now says of the key is not asked again within the memory's life
    async with pool.acquire() as conn:
        await conn.execute("UPDATE api_key SET revoked_at = now() WHERE prefix = $1", key[:11])
    assert (await client.get(PROBE, headers=bearer)).status_code == 200


def test_the_memory_forgets_in_time_in_size_and_on_demand() -> None:
    now = [0.0]
    cache = IdentityCache(lambda: now[0])
    identity = Identity(Subject(kind="key", org_id=3), key_id=5)
    cache.put(b"a", identity)
    assert cache.get(b"a") == (True, identity)
    now[0] = TTL_S + 0.1
    assert cache.get(b"a") == (False, None)
    cache.put(b"a", identity)
    cache.forget("key", 5)
    assert cache.get(b"a") == (False, None)
    # a row read before the revocation's commit must not come back
    cache.put(b"a", identity)
    assert cache.get(b"a") == (False, None)
    now[0] += TTL_S + 0.1
    cache.put(b"a", identity)
    assert cache.get(b"a") == (True, identity)
    for number in range(ENTRIES_MAX + 10):
        cache.put(number.to_bytes(4, "big"), identity)
    assert len(cache) <= ENTRIES_MAX


# --- bytes and sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["a=%00", "a=%ff", "a=1&%00=b", "a=%ed%a0%80"])
async def test_bytes_that_no_text_can_hold_are_refused_in_the_query(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"{PROBE}?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_body"


@pytest.mark.parametrize("path", ["/api/v1/%00", "/api/v1/accounts/%ff", "/%c0%80"])
async def test_and_in_the_path(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_body"


@pytest.mark.parametrize("cut", [None, 29, 33])
async def test_a_nul_in_json_is_refused_wherever_the_chunks_are_cut(
    client: httpx.AsyncClient, key: str, cut: int | None
) -> None:
    body = b'{"name": "ERP", "scopes": ["\\u0000"]}'
    assert body.index(b"\\u0000") < (cut or 30) < body.index(b"\\u0000") + 6 or cut is None

    async def chunks() -> AsyncIterator[bytes]:
        yield body[: cut or len(body)]
        yield body[cut or len(body) :]

    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    answer = await client.post("/api/v1/keys", content=chunks(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


@pytest.mark.parametrize(
    "body",
    [b'{"name": "\\ud800", "scopes": ["bill.read"]}', b"\xff\xfe", b'{"name": "a\nb"}', b"[" * 5000, b"nul"],
)
async def test_hostile_json_gets_a_clear_answer(client: httpx.AsyncClient, key: str, body: bytes) -> None:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    answer = await client.post("/api/v1/keys", content=body, headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["message"]


@pytest.mark.parametrize("name", ["a\x01b", "a\u202eb", "\x7f", " ", "x" * 101])
async def test_control_and_direction_characters_are_refused_in_names(
    client: httpx.AsyncClient, key: str, name: str
) -> None:
    answer = await client.post(
        "/api/v1/keys",
        json={"name": name, "scopes": ["bill.read"]},
        headers={"authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 422
    assert answer.json()["findings"][0]["where"] == "name"


async def test_an_announced_body_beyond_the_limit_is_refused_unread(small: httpx.AsyncClient) -> None:
    answer = await small.post(
        "/api/v1/swallow", content=b"x" * (1024 * 1024 + 1), headers={"accept-language": "en"}
    )
    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"
    assert "1 MB" in answer.json()["message"]


async def test_an_unannounced_body_is_cut_off_while_it_streams(small: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 200 * 1024 * 1024:
            sent += 65536
            yield b"x" * 65536

    answer = await small.post("/api/v1/swallow", content=endless())
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert sent <= 2 * 1024 * 1024


async def test_a_json_route_that_reads_too_much_says_so_too(small: httpx.AsyncClient) -> None:
    async def long() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65536

    answer = await small.post(
        "/api/v1/sessions", content=long(), headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_body_at_the_limit_and_an_upload_beyond_it_pass(small: httpx.AsyncClient) -> None:
    size = 1024 * 1024
    assert (await small.post("/api/v1/swallow", content=b"x" * size)).json() == {"size": size}
    assert (await small.post("/api/v1/uploads/swallow", content=b"x" * 3 * size)).json() == {"size": 3 * size}


# --- forgery ------------------------------------------------------------------------------------------------


async def test_a_change_by_cookie_needs_the_sessions_secret(client: httpx.AsyncClient, pool: Pool) -> None:
    cookie, csrf = await _signed_in(client, pool)
    body = {"name": "ERP", "scopes": ["bill.read"]}
    for extra in (
        {},
        {"x-csrf-token": ""},
        {"x-csrf-token": csrf[:-1]},
        {"x-csrf-token": "é".encode("latin-1")},
    ):
        answer = await client.post("/api/v1/keys", json=body, headers={**cookie, **extra})
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf_refused")
    assert (
        await client.post("/api/v1/keys", json=body, headers={**cookie, "x-csrf-token": csrf})
    ).status_code == 201


async def test_the_secret_of_another_session_does_not_fit(client: httpx.AsyncClient, pool: Pool) -> None:
    cookie, _ = await _signed_in(client, pool)
    _, foreign = await _signed_in(client, pool)
    answer = await client.delete("/api/v1/sessions/current", headers={**cookie, "x-csrf-token": foreign})
    assert answer.status_code == 403


async def test_a_form_carries_the_secret_in_a_field_and_the_page_still_gets_it_all(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    cookie, csrf = await _signed_in(client, pool)
    form = {"name": "收银台一号", "scope": "bill.read"}
    refused = await client.post("/keys", data=form, headers=cookie)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_refused")
    for sent in (
        {"data": {**form, "_csrf": csrf}},
        {"data": {"_csrf": csrf, **form}, "files": {"extra": ("a.bin", b"\x00" * 300_000)}},
    ):
        made = await client.post("/keys", headers=cookie, **sent)
        assert made.status_code == 200, made.text
        assert "收银台一号" in made.text
        assert "yk_" in made.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://test.evil.example"},
    ],
)
async def test_another_sites_request_is_refused_even_with_the_secret_and_at_sign_in(
    client: httpx.AsyncClient, pool: Pool, headers: dict[str, str]
) -> None:
    cookie, csrf = await _signed_in(client, pool)
    done = await client.delete(
        "/api/v1/sessions/current", headers={**cookie, "x-csrf-token": csrf, **headers}
    )
    assert (done.status_code, done.json()["code"]) == (403, "csrf_refused")
    login = await client.post("/login", data={"login": "a", "password": "b"}, headers=headers)
    assert login.status_code == 403


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {"origin": "http://test"}]
)
async def test_our_own_pages_requests_pass(
    client: httpx.AsyncClient, pool: Pool, headers: dict[str, str]
) -> None:
    cookie, csrf = await _signed_in(client, pool)
    done = await client.delete(
        "/api/v1/sessions/current", headers={**cookie, "x-csrf-token": csrf, **headers}
    )
    assert done.status_code == 204


async def test_a_call_by_key_needs_no_such_secret(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(
        "/api/v1/keys",
        json={"name": "ERP", "scopes": ["bill.read"]},
        headers={"authorization": f"Bearer {key}", "origin": "https://erp.example"},
    )
    assert answer.status_code == 201


# --- answers ------------------------------------------------------------------------------------------------


async def test_every_answer_carries_the_security_headers(small: httpx.AsyncClient) -> None:
    for path in (PROBE, "/login", "/nowhere", ME, "/api/v1/fail/1", "/api/v1/x?a=%00"):
        answer = await small.get(path)
        policy = answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in policy
        # WebAssembly may be compiled (the decoder of the camera); text never becomes script
        assert "unsafe" not in policy.replace("'wasm-unsafe-eval'", "")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "camera=(self)" in answer.headers["permissions-policy"]
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert len(answer.headers["x-request-id"]) == 16


def test_without_https_browsers_are_not_told_to_insist_on_it() -> None:
    names = {name for name, _ in response_headers([], private=False, secure=False, path="/")}
    assert b"strict-transport-security" not in names
    assert b"cache-control" not in names


async def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(
    small: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), "admin")
    answer = await small.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
    small.cookies.clear()
    flags = answer.headers["set-cookie"].lower()
    assert all(flag in flags for flag in ("httponly", "samesite=lax", "secure", "path=/"))
    assert answer.cookies["yaosu_session"] not in answer.text


async def test_an_unexpected_failure_tells_the_caller_a_number_and_nothing_else(
    small: httpx.AsyncClient,
) -> None:
    answer = await small.get("/api/v1/fail/1")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "secret detail" not in answer.text


async def test_the_log_has_the_route_and_no_codes_queries_passwords_or_keys(
    client: httpx.AsyncClient, small: httpx.AsyncClient, pool: Pool, key: str
) -> None:
    async with pool.acquire() as conn:
        _, login = await make_account(conn, await make_org(conn), "admin")
    with structlog.testing.capture_logs() as lines:
        answer = await client.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
        client.cookies.clear()
        await client.post("/api/v1/sessions", json={"login": login, "password": "typed-it-wrong"})
        await client.get(f"{ME}?id_card=650102199001011234", headers={"authorization": f"Bearer {key}"})
        await small.get("/api/v1/fail/83857930000879766660")
        await client.get("/83857930000879766660/and/more")
    text = repr(lines)
    for secret in (PASSWORD, "typed-it-wrong", key, answer.cookies["yaosu_session"], answer.json()["csrf"]):
        assert secret not in text
    assert "650102199001011234" not in text
    requests = [line for line in lines if line["event"] == "request"]
    assert [(r["method"], r["route"], r["status"]) for r in requests[:3]] == [
        ("POST", "/api/v1/sessions", 201),
        ("POST", "/api/v1/sessions", 401),
        ("GET", "/api/v1/me", 200),
    ]
    assert requests[2]["by"] == "key"
    assert (requests[3]["route"], requests[3]["status"]) == ("/api/v1/fail/{code}", 500)
    assert requests[4]["route"] == "unmatched"
    assert "83857930000879766660" not in repr(requests)


async def test_last_use_is_written_down_a_little_later(
    client: httpx.AsyncClient, pool: Pool, key: str
) -> None:
    await client.get(ME, headers={"authorization": f"Bearer {key}"})
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    state: AppState = transport.app.state.yaosu  # type: ignore[attr-defined]
    await state.parts["access.last_used"].flush(state)
    async with pool.acquire() as conn:
        used = await conn.fetchval(
            "SELECT last_used_at > now() - interval '1 min' FROM api_key WHERE prefix = $1", key[:11]
        )
    assert used


def test_an_address_has_its_burst_then_its_rate() -> None:
    now = [0.0]
    limit = RateLimit(per_minute=60, burst=3, clock=lambda: now[0])
    for _ in range(3):
        limit.take("10.0.0.1")
    with pytest.raises(YaosuError) as refused:
        limit.take("10.0.0.1")
    assert refused.value.params["seconds"] == 1 or refused.value.params["seconds"] == 2
    limit.take("10.0.0.2")
    now[0] = 1.01
    limit.take("10.0.0.1")


def test_one_owner_of_an_ipv6_network_is_one_address() -> None:
    limit = RateLimit(per_minute=1, burst=1, clock=lambda: 0.0)
    limit.take("2001:db8:1:2:3:4:5:6")
    with pytest.raises(YaosuError):
        limit.take("2001:db8:1:2:ffff::1")
