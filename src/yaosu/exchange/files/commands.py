"""`yaosu files …`: check, send and export files, and watch a folder for systems that can only drop them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from yaosu import settings
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.commands_common import run
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.db.engine import Pool
from yaosu.edge.terminal import DataOption, JsonOption, err, out, print_json, read_file, refusals
from yaosu.exchange.files import exports, folders, reading, results, service
from yaosu.exchange.files.doors import HttpDoor, LocalDoor
from yaosu.exchange.files.formats.cells import moment
from yaosu.exchange.files.reading import Room
from yaosu.exchange.files.sending import Doors
from yaosu.exchange.files.watch import PATIENCE_S, SETTLE_S, Door, Outcome, Watcher, locked, shown
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, acting

app = typer.Typer(
    name="files", help="Files in and out 文件收发: check, send, export, watch.", no_args_is_help=True
)

T = TypeVar("T")
FileArgument = Annotated[str, typer.Argument(help="XML, TXT, CSV, XLSX, XLS 文件; - for standard input.")]
TypeOption = Annotated[
    int | None, typer.Option("--type", help="Bill type where the file tells none 单据类型.")
]
EVERY_S = 0.5


def _in_room(data: Path | None, org: int, work: Callable[[Room, Any], Awaitable[T]]) -> T:
    chosen = settings.load(data=data)

    async def inside(pool: Pool, registry: Registry, committer: Committer) -> T:
        master = settings.master_secret(chosen.data)
        room = Room(Doors(pool, committer, registry), BatchCache(Issued(master)), chosen.data, master)
        return await work(room, acting(registry, org))

    return run(data, inside)


def _print(answer: dict[str, Any]) -> None:
    total = answer["summary"] if answer["state"] == "done" else answer.get("totals") or {}
    parts = " · ".join(f"{k} {v}" for k, v in total.items() if isinstance(v, int))
    out.print(
        f"#{answer['id']} {answer['name']} · {answer['format']} · {answer['state']} · {parts}", markup=False
    )
    found = [*answer.get("questions", ()), *answer.get("problems", ()), *answer.get("doubtful", ())]
    found += (answer.get("relation") or {}).get("findings", [])
    if found:
        table = Table()
        for name in ("位置 where", "内容 text", "问题 problem", "怎样改 fix"):
            table.add_column(name, overflow="fold")
        for one in found[:200]:
            table.add_row(*(str(one.get(k, "")) for k in ("where", "text", "message", "next")))
        out.print(table)


@app.command()
def check(file: FileArgument, org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Look at a file 检查文件: what it is, its bills, what is wrong and how it is put right. Sends nothing.

    Exit code 0: it could be sent as it is; 1: something is to be answered or corrected.
    """
    content = read_file(file)

    async def work(room: Room, subject: Any) -> dict[str, Any]:
        file_id, _ = await service.receive(room, subject, content, shown(Path(file).name), "cli", {})
        answer = await service.view(room, subject, file_id, "zh")
        if answer["state"] == "preview":
            async with room.doors.pool.acquire() as conn:
                await service.drop(conn, subject, file_id)
        return answer

    answer = _in_room(data, org, work)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    clean = answer["state"] == "done" or (answer.get("ready") and not answer.get("problem_count"))
    raise typer.Exit(0 if clean else 1)


