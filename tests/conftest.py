"""Real PostgreSQL for every store: one server for the run, one migrated template, a copy per module."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from yaosu.access.cache import identities
from yaosu.db import embedded
from yaosu.db.engine import Connection, Pool, connect, open_pool
from yaosu.db.migrate import migrate
from yaosu.settings import Settings

TEMPLATE = "yaosu_test_template"
# On a busy machine drawing examples takes longer; that says nothing about the code. Every run draws the same ones; to
# look for others: YAOSU_TEST_RANDOM=1, also with pytest's --hypothesis-seed.
settings.register_profile(
    "any machine",
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
    derandomize="YAOSU_TEST_RANDOM" not in os.environ,
)
settings.load_profile("any machine")


def _with_database(address: str, name: str) -> str:
    head, _, tail = address.partition("?")
    base = head.rsplit("/", 1)[0]
    return f"{base}/{name}" + (f"?{tail}" if tail else "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start server processes of their own are slow: they run once, on the embedded PostgreSQL."""
    for item in items:
        module = getattr(item, "module", None)
        if hasattr(module, "running") or hasattr(module, "Running"):
            item.add_marker(pytest.mark.slow)
    if any(item.get_closest_marker("browser") for item in items):
        from playwright.sync_api import expect

        # what is waited for comes in moments; on a busy machine in many of them
        expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def server_address() -> Iterator[str]:
    """The server the tests run on: `YAOSU_TEST_DATABASE_URL`, or an embedded one of their own, gone afterwards."""
    given = os.environ.get("YAOSU_TEST_DATABASE_URL", "")
    shared = os.environ.get("YAOSU_TEST_DATA")
    if given:
        yield given
    elif shared:
        yield embedded.start(Path(shared))
    else:
        # a short path: a socket's address has a length limit
        data = Path(tempfile.mkdtemp(prefix="yaosu-test-"))
        address = embedded.start(data)
        with psycopg.connect(address, autocommit=True) as conn:
            # killed servers lose nothing by it, only a machine that loses power would
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")
        try:
            yield address
        finally:
            embedded.stop(data)
            shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def template_name(server_address: str) -> str:
    """A migrated database to copy from, made once per test process."""
    import asyncio

    name = f"{TEMPLATE}_{os.getpid()}"
    with psycopg.connect(server_address, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name}")
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")

    async def apply() -> None:
        conn = await connect(_with_database(server_address, name))
        await migrate(conn)
        await conn.close()

    asyncio.run(apply())
    return name


@pytest.fixture(scope="module")
def database(server_address: str, template_name: str) -> Iterator[str]:
    """The address of a fresh, migrated database for one test module."""
    name = f"yaosu_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_address, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template_name}")
    # the process remembers who was signed off a moment ago, and another database has others under the same numbers
    identities.clear()
    yield _with_database(server_address, name)
    with psycopg.connect(server_address, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool on the module's database."""
    opened = await open_pool(database)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def db(pool: Pool) -> AsyncIterator[Connection]:
    """A connection in a transaction that is rolled back afterwards."""
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        try:
            yield conn
        finally:
            await transaction.rollback()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client against the real application on the module's database."""
    from yaosu.api.app import create_app

    settings = Settings(
        data=tmp_path_factory.mktemp("data"),
        database_url=database,
        host="127.0.0.1",
        port=0,
        public_url="http://test",
    )
    app = create_app(settings, database)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app, raise_app_exceptions=False), base_url="http://test"
        ) as opened,
    ):
        yield opened
