"""`yaosu dispense split …`: dispense parts, read the split ledger, work with pools, from the server's command line.

The same doors as the API. Exit code 0 when done, 1 when refused, with every reason printed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from yaosu import settings
from yaosu.access.visibility import visible
from yaosu.circulation.cache import CHINA, BatchCache
from yaosu.circulation.committer import Committer
from yaosu.circulation.issued import Issued
from yaosu.db.embedded import database_address
from yaosu.db.engine import open_pool
from yaosu.dispensing import split_papers, split_pools, split_service, split_views
from yaosu.dispensing import split_store as store
from yaosu.dispensing import split_store_pool as pool_store
from yaosu.dispensing.split_deps import box_key, soon_of
from yaosu.dispensing.split_model import BOX_STATES, Line
from yaosu.dispensing.split_orders import Desk
from yaosu.dispensing.split_schemas import BackIn, DrawIn, LossIn, PartsIn
from yaosu.edge.terminal import checked, json_of, lines_of, out, print_json, read_file, refusals
from yaosu.errors import YaosuError
from yaosu.registry.resolver import load_registry
from yaosu.subject import ADMIN, Subject

T = TypeVar("T")

app = typer.Typer(help="Split packs and pools 拆零与预扫码池.", no_args_is_help=True)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data folder 数据目录 (default: YAOSU_DATA, else ./data).")
]
OrgOption = Annotated[int, typer.Option("--org", min=1, help="Organisation 单位编号.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON 输出 JSON.")]
FileArgument = Annotated[str, typer.Argument(help="JSON as the API takes it; - for standard input.")]
PoolArgument = Annotated[int, typer.Argument(min=1, help="Number of the pool 药池编号.")]


def _run(data: Path | None, org: int, work: Callable[[Desk, BatchCache], Awaitable[T]]) -> T:
    """Run `work` for an organisation; a refusal is printed with every finding and exits with 1."""

    async def inside() -> T:
        chosen = settings.load(data=data)
        pool = await open_pool(database_address(chosen.data, chosen.database_url), size_max=4)
        try:
            async with pool.acquire() as conn:
                registry = await load_registry(conn)
            card = registry.org(org)
            if card is None:
                raise YaosuError("not_found", {"what": f"#{org}"})
            everything = frozenset({ADMIN})
            # an account's sight, so that the command sees what the organisation sees
            subject = Subject(
                "account", None, org, str(card.type), "admin", everything, region=card.region, name="cli"
            )
            batches = BatchCache(Issued(settings.master_secret(chosen.data)))
            committer = Committer(pool, batches)
            committer.start()
            try:
                return await work(Desk(pool, committer, registry, subject), batches)
            finally:
                await committer.stop()
        finally:
            await pool.close()

    with refusals():
        return asyncio.run(inside())


def _print_order(view: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(view)
        return
    table = Table(title=f"{view['number']} · {view['status']}", title_justify="left")
    for name in ("行", "药品", "数量", "处方号", "追溯码 code", "拆零标志"):
        table.add_column(name, overflow="fold")
    for line in view["lines"]:
        if line["status"] == "refused":
            table.add_row(str(line["n"] + 1), line["message"], "", "", line["next"], "")
            continue
        for part in line["parts"]:
            table.add_row(
                str(line["n"] + 1),
                line["product"],
                f"{part['units']} {line['prep_unit']}",
                line["prescription_no"],
                part["code"],
                part["trdn_flag"],
            )
    out.print(table)


@app.command()
def dispense(
    file: FileArgument, org: OrgOption, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Dispense parts of scanned boxes 拆零发放. Repeating the same file is safe."""
    content = read_file(file)

    async def work(desk: Desk, _: BatchCache) -> dict[str, Any]:
        body = checked(PartsIn, json_of(content))
        lines = [line.line() for line in body.lines]
        done = await split_service.dispense(
            desk,
            body.number,
            lines,
            content,
            bill_type=body.type,
            happened_at=body.happened_at,
            owner=body.owner,
        )
        return split_views.order_view(desk.registry, done, "zh")

    _print_order(_run(data, org, work), as_json)


