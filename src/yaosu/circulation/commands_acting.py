"""`yaosu delegation …`: who may submit for whom, and what principals and headquarters see of it (R-A7, R-B7, R-B8)."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Any

import typer
from rich.table import Table

from yaosu.circulation import delegations, principal
from yaosu.circulation.api_acting import DelegationIn
from yaosu.db.engine import Connection
from yaosu.edge.pages import CHINA, china
from yaosu.edge.terminal import DataOption, JsonOption, checked, out, print_json
from yaosu.registry.resolver import Registry
from yaosu.registry.terminal import OrgOption, run_as
from yaosu.rules import states
from yaosu.subject import Subject

app = typer.Typer(
    name="delegation",
    help="Acting for others 委托: list, give, accept, decline, withdraw; view (goods in others' hands), stores.",
    no_args_is_help=True,
)

DelegationArgument = Annotated[
    int, typer.Argument(min=1, max=2**31 - 1, help="Number of the delegation 委托编号.")
]
STATES = {
    "offered": "待接受 offered",
    "declined": "已拒绝 declined",
    "withdrawn": "已终止 withdrawn",
    "ended": "已到期 ended",
    "not_begun": "未生效 not begun",
    "in_force": "生效中 in force",
}


def _name(org: dict[str, Any]) -> str:
    return f"{org['name']} (#{org['id']})"


def _all(values: list[Any] | None) -> str:
    return "全部 all" if values is None else ", ".join(str(v) for v in values)


def _scope(one: dict[str, Any]) -> str:
    kinds = [*(one["kinds"] or []), *(one["bill_types"] or [])]
    said = _all(None if one["kinds"] is None and one["bill_types"] is None else kinds)
    if one["products"] is not None:
        said += f"\n药品 products: {_all([p['name'] for p in one['products']])}"
    if one["places"] is not None:
        said += f"\n仓库 warehouses: {_all([p['name'] for p in one['places']])}"
    return said + ("\n可查看 may read" if one["may_read"] else "")


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table = Table(
        "#", "委托方 principal", "受托方 agent", "范围 scope", "开始 from", "截止 until", "状态 state"
    )
    for one in found:
        until = china(one["valid_until"]) if one["valid_until"] else "—"
        state = STATES[one["state"]] + ("，待我方答复 your answer" if one["waits_for_us"] else "")
        begin = china(one["valid_from"])
        table.add_row(
            str(one["id"]), _name(one["principal"]), _name(one["agent"]), _scope(one), begin, until, state
        )
    out.print(table)


@app.command("list")
def list_(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """List delegations given and held 委托列表, with scope and state."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
        return await delegations.listed(conn, registry, subject)

    _print(run_as(data, org, work), as_json)


