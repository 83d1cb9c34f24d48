"""Real Yaosu processes beside the tests: each with its own database, reached over HTTP as a stranger would."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

STARTED_WITHIN_S = 600
"""Only what hangs comes to its end: on a busy machine a start has taken more than a hundred times its two seconds."""
COMES_WITHIN_S = 300
"""The same for what a process does by itself."""


async def until(what: Callable[[], Awaitable[object]], seconds: float = COMES_WITHIN_S) -> None:
    """Wait until it is so: another process's work, which takes what it takes."""
    end = time.monotonic() + seconds
    while not await what():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.05)


PORTS = range(11_000, 20_000)
"""Below those that systems give to outgoing connections: a port of these is nobody's by chance."""
_taken: list[socket.socket] = []


def free_port() -> int:
    """A port nobody listens on, for this test process alone as long as it lives: a server that was killed finds it
    free again. It is held by a UDP socket of the same number, which other test processes see and TCP does not."""
    for port in random.sample(PORTS, len(PORTS)):
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            held.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            held.close()
            continue
        _taken.append(held)
        return port
    raise AssertionError("no port is free")


@dataclass
class Running:
    """One server process. `kill` ends it as a power cut would; `start` brings it back on the same database."""

    database: str
    data: Path
    port: int
    env: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        log = (self.data / "server.log").open("ab")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "yaosu.cli.main",
                "serve",
                "--port",
                str(self.port),
                "--data",
                str(self.data),
            ],
            env={
                **os.environ,
                "YAOSU_DATABASE_URL": self.database,
                "YAOSU_WEBHOOK_HOSTS": "127.0.0.1",
                "YAOSU_LOG_LEVEL": "info",
                **self.env,
            },
            stdout=log,
            stderr=log,
        )
        until = time.monotonic() + STARTED_WITHIN_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/api/v1/health", timeout=10).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.log()[-4000:]}")

    def log(self) -> str:
        """What it logged."""
        return (self.data / "server.log").read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, its worker too: nothing is finished, nothing is said."""
        if self.process is not None:
            number = self.process.pid
            children: list[str] = []
            with suppress(OSError):  # not every kernel tells
                children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
            self.process.kill()
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it in order."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None


@contextmanager
def running(
    server_address: str, template_name: str, folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """A server on a fresh database of its own, ended and dropped afterwards.

    `server_address` and `template_name` are the fixtures of tests/conftest.py; `folder` an empty folder.
    """
    name = f"yaosu_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_address, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template_name}")
    head, _, tail = server_address.partition("?")
    address = head.rsplit("/", 1)[0] + "/" + name + (f"?{tail}" if tail else "")
    folder.mkdir(parents=True, exist_ok=True)
    one = Running(address, folder, free_port(), env or {})
    try:
        one.start()
        yield one
    finally:
        one.stop()
        with psycopg.connect(server_address, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
