"""`yaosu place …`: storehouses, pharmacies, wards and warehouses inside an organisation (R-C4, R-B8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table

from yaosu.db.engine import Connection
from yaosu.edge.terminal import DataOption, JsonOption, out, print_json
from yaosu.registry import places as service
from yaosu.registry.places_api import PlaceOut
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.rules import states
from yaosu.subject import Subject

app = typer.Typer(
    name="place",
    help="Places inside an organisation 场所: storehouses, pharmacies, wards, warehouses: list, add, rename, close, "
    "reopen, kinds.",
    no_args_is_help=True,
)

PlaceArgument = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="Number of the place 场所编号.")]
NameArgument = Annotated[str, typer.Argument(help="Name inside the organisation 场所名称, e.g. 住院药房.")]


def _print(found: Sequence[service.Place], as_json: bool) -> None:
    views = [PlaceOut.of(one).model_dump() for one in found]
    if as_json:
        print_json(views)
        return
    table = Table("#", "编号 number", "名称 name", "类别 kind", "状态 state", "库存 stock", "在途 coming")
    for one in views:
        stock = (
            " ".join(f"{states.label(status, 'zh')} {qty}" for status, qty in sorted(one["stock"].items()))
            or "0"
        )
        table.add_row(
            str(one["id"]),
            one["number"],
            one["name"],
            str(one["sub_type"] or ""),
            "在用 in use" if one["active"] else "已停用 closed",
            stock,
            str(one["coming"]),
        )
    out.print(table)


@app.command("list")
def list_(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the places with what stands in them 场所列表; stock in smallest packages by status."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[service.Place]:
        return await service.places(conn, subject)

    _print(run_as(data, org, work), as_json)


@app.command()
def kinds(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List the kinds of places that this organisation can have 场所类别."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, str]]:
        card = registry.org(org)
        assert card is not None, "the subject's organisation exists"
        return [
            {"kind": item.code, "zh": item.zh, "en": item.en}
            for item in service.place_types(registry.lists, card.type)
        ]

    found = run_as(data, org, work)
    if as_json:
        print_json(found)
        return
    table = Table("类别 kind", "名称", "Name")
    for one in found:
        table.add_row(one["kind"], one["zh"], one["en"])
    out.print(table)


@app.command()
def add(
    org: OrgOption,
    name: NameArgument,
    kind: Annotated[int, typer.Option("--kind", min=1, help="Kind 类别; see `yaosu place kinds`.")],
    address: Annotated[
        str, typer.Option("--address", help="Where 地址; the organisation's when left out.")
    ] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Set up a place 新建场所; it is numbered by the platform and holds stock at once."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> service.Place:
        return await service.create_place(conn, subject, name, kind, address)

    _print([run_as(data, org, work)], as_json)


@app.command()
def rename(
    org: OrgOption,
    place: PlaceArgument,
    name: NameArgument,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Rename a place 更名; its number, stock and history stay."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> service.Place:
        return await service.rename_place(conn, subject, place, name)

    _print([run_as(data, org, work)], as_json)


@app.command()
def close(org: OrgOption, place: PlaceArgument, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Close a place 停用; refused while goods stand in it or are on their way."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> service.Place:
        return await service.close_place(conn, subject, place)

    _print([run_as(data, org, work)], as_json)


@app.command()
def reopen(
    org: OrgOption, place: PlaceArgument, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Take a closed place into use again 重新启用."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> service.Place:
        return await service.reopen_place(conn, subject, place)

    _print([run_as(data, org, work)], as_json)
