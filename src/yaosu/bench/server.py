"""A server to load, in a process of its own: the real application as `yaosu serve` runs it, and one empty endpoint.

    YAOSU_DATABASE_URL=… python -m yaosu.bench.server PORT FOLDER

One process, no worker. The empty endpoint answers `{}` through the same middleware; it exists only here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.responses import Response

from yaosu.api.app import create_app
from yaosu.bench.database import Database, tune_gc
from yaosu.edge import websocket
from yaosu.edge.logging import configure
from yaosu.settings import Settings

EMPTY = "/bench/empty"
START_S = 600.0
"""Only what hangs comes to this end: a start that takes long is not measured."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where the server listens, and its process."""

    host: str
    port: int
    pid: int


def main(port: int, folder: Path) -> None:
    """Serve until terminated. Log and settings of uvicorn are those of `yaosu serve`."""
    configure(os.environ.get("YAOSU_LOG", "info"))
    address = os.environ["YAOSU_DATABASE_URL"]
    settings = Settings(folder, address, "127.0.0.1", port, f"http://127.0.0.1:{port}")
    app = create_app(settings, address)

    async def empty() -> Response:
        return Response(b"{}", media_type="application/json")

    app.add_api_route(EMPTY, empty, methods=["GET"], include_in_schema=False)
    # found first: the baseline does not pay for the number of our routes
    app.router.routes.insert(0, app.router.routes.pop())
    tune_gc()
    uvicorn.run(
        app,
        host=settings.host,
        port=port,
        log_level="warning",
        access_log=False,
        loop="uvloop",
        http="httptools",
        server_header=False,
        **websocket.options(),
    )


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(database: Database) -> AsyncIterator[Running]:
    """The server on `database`, until the end of the block."""
    port = free_port()
    folder = database.folder / "server"
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    with log.open("wb") as file:
        # a line for every request goes to a file, as it would in operation
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "yaosu.bench.server",
            str(port),
            str(folder),
            env={**os.environ, "YAOSU_DATABASE_URL": database.address},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=file,
        )
    try:
        await _until_listening(process, port, log)
        yield Running("127.0.0.1", port, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _until_listening(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(START_S):
        while True:
            if process.returncode is not None:
                raise RuntimeError(
                    f"the benchmark's server ended at once with exit code {process.returncode}"
                )
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
