"""Runs the web server and its worker as one unit that starts fast and stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import structlog
import uvicorn

from yaosu.api.app import create_app
from yaosu.circulation import tasks as circulation_tasks
from yaosu.cli import clock
from yaosu.db import embedded
from yaosu.db.engine import connect
from yaosu.db.jobs import ensure_schema, make_app, run_worker
from yaosu.db.migrate import migrate
from yaosu.edge import logging, websocket
from yaosu.edge.child import ends_with_parent
from yaosu.exchange.files import tasks as files_tasks
from yaosu.production import tasks as production_tasks
from yaosu.settings import Settings

Ready = Callable[[Settings], Coroutine[Any, Any, None]]
KEEP_ALIVE_S = 75
"""An idle connection stays open for longer than programs and proxies keep theirs (5 to 60 s by default): a request sent
at the moment in which the server closes would be lost."""
WORKER_STOP_S = 10.0
WORKER_PAUSE_S = 1.0
WORKER_STEADY_S = 60.0
"""A worker that ran this long was no false start; also the longest pause before the next try."""

log = structlog.get_logger("yaosu.server")


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us: it would re-raise them before the database is stopped."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def tune_gc() -> None:
    """Fewer collections: requests make many short-lived objects and few cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def start_log() -> None:
    """Log to standard error: lines of JSON, or for somebody at a terminal what needs attention only."""
    terminal = sys.stderr.isatty()
    level = os.environ.get("YAOSU_LOG_LEVEL", "warning" if terminal else "info")
    logging.configure(level, json=not terminal)


async def prepare_database(settings: Settings) -> str:
    """Start or reach the database, bring it up to date; its address."""
    address = embedded.database_address(settings.data, settings.database_url)
    conn = await connect(address)
    try:
        await migrate(conn)
    finally:
        await conn.close()
    await ensure_schema(address)
    return address


def port_in_use(host: str, port: int) -> bool:
    """Whether somebody listens there already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


async def run(settings: Settings, ready: Ready, *, worker: bool = True) -> int:
    """Serve until SIGINT or SIGTERM; `ready` is called once requests are answered. The exit code."""
    start_log()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # from the beginning: whoever is told to end while the database starts must not leave it running
        loop.add_signal_handler(number, told.set)
    address = await prepare_database(settings)
    if told.is_set():
        if settings.embedded:
            await asyncio.to_thread(embedded.stop, settings.data)
        return 0
    config = uvicorn.Config(
        create_app(settings, address),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        http="httptools",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=10,
        server_header=False,
        **websocket.options(),
    )
    server = _Server(config)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    beside = asyncio.create_task(_keep_worker(settings, address), name="worker") if worker else None
    serving = asyncio.create_task(server.serve(), name="server")
    code = 0
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn offers no event
            await asyncio.sleep(0.02)
        if server.started:
            tune_gc()
            readying = asyncio.create_task(ready(settings), name="ready")
            done, _ = await asyncio.wait({readying, serving}, return_when=asyncio.FIRST_COMPLETED)
            if readying in done and readying.exception() is not None:
                server.should_exit = True
                # what has no text of its own (a timeout) is told by its name
                print(f"error: {str(readying.exception()) or repr(readying.exception())}", file=sys.stderr)
                code = 1
            readying.cancel()
            # what it runs beside us (the demo's other system) ends before the database does
            await asyncio.wait({readying})
        else:
            code = 1
        await serving
    finally:
        if beside is not None:
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
        if settings.embedded:
            await asyncio.to_thread(embedded.stop, settings.data)
    return code


async def run_jobs(settings: Settings, address: str, *, until_empty: bool = False) -> None:
    """The worker: all rooms' long work, one job at a time. The order of rooms names their tasks."""
    start_log()
    app = make_app(
        address,
        production_tasks.make_blueprint(settings, address),
        circulation_tasks.make_blueprint(address),
        clock.make_blueprint(settings, address),
        files_tasks.make_blueprint(settings, address),
    )
    await run_worker(app, address, until_empty=until_empty)


async def _keep_worker(settings: Settings, address: str) -> None:
    """Run the worker until cancelled; one that ends by itself is started again, ever more slowly.

    Long work runs beside the server, in a process of its own that never blocks a request.
    """
    env = {**os.environ, "YAOSU_DATABASE_URL": address, "YAOSU_DATA": str(settings.data)}
    command = (sys.executable, "-m", "yaosu.cli.main", "worker")
    pause_s = WORKER_PAUSE_S
    while True:
        # a group of its own: Ctrl-C reaches the server only, which then stops the worker in order
        child = await asyncio.create_subprocess_exec(
            *command, env=env, start_new_session=True, preexec_fn=ends_with_parent
        )
        started = asyncio.get_running_loop().time()
        try:
            code = await child.wait()
        except asyncio.CancelledError:
            await _stop(child)
            raise
        if asyncio.get_running_loop().time() - started > WORKER_STEADY_S:
            pause_s = WORKER_PAUSE_S
        log.error("worker_ended", code=code, again_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, WORKER_STEADY_S)


async def _stop(child: asyncio.subprocess.Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        await asyncio.wait_for(child.wait(), WORKER_STOP_S)
    except TimeoutError:
        child.kill()
        await child.wait()
