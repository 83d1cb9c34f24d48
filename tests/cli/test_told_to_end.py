"""A server that is told to end while it starts leaves no database running behind it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_told_to_end_while_its_database_starts_takes_it_along(tmp_path: Path) -> None:
    """At whatever moment of the start the word comes, the outcome is the same."""
    env = {k: v for k, v in os.environ.items() if k != "YAOSU_DATABASE_URL"}
    # a socket's address has a length limit, and test folders are deep
    with tempfile.TemporaryDirectory(prefix="ys-") as place, (tmp_path / "out").open("wb") as out:
        mark = Path(place) / "pg" / "postmaster.pid"
        server = subprocess.Popen(
            [sys.executable, "-m", "yaosu.cli.main", "serve", "--data", place, "--port", str(_free_port())],
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
