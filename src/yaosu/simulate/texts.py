"""What the start prints: address, logins, and a code in each interesting state; fits 80 columns."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from yaosu import yamls
from yaosu.settings import Settings
from yaosu.simulate.cast import Cast, DemoOrg, Staff
from yaosu.simulate.planner import CHINA
from yaosu.simulate.setup import OPERATOR_LOGIN, PASSWORD
from yaosu.simulate.state import DemoState
from yaosu.simulate.steps import Example

GS_SHOWN = "␝"
COLUMNS = 80
"""Everything but addresses and scanner texts fits a terminal this wide."""


@cache
def _groups() -> list[dict[str, Any]]:
    text = (resources.files("yaosu.simulate") / "demo" / "examples.yaml").read_text("utf-8")
    groups: list[dict[str, Any]] = yamls.read(text)["groups"]
    return groups


def public_page(base: str, code: str) -> str:
    """The address of a code's public page."""
    return f"{base}/q/{quote(code, safe='()')}"


def _plain(console: Console, text: str = "", style: str = "") -> None:
    """A line as it is: never wrapped, so that addresses and codes can be clicked and copied."""
    console.print(Text(text, style=style), soft_wrap=True, highlight=False)


def show(console: Console, settings: Settings, who: Cast, known: DemoState) -> None:
    """Print everything; the line that begins `ready:` first."""
    base = settings.public_url
    _plain(console, f"ready: {base}", "bold green")
    _plain(console, f"演示导览（逐个故事，一键登录） guided tour: {base}/stories", "bold green")
    _plain(console)
    until = f"{known.anchor.astimezone(CHINA):%Y-%m-%d %H:%M}"
    _plain(console, f"演示省份：{known.boxes} 盒、{known.bills} 单、{len(who.orgs)} 家单位，截至 {until}")
    _plain(
        console, f"Demo province: {known.boxes} boxes, {known.bills} bills, {len(who.orgs)} organisations."
    )
    _plain(console, "历史单据在首次启动时一次补传，故标有“迟报”。 Past bills were all uploaded at the")
    _plain(console, "first start, which is why they carry the flag «late».")
    _plain(console)
    _plain(console, "以下账号与数据仅供演示，均为虚构，请勿用于正式环境。", "bold yellow")
    _plain(console, "Demo accounts and data only, all invented; never use them for real work.", "bold yellow")
    if settings.host not in ("127.0.0.1", "::1", "localhost"):
        _plain(console, "本服务可从其他机器访问，而演示密码是公开的。", "bold red")
        _plain(console, "This server can be reached from elsewhere and the password is public.", "bold red")
    _plain(console, f"密码（所有账号相同） password for all: {PASSWORD}", "bold")
    console.print(_logins(who))
    for group in _groups():
        _plain(console)
        _plain(console, f"{group['zh']} {group['en']}", "bold")
        for item in group["items"]:
            example = known.examples.get(item["key"])
            if example is not None:
                _example(console, base, item, example)
    _plain(console)
    _plain(console, f"从这里开始 begin here: {base}/stories")
    _plain(console, "按 Ctrl-C 停止；再次启动只需几秒。 Ctrl-C stops; the next start takes seconds.")


def _logins(who: Cast) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("账号 login", style="bold", no_wrap=True)
    table.add_column("角色 role", no_wrap=True)
    table.add_column("先试试 try first", overflow="fold")
    people: list[DemoOrg | Staff] = [*who.orgs.values(), *who.staff]
    for one in people:
        table.add_row(one.login, f"{one.role_zh}\n{one.role_en}", f"{one.try_zh}\n{one.try_en}")
    table.add_row(
        OPERATOR_LOGIN,
        "平台运营\nOperator",
        "登记单位，查看备案与操作记录\norganisations, filings, audit record",
    )
    return table


def _example(console: Console, base: str, item: dict[str, Any], example: Example) -> None:
    if cell_len(item["zh"]) + cell_len(item["en"]) <= COLUMNS - 5:
        _plain(console, f"  {item['zh']} · {item['en']}")
    else:
        _plain(console, f"  {item['zh']}")
        _plain(console, f"  {item['en']}")
    where = f"  [{example.login}]" if example.login else ""
    if example.bill_no:
        _plain(console, f"    单据 bill {example.bill_no}{where}", "cyan")
        where = ""
    if example.raw:
        _plain(console, f"    扫码枪 scanner: {example.raw.replace(chr(29), GS_SHOWN)}")
    if example.code:
        _plain(console, f"    {example.code}{where}", "cyan")
        if not example.code.startswith("(00)"):
            _plain(console, f"    {public_page(base, example.code)}", "dim")
