"""What the database may do to a request: two callers at the same rows (one that is away: tests/exchange). Each is told
told so in the form of its own protocol, and knows whether to repeat at once or later (R-X1, R-X2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import JSONResponse
from structlog.testing import capture_logs

from yaosu.api.app import create_app
from yaosu.circulation.store_write import ConflictError
from yaosu.db import trouble
from yaosu.db.engine import connect
from yaosu.edge.state import AppState
from yaosu.exchange.top import gateway
from yaosu.settings import Settings

of_one_loop = pytest.mark.asyncio(loop_scope="module")

PATHS = ("/api/v1/cross/{first}/{then}", "/epcis/cross/{first}/{then}", "/cross/{first}/{then}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crossing(
    database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[httpx.AsyncClient, AppState]]:
    """The real application with routes that lock two rows, each after the other one has locked its first."""
    app = create_app(
        Settings(tmp_path_factory.mktemp("data"), database, "127.0.0.1", 0, "http://test"), database
    )
    both = asyncio.Barrier(2)

    async def cross(request: Request) -> JSONResponse:
        shared: AppState = app.state.yaosu
        async with shared.pool.acquire() as conn, conn.transaction():
            await conn.execute("UPDATE crossed SET n = n + 1 WHERE id = $1", request.path_params["first"])
            await both.wait()
            await conn.execute("UPDATE crossed SET n = n + 1 WHERE id = $1", request.path_params["then"])
        return JSONResponse({})

    for path in PATHS:
        # before all others: the rooms' own addresses may stand for everything below theirs
        app.add_route(path.replace("}", ":int}"), cross, methods=["GET"])
        app.router.routes.insert(0, app.router.routes.pop())
    conn = await connect(database)
    await conn.execute("CREATE TABLE crossed (id int PRIMARY KEY, n int NOT NULL)")
    await conn.execute("INSERT INTO crossed VALUES (1, 0), (2, 0)")
    await conn.close()
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client, app.state.yaosu


async def _one_lost(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    """Two callers cross; the answer of the one whose work was taken back. The other's stands, and nothing else."""
    answers = await asyncio.gather(
        client.get(path.format(first=1, then=2), headers=headers),
        client.get(path.format(first=2, then=1), headers=headers),
    )
    done, lost = sorted(answers, key=lambda a: a.status_code)
    assert (done.status_code, lost.status_code) == (200, 503)
    return lost


@of_one_loop
async def test_of_two_who_cross_one_is_told_that_nothing_of_its_was_saved(
    crossing: tuple[httpx.AsyncClient, AppState],
) -> None:
    client, app = crossing
    before = await app.pool.fetch("SELECT n FROM crossed ORDER BY id")
    with capture_logs() as lines:
        lost = await _one_lost(client, PATHS[0], **{"accept-language": "en"})
    body = lost.json()
    assert body["code"] == "database_conflict" and "nothing" in body["message"]
    assert lost.headers["retry-after"] == "1"
    assert lost.headers["content-type"] == "application/problem+json"
    after = await app.pool.fetch("SELECT n FROM crossed ORDER BY id")
    assert [a["n"] - b["n"] for a, b in zip(after, before, strict=True)] == [1, 1], "one of the two, once"
    (told,) = [line for line in lines if line["event"] == "database_conflict"]
    assert told["error"] == "DeadlockDetectedError" and "exc_info" not in told
    assert not [line for line in lines if line["event"] == "unhandled"]


@of_one_loop
async def test_a_browser_gets_a_page_and_epcis_its_own_form(
    crossing: tuple[httpx.AsyncClient, AppState],
) -> None:
    client, _ = crossing
    page = await _one_lost(client, PATHS[2], accept="text/html")
    assert "您的提交没有保存" in page.text and page.headers["retry-after"] == "1"
    assert page.headers["content-type"].startswith("text/html")
    problem = await _one_lost(client, PATHS[1])
    assert problem.json()["type"] == "epcisException:ImplementationException"
    assert problem.json()["status"] == 503 and problem.headers["retry-after"] == "1"


def _of(state: str, **more: str) -> asyncpg.PostgresError:
    """The driver's error for what a server says."""
    return asyncpg.PostgresError.new({"C": state, "M": "said", **more})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_of("40P01"), "database_conflict"),
        (_of("40001"), "database_conflict"),
        (_of("55P03"), "database_conflict"),
        (_of("23505"), "database_conflict"),
        (ConflictError("2 of 3"), "database_conflict"),
        # it may have been committed
        (_of("40003"), "database_away"),
        (_of("08006"), "database_away"),
        (_of("57P01"), "database_away"),
        (_of("57P02"), "database_away"),
        (_of("57P03"), "database_away"),
        (_of("53300"), "database_away"),
        (asyncpg.InterfaceError("connection is closed"), "database_away"),
        (asyncpg.InterfaceError("pool is closing"), "database_away"),
        (trouble.AwayError("no such file"), "database_away"),
        (ConnectionResetError(), "database_away"),
        # defects of ours and what an operator has to mend stay failures with a number
        (asyncpg.InterfaceError("cannot perform operation: another operation is in progress"), None),
        (_of("42601"), None),
        (_of("23503"), None),
        (_of("53100"), None),
        (FileNotFoundError("a file of ours"), None),
        (ValueError("closed"), None),
    ],
)
def test_what_is_nobodys_fault_is_known_by_its_kind(error: Exception, code: str | None) -> None:
    known = trouble.trouble(error)
    assert (known.code if known is not None else None) == code


def test_a_log_line_names_kinds_and_never_values() -> None:
    error = _of("23505", t="org", n="org_name_key", D="Key (name)=(某某药店) already exists.")
    assert trouble.traits(error) == {
        "error": "UniqueViolationError",
        "table": "org",
        "constraint": "org_name_key",
    }


@pytest.mark.parametrize(
    ("error", "expected"), [(_of("40P01"), "isp.service-busy"), (_of("57P01"), "isp.service-unavailable")]
)
def test_the_gateway_says_it_in_its_envelope(error: Exception, expected: str) -> None:
    with capture_logs() as lines:
        body = gateway.failed(error, "0123456789abcdef", xml=False).decode()
    assert expected in body and '"code":15' in body.replace(" ", "")
    assert [line["log_level"] for line in lines] == ["warning"] and "exc_info" not in lines[0]


async def test_no_address_listens(tmp_path: Any) -> None:
    for address in (f"postgresql://x@/x?host={tmp_path}", "postgresql://x@127.0.0.1:1/x"):
        with pytest.raises(trouble.AwayError):
            await connect(address)