@app.command()
def send(
    file: FileArgument,
    org: OrgOption,
    type_: TypeOption = None,
    partner: Annotated[
        int | None, typer.Option("--partner", help="Partner of bills that name none 往来单位.")
    ] = None,
    bill_no: Annotated[
        str, typer.Option("--bill-no", help="Number of a file that names none 单据编号.")
    ] = "",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave unreadable lines out 跳过读不出的行.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Although the same file went through before.")
    ] = False,
    result: Annotated[
        Path | None, typer.Option("--result", help="Write every line with its verdict (CSV).")
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Send a file 提交文件: every bill of it through the same door as the API. Exit code 0: every line was accepted."""
    content = read_file(file)
    given = {"type": type_, "partner": partner, "bill_no": bill_no, "skip_bad": skip_bad or None}

    async def work(room: Room, subject: Any) -> tuple[dict[str, Any], bytes]:
        choices = {k: v for k, v in given.items() if v not in (None, "")}
        file_id, _ = await service.receive(room, subject, content, shown(Path(file).name), "cli", choices)
        answer = await service.send_if_clear(room, subject, file_id, "zh", again, direct=True)
        table = b"".join([p async for p in results.as_csv(reading.lines(room, subject, file_id), "zh")])
        return answer, table

    answer, table = _in_room(data, org, work)
    if result is not None:
        result.write_bytes(table)
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    raise typer.Exit(0 if answer["state"] == "done" and answer["summary"].get("refused") == 0 else 1)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="File to write 输出文件.")],
    org: OrgOption,
    since: Annotated[str, typer.Option("--since", help="From 起, e.g. 2026-09-01.")] = "",
    until: Annotated[str, typer.Option("--until", help="Before 止, e.g. 2026-10-01.")] = "",
    format_: Annotated[str, typer.Option("--format", help="xml, xml-events, txt, csv, xlsx.")] = "xml",
    type_: TypeOption = None,
    relation: Annotated[
        int | None,
        typer.Option("--relation", min=1, help="Relation XML of this shipping bill instead 单据内部编号."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Write bills of a period, or the relations of a shipment, to a file 导出."""

    def day(text: str, name: str) -> datetime:
        found = moment(text)
        if found is None:
            raise typer.BadParameter(f"{name}: {text or '—'}")
        return found

    async def work(room: Room, subject: Any) -> exports.Made:
        async with room.doors.pool.acquire() as conn:
            if relation is not None:
                return await exports.relation(conn, room.doors.registry, subject, relation)
            kinds = (type_,) if type_ is not None else ()
            wanted = exports.Wanted(day(since, "--since"), day(until, "--until"), format_, kinds)
            return await exports.bills(conn, room.doors.registry, subject, wanted)

    made = _in_room(data, org, work)
    file.write_bytes(made.data)
    out.print(f"{file}: {made.bills} 张单据 bills, {made.lines} 行 lines", markup=False)


@app.command()
def template(file: Annotated[Path, typer.Argument(help="bills.xlsx or bills.csv 模板.")]) -> None:
    """Write the template of bills 下载模板."""
    made = results.template_csv("zh") if file.suffix.lower() == ".csv" else results.template_xlsx("zh")
    file.write_bytes(made)
    out.print(str(file), markup=False)


@app.command()
def folder(
    org: OrgOption,
    path: Annotated[
        Path | None, typer.Option("--path", help="Another folder than the server's own 文件夹.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Stop watching 停止.")] = False,
    data: DataOption = None,
) -> None:
    """Let the server watch a folder for an organisation 由服务器监视文件夹."""

    async def work(room: Room, subject: Any) -> dict[str, Any]:
        where = str(path.resolve()) if path is not None else None
        async with room.doors.pool.acquire() as conn, conn.transaction():
            return await folders.switch(conn, subject, room.data, not off, where, shown=True)

    print_json(_in_room(data, org, work))


@app.command()
def watch(
    folder: Annotated[Path, typer.Argument(help="Folder to watch 文件夹.")],
    org: Annotated[
        int | None, typer.Option("--org", min=1, help="Organisation, with the data folder 单位编号.")
    ] = None,
    server: Annotated[
        str, typer.Option("--server", help="Server address; the key comes from YAOSU_API_KEY.")
    ] = "",
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="File that holds the API key 密钥文件.")
    ] = None,
    settle: Annotated[
        float, typer.Option("--settle", min=0.1, help="Seconds a file must stand still.")
    ] = SETTLE_S,
    patience: Annotated[
        float, typer.Option("--patience", min=0, help="Seconds for a file that looks cut.")
    ] = PATIENCE_S,
    once: Annotated[
        bool, typer.Option("--once", help="Until nothing is left, then stop 处理完即退出.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Watch a folder 监视文件夹: send complete files, move them to done/ or failed/ with the result beside them.

    Subfolders may be named after bill kinds (201, 销售出库, OA) for files that tell none. With --server it needs an API
    key only; else it works on the data folder for --org. Stop with Ctrl-C; nothing is done twice.
    """
    key = key_file.read_text("utf-8").strip() if key_file is not None else os.environ.get("YAOSU_API_KEY", "")
    if bool(server) == (org is not None) or (server and not key):
        raise typer.BadParameter("--server with a key, or --org")

    def tell(name: str, outcome: Outcome) -> None:
        sign = "…" if outcome.again else "✓" if outcome.ok else "✗"
        out.print(f"{sign} {name}", markup=False)

    async def go(door: Door) -> None:
        handle = locked(folder)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # Windows: the keyboard's interrupt ends it
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        watcher = Watcher(folder, door, settle_s=settle, patience_s=patience, tell=tell)
        try:
            err.print(f"watching {folder}", markup=False)
            while not stop.is_set():
                try:
                    await watcher.look()
                except OSError as error:
                    # a network drive that went away comes back
                    err.print(f"{folder}: {error.strerror or error!r}", markup=False)
                    if once:
                        raise typer.Exit(1) from None
                if once and not watcher.waiting():
                    return
                try:
                    await asyncio.wait_for(stop.wait(), EVERY_S)
                except TimeoutError:
                    continue
        finally:
            os.close(handle)

    if server:

        async def remote() -> None:
            door = HttpDoor(server, key)
            try:
                await go(door)
            finally:
                await door.close()

        with refusals():
            asyncio.run(remote())
        return
    assert org is not None

    async def local(room: Room, subject: Any) -> None:
        await go(LocalDoor(room, subject, direct=True))

    _in_room(data, org, local)
