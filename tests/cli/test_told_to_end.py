"""A server that ends leaves nothing running behind it: told to while it starts, or killed without a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from exchange.running import free_port, running


def test_a_server_told_to_end_while_its_database_starts_takes_it_along(tmp_path: Path) -> None:
    """At whatever moment of the start the word comes, the outcome is the same."""
    env = {k: v for k, v in os.environ.items() if k != "YAOSU_DATABASE_URL"}
    # a socket's address has a length limit, and test folders are deep
    with tempfile.TemporaryDirectory(prefix="ys-") as place, (tmp_path / "out").open("wb") as out:
        mark = Path(place) / "pg" / "postmaster.pid"
        server = subprocess.Popen(
            [sys.executable, "-m", "yaosu.cli.main", "serve", "--data", place, "--port", str(free_port())],
            env=env,
            stdout=out,
            stderr=out,
        )
        until = time.monotonic() + 180
        while not mark.exists() and server.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert mark.exists(), (tmp_path / "out").read_text()
        server.send_signal(signal.SIGTERM)
        assert server.wait(180) == 0, (tmp_path / "out").read_text()
        assert not mark.exists()


def _children(parent: int) -> list[int]:
    """Processes whose parent is `parent` (Linux)."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:
            continue  # gone meanwhile
        if f"PPid:\t{parent}" in lines and not any(line.startswith("State:\tZ") for line in lines):
            found.append(int(status.parent.name))
    return found


def _runs(number: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child only on Linux")
def test_a_worker_ends_with_a_server_that_was_killed(
    server_address: str, template_name: str, tmp_path: Path
) -> None:
    with running(server_address, template_name, tmp_path) as server:
        assert server.process is not None
        until = time.monotonic() + 180
        while not (workers := _children(server.process.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        assert workers
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        while any(map(_runs, workers)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(_runs, workers))
