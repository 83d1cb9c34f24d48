"""`yaosu`: serve, demo, migrate, worker, bench, and the rooms' own commands.

Exit codes: 0 done, 1 refused or failed with the reason printed, 2 wrong use of the command.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from yaosu import __version__, settings
from yaosu.edge.terminal import refusals
from yaosu.settings import Settings

app = typer.Typer(
    name="yaosu",
    help="药溯 Yaosu: 药品追溯平台 drug traceability platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console()

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen on 监听地址 (127.0.0.1).")]
PortOption = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port 端口 (8600).")]


def _checked_port(chosen: Settings) -> None:
    from yaosu.cli.server import port_in_use

    if port_in_use(chosen.host, chosen.port):
        console.print(
            f"端口 {chosen.port} 已被占用；请用 --port 换一个。 Port {chosen.port} is in use.", style="red"
        )
        raise typer.Exit(1)


@app.command()
def serve(data: DataOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Run the server 启动服务.

    With no YAOSU_DATABASE_URL it runs its own PostgreSQL in the data folder; otherwise it uses that server
    (PostgreSQL 15 or newer). A worker process for long jobs starts and stops with it. Stop with Ctrl-C.
    """
    from yaosu.cli import server

    chosen = settings.load(data=data, host=host, port=port)
    _checked_port(chosen)

    async def ready(one: Settings) -> None:
        console.print(f"ready: {one.public_url}", soft_wrap=True)

    raise typer.Exit(asyncio.run(server.run(chosen, ready)))


@app.command()
def demo(data: DataOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Run the server with a lively demo province 启动演示.

    The province is played through the public API at the first start; later starts on the same data folder take
    seconds. Prints addresses, logins and one code in each interesting state.
    """
    from yaosu.cli import server
    from yaosu.simulate import demo as province

    # a line per request would bury what is printed for people
    os.environ.setdefault("YAOSU_LOG_LEVEL", "warning")
    chosen = settings.load(data=data, host=host, port=port)
    _checked_port(chosen)
    chosen, receiver, other = province.prepared(chosen)

    async def ready(one: Settings) -> None:
        await province.play(one, console, receiver, other)

    raise typer.Exit(asyncio.run(server.run(chosen, ready)))


@app.command(name="migrate")
def migrate_command(data: DataOption = None) -> None:
    """Bring the database's schema up to date 升级数据库结构."""
    from yaosu.db.embedded import database_address
    from yaosu.db.engine import connect
    from yaosu.db.jobs import ensure_schema
    from yaosu.db.migrate import migrate

    chosen = settings.load(data=data)

    async def work() -> list[str]:
        address = database_address(chosen.data, chosen.database_url)
        conn = await connect(address)
        try:
            done = await migrate(conn)
        finally:
            await conn.close()
        await ensure_schema(address)
        return done

    for name in asyncio.run(work()):
        console.print(f"applied {name}")
    console.print("数据库结构已是最新。 The schema is up to date.")


@app.command()
def worker(data: DataOption = None) -> None:
    """Run long jobs 运行后台作业: large relation files, large bills. `serve` starts one by itself."""
    from yaosu.cli.server import run_jobs
    from yaosu.db.embedded import database_address

    chosen = settings.load(data=data)
    address = database_address(chosen.data, chosen.database_url)
    asyncio.run(run_jobs(chosen, address))


@app.command()
def version() -> None:
    """Print the version 版本."""
    console.print(f"yaosu {__version__}")


def _mount() -> None:
    """Rooms bring their own commands; the bench brings one."""
    for name, target, attribute in (
        ("code", "yaosu.production.commands", "app"),
        ("import", "yaosu.registry.commands", "import_app"),
        ("export", "yaosu.registry.commands", "export_app"),
        ("user", "yaosu.access.commands", "app"),
        ("place", "yaosu.registry.commands_places", "app"),
        ("bill", "yaosu.circulation.commands", "app"),
        ("delegation", "yaosu.circulation.commands_acting", "app"),
        ("ledger", "yaosu.ledger.commands", "app"),
        ("message", "yaosu.notify.commands_messages", "app"),
        ("webhook", "yaosu.notify.commands", "app"),
        ("grant", "yaosu.grants.commands", "app"),
        ("exception", "yaosu.exceptions.commands", "app"),
        ("person", "yaosu.people.commands", "app"),
        ("dispense", "yaosu.dispensing.commands", "app"),
        ("uncoded", "yaosu.uncoded.commands", "app"),
        ("recall", "yaosu.recall.commands", "app"),
        ("quality", "yaosu.quality.commands", "app"),
        ("capture", "yaosu.capture.commands", "app"),
        ("insurance", "yaosu.insurance.commands", "app"),
        ("exchange", "yaosu.exchange.outbox.commands", "app"),
        ("top", "yaosu.exchange.top.commands", "app"),
        ("yibao", "yaosu.exchange.yibao.commands", "app"),
        ("epcis", "yaosu.exchange.epcis.commands", "app"),
        ("xietong", "yaosu.exchange.xietong.commands", "app"),
        ("jianguan", "yaosu.exchange.jianguan.commands", "app"),
        ("files", "yaosu.exchange.files.commands", "app"),
    ):
        if find_spec(target) is not None:
            app.add_typer(getattr(import_module(target), attribute), name=name)
    if find_spec("yaosu.bench") is not None and find_spec("yaosu.bench.commands") is not None:
        import_module("yaosu.bench.commands").add_to(app)


def run() -> None:
    """Entry point of the `yaosu` command."""
    # the embedded server's package looks for a runtime folder and complains where a machine has none
    warnings.filterwarnings("ignore", category=UserWarning, module="platformdirs")
    _mount()
    try:
        with refusals():
            app()
    except typer.Exit as done:
        raise SystemExit(done.exit_code) from None
    except OSError as error:
        # a file of the caller's that cannot be read or written
        if error.filename is None:
            raise
        console.print(f"{error.filename}: {error.strerror}", style="red", markup=False)
        raise SystemExit(1) from None


if __name__ == "__main__":
    run()