@app.command()
def draw(
    pool: PoolArgument,
    file: FileArgument,
    org: OrgOption,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Draw from a pool 池内发放. Repeating the same file is safe."""
    content = read_file(file)

    async def work(desk: Desk, _: BatchCache) -> dict[str, Any]:
        body = checked(DrawIn, json_of(content))
        done = await split_pools.draw(
            desk,
            pool,
            body.number,
            body.wants(),
            content,
            happened_at=body.happened_at,
            atomic=body.mode == "atomic",
        )
        return split_views.order_view(desk.registry, done, "zh")

    _print_order(_run(data, org, work), as_json)


@app.command()
def load(
    pool: PoolArgument,
    file: Annotated[str, typer.Argument(help="One scanned code a line; - for standard input.")],
    number: Annotated[str, typer.Option("--number", help="Number of this loading 单号.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Load boxes or cases into a pool 装池."""
    content = read_file(file)

    async def work(desk: Desk, batches: BatchCache) -> list[dict[str, Any]]:
        codes = lines_of(content)
        found, _ = await split_pools.load(desk, batches, pool, number, codes, content)
        return [split_views.loaded_view(one, "zh") for one in found]

    views = _run(data, org, work)
    for view in views:
        out.print(f"{view['code'] or view['raw']}  {view['message']}  {view['next']}", markup=False)
    raise typer.Exit(0 if all(v["verdict"] == "pool_box_loaded" for v in views) else 1)


@app.command()
def pools(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List pools with what is in them 预扫码池."""

    async def work(desk: Desk, _: BatchCache) -> list[dict[str, Any]]:
        async with desk.pool.acquire() as conn:
            rows = await pool_store.pools(conn, visible(desk.subject), False)
            found = []
            for row in rows:
                levels = await pool_store.levels(conn, visible(desk.subject), row["id"])
                view = split_views.pool_view(desk.registry, row, "zh")
                found.append({**view, "levels": split_views.level_views(desk.registry, levels)})
        return found

    found = _run(data, org, work)
    if as_json:
        print_json(found)
        return
    table = Table()
    for name in ("编号", "药池", "药品", "药盒", "可发放", "补充线"):
        table.add_column(name)
    for one in found:
        for level in one["levels"] or [{"product": "", "boxes": 0, "units": 0, "refill_below": None}]:
            below = level["refill_below"]
            table.add_row(
                str(one["id"]),
                one["name"],
                level["product"],
                str(level["boxes"]),
                str(level["units"]),
                str(below) if below else "",
            )
    out.print(table)


@app.command()
def boxes(
    org: OrgOption,
    state: Annotated[
        str, typer.Option("--state", help="open, expiring, expired, remainder, finished, all.")
    ] = "open",
    file: Annotated[Path | None, typer.Option("--out", help="Write an .xlsx or .pdf 导出文件.")] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """The split ledger 拆零台账."""
    if state not in BOX_STATES:
        raise typer.BadParameter(", ".join(BOX_STATES))
    if file is not None and file.suffix not in (".xlsx", ".pdf"):
        raise typer.BadParameter(".xlsx / .pdf")

    async def work(desk: Desk, _: BatchCache) -> tuple[list[dict[str, Any]], str]:
        soon, percent = split_service.limits(desk.registry)
        async with desk.pool.acquire() as conn:
            sight = visible(desk.subject)
            rows = await store.boxes(conn, sight, state, None, None, split_papers.ROWS_MAX, soon, percent)
        card = desk.registry.org(org)
        views = [split_views.box_view(desk.registry, r, soon_of(soon)) for r in rows]
        return views, card.name if card is not None else ""

    views, name = _run(data, org, work)
    if file is not None:
        file.write_bytes(split_papers.render(split_papers.ledger(views, name, "zh"), file.suffix[1:]))
        out.print(f"{file}: {len(views)} 盒", markup=False)
    elif as_json:
        print_json(views)
    else:
        table = Table()
        for title in ("药品", "追溯码", "整盒", "已发", "损耗", "剩余", "最后使用"):
            table.add_column(title, overflow="fold")
        for one in views:
            numbers = [str(one[key]) for key in ("total", "dispensed", "lost", "left")]
            until = f"{one['until'].astimezone(CHINA):%Y-%m-%d %H:%M}"
            table.add_row(one["product"], one["code"], *numbers, until)
        out.print(table)


@app.command()
def box(
    code: Annotated[str, typer.Argument(help="Trace code of the box 追溯码.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """One opened box with every entry, as JSON 拆零药盒."""

    async def work(desk: Desk, _: BatchCache) -> dict[str, Any]:
        key = box_key(desk.registry, code)
        sight = visible(desk.subject)
        soon, _percent = split_service.limits(desk.registry)
        async with desk.pool.acquire() as conn:
            row = await store.box(conn, sight, *key) if key is not None else None
            if row is None or key is None:
                raise YaosuError("not_found", {"what": code})
            entries, shares = await store.entries(conn, sight, *key)
        return {
            **split_views.box_view(desk.registry, row, soon_of(soon)),
            "entries": [split_views.entry_view(e, "zh") for e in entries],
            # patients stand by number only: the command line keeps no record of who reads it
            "shares": [split_views.share_view(s, {}) for s in shares],
        }

    print_json(_run(data, org, work))


@app.command(name="return")
def take_back(
    file: FileArgument, org: OrgOption, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Take parts back into their boxes 拆零退药. Repeating the same file is safe."""
    content = read_file(file)

    async def work(desk: Desk, _: BatchCache) -> dict[str, Any]:
        body = checked(BackIn, json_of(content))
        lines = [line.line() for line in body.lines]
        done = await split_service.take_back(
            desk, body.number, lines, content, happened_at=body.happened_at, owner=body.owner
        )
        return split_views.order_view(desk.registry, done, "zh")

    _print_order(_run(data, org, work), as_json)


@app.command()
def lose(file: FileArgument, org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Write parts of opened boxes off, with the reason 拆零损耗: all lines or none."""
    content = read_file(file)

    async def work(desk: Desk, _: BatchCache) -> dict[str, Any]:
        body = checked(LossIn, json_of(content))
        lines = [Line(one.code, one.units) for one in body.lines]
        result = await split_service.lose(
            desk, body.number, lines, body.reason, content, happened_at=body.happened_at, owner=body.owner
        )
        return result.as_json("zh")

    made = _run(data, org, work)
    if as_json:
        print_json(made)
    else:
        out.print(f"{made['bill_no']}: {len(made['results'])} 盒", markup=False)


@app.command(name="close-expired")
def close_expired(
    number: Annotated[str, typer.Option("--number", help="Number of the loss bill 损耗单号.")],
    reason: Annotated[str, typer.Option("--reason", help="Why 原因.")],
    org: OrgOption,
    data: DataOption = None,
) -> None:
    """Write all expired remainders off in one bill 过期余量登记损耗."""

    async def work(desk: Desk, _: BatchCache) -> int:
        result = await split_service.close_expired(desk, number, reason, b"{}")
        return len(result.results)

    out.print(f"{number}: {_run(data, org, work)} 盒", markup=False)