@app.command()
def give(
    org: OrgOption,
    agent: Annotated[
        int | None,
        typer.Option("--agent", min=1, help="Who shall act 受托方; the acting organisation if left out."),
    ] = None,
    principal_: Annotated[
        int | None,
        typer.Option("--principal", min=1, help="For whom 委托方; the acting organisation if left out."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="in, out, return, use, stock 业务类别; repeat. All when none."),
    ] = None,
    type_: Annotated[
        list[int] | None, typer.Option("--type", help="Single bill type besides the kinds 单据类型; repeat.")
    ] = None,
    drug: Annotated[
        list[int] | None, typer.Option("--drug", help="Product 药品编号; repeat. All when none.")
    ] = None,
    place: Annotated[
        list[int] | None,
        typer.Option(
            "--place", help="Warehouse of the principal 仓库编号; repeat. All, and its own stock, when none."
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day 起始日期; now when left out."),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=["%Y-%m-%d"], help="Last day, inclusive 截止日期.")
    ] = None,
    may_read: Annotated[
        bool, typer.Option("--may-read", help="The agent may read the principal's bills and stock 可查看.")
    ] = False,
    note: Annotated[str, typer.Option("--note", help="Remark 备注.")] = "",
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Propose a delegation 提出委托, as its principal or its agent; it holds from the other side's acceptance.

    \b
    yaosu delegation give --org 3 --agent 12 --kind in --kind out --place 31 --until 2027-12-31
    """
    body = {
        "agent": agent,
        "principal": principal_,
        "kinds": kind or None,
        "bill_types": type_ or None,
        "drug_ids": drug or None,
        "places": place or None,
        "valid_from": since.replace(tzinfo=CHINA) if since else None,
        "valid_until": datetime.combine(until + timedelta(days=1), time(tzinfo=CHINA)) if until else None,
        "may_read": may_read,
        "note": note,
    }
    if body["bill_types"] and body["kinds"] is None:
        # single types only: no kind as a whole
        body["kinds"] = []

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
        wanted = checked(DelegationIn, body)
        made = await delegations.offer(
            conn, registry, subject, principal_ or org, agent or org, wanted.scope()
        )
        return await _one(conn, registry, subject, made)

    _print(run_as(data, org, work), as_json)


async def _one(conn: Connection, registry: Registry, subject: Subject, number: int) -> list[dict[str, Any]]:
    return [await delegations.one(conn, registry, subject, number)]


def _answer(org: int, number: int, accept: bool, as_json: bool, data: Any) -> None:
    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
        await delegations.answer(conn, registry, subject, number, accept=accept)
        return await _one(conn, registry, subject, number)

    _print(run_as(data, org, work), as_json)


@app.command()
def accept(
    org: OrgOption, delegation: DelegationArgument, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Accept a proposal 接受委托; it holds at once."""
    _answer(org, delegation, True, as_json, data)


@app.command()
def decline(
    org: OrgOption, delegation: DelegationArgument, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """Decline a proposal 拒绝委托; the other side is told."""
    _answer(org, delegation, False, as_json, data)


@app.command()
def withdraw(
    org: OrgOption, delegation: DelegationArgument, as_json: JsonOption = False, data: DataOption = None
) -> None:
    """End a delegation at once 终止委托, by either side, or take a proposal back."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
        await delegations.withdraw(conn, registry, subject, delegation)
        return await _one(conn, registry, subject, delegation)

    _print(run_as(data, org, work), as_json)


def _stock(stock: dict[str, int]) -> str:
    return " ".join(f"{states.label(status, 'zh')} {qty}" for status, qty in sorted(stock.items())) or "0"


@app.command()
def view(
    org: OrgOption,
    agent: Annotated[
        int | None, typer.Option("--agent", min=1, help="Only what this firm did 受托方编号.")
    ] = None,
    place: Annotated[int | None, typer.Option("--place", min=1, help="Only this warehouse 仓库编号.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Movements at most 最多条数.")] = 50,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """A principal's goods in others' hands 委托方视图: stock by warehouse now, and what agents moved."""

    async def work(conn: Connection, registry: Registry, subject: Subject) -> dict[str, Any]:
        return {
            "warehouses": await principal.warehouses(conn, registry, subject),
            "items": await principal.movements(
                conn, registry, subject, "zh", agent=agent, place=place, limit=limit
            ),
        }

    found = run_as(data, org, work)
    if as_json:
        print_json(found)
        return
    held = Table("仓库 warehouse", "受托方 agents", "库存 stock", "最近作业 last moved")
    for one in found["warehouses"]:
        name = _name(one["org"]) + ("（本部 own）" if one["own"] else "")
        last = china(one["last_moved"]) if one["last_moved"] else "—"
        held.add_row(name, ", ".join(a["name"] for a in one["agents"]) or "—", _stock(one["stock"]), last)
    out.print(held)
    moved = Table(
        "#", "单号 number", "类型 type", "仓库 warehouse", "受托方 agent", "盒 boxes", "拒 refused", "时间 at"
    )
    for one in found["items"]:
        moved.add_row(
            str(one["id"]),
            one["bill_no"],
            one["type_name"],
            _name(one["place"]),
            _name(one["agent"]),
            str(one["qty"]),
            str(one["refused"]),
            china(one["happened_at"]),
        )
    out.print(moved)


@app.command()
def stores(org: OrgOption, as_json: JsonOption = False, data: DataOption = None) -> None:
    """A chain's stores 门店 as headquarters see them: stock, and shipments to receive.

    Headquarters submit for a store with "owner" in the file: `yaosu bill submit`.
    """

    async def work(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
        return await principal.stores(conn, registry, subject)

    found = run_as(data, org, work)
    if as_json:
        print_json(found)
        return
    table = Table("门店 store", "库存 stock", "待收 to receive")
    for one in found:
        table.add_row(_name(one["org"]), _stock(one["stock"]), str(one["notices_open"]))
    out.print(table)
