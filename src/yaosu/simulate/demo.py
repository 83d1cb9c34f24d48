"""The demo province: played at the first start on a data folder, told about at every start (issue 2 §7)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, date, datetime

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from yaosu.db.embedded import database_address
from yaosu.settings import Settings
from yaosu.simulate import setup, state, tour
from yaosu.simulate.cast import Cast, cast
from yaosu.simulate.client import Api, DemoError
from yaosu.simulate.partner import Partner
from yaosu.simulate.plan import make_plan
from yaosu.simulate.planner import CHINA
from yaosu.simulate.receiver import HOST, Receiver, free_port
from yaosu.simulate.runner import Done, Runner
from yaosu.simulate.scenes.play import play_scenes
from yaosu.simulate.scenes.world import World
from yaosu.simulate.texts import show

PARTNER_AFTER = 1
"""The other system listens on the first free port so far after the server's, the receiver of webhooks after that."""


def prepared(settings: Settings) -> tuple[Settings, Receiver, Partner]:
    """Settings of the demo, the receiver of its webhook and the other system: at the same ports at every start."""
    known = state.load(settings.data)
    other = Partner(
        settings, (known.partner_port if known is not None else 0) or free_port(settings.port + PARTNER_AFTER)
    )
    receiver = Receiver((known.receiver_port if known is not None else 0) or free_port(other.port + 1))
    receiver.secret = known.receiver_secret if known is not None else ""
    hosts = settings.webhook_hosts | {f"{HOST}:{receiver.port}", f"{HOST}:{other.port}"}
    return replace(settings, demo=True, webhook_hosts=hosts), receiver, other


async def play(settings: Settings, console: Console, receiver: Receiver, other: Partner) -> None:
    """Play the province on the running server unless it is there, print addresses, logins and codes, and stay.

    Ends when it is cancelled: the other system runs as long. Raises DemoError when the database holds anything else:
    demo accounts are never put beside real data.
    """
    async with other.running():
        await _play(settings, console, receiver, other)
        await asyncio.Event().wait()


async def _play(settings: Settings, console: Console, receiver: Receiver, other: Partner) -> None:
    address = database_address(settings.data, settings.database_url)
    who = cast()
    known = state.load(settings.data)
    if await setup.is_empty(address):
        known = None
    elif known is None or await setup.holds_others(address, who):
        raise DemoError(
            f"数据目录 {settings.data} 的数据库里已有其他数据，演示数据不会装入；请用 --data 指定一个空目录。 "
            "The database holds other data; choose an empty folder with --data."
        )
    if not await receiver.start():
        console.print(
            f"端口 {receiver.port} 已被占用，演示接收程序未启动。 The receiver's port is in use.",
            style="yellow",
        )
    if known is None or not known.ready:
        console.print("正在装载演示省份，约需半分钟…  Loading the demo province, about half a minute …")
        known = await _load(settings, console, address, who, known, receiver, other)
    if not other.ready and settings.embedded and not await other.answers():
        console.print(
            f"对方系统（端口 {other.port}）未启动，见 {other.folder / 'server.log'}。 "
            "The other system did not start.",
            style="yellow",
        )
    tour.write(settings.data, known.links, who, other)
    show(console, settings, who, known)


async def _load(
    settings: Settings,
    console: Console,
    address: str,
    who: Cast,
    known: state.DemoState | None,
    receiver: Receiver,
    other: Partner,
) -> state.DemoState:
    began = time.monotonic()
    if known is None:
        known = state.DemoState(datetime.now(UTC).replace(microsecond=0))
        known.receiver_port = receiver.port
        known.partner_port = other.port
        (settings.data / state.JOURNAL).unlink(missing_ok=True)
    state.save(settings.data, known)
    # the machine's own address: the public one may only exist behind a proxy
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104 - compared only
    base = f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False) as client:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        ) as bars:
            task = bars.add_task("单据 bills", total=None)
            await play_on(
                client,
                settings,
                address,
                who,
                known,
                lambda n, m: bars.update(task, completed=n, total=m),
                receiver,
                other,
            )
    known.seconds = round(time.monotonic() - began, 1)
    known.ready = True
    state.save(settings.data, known)
    return known


async def _furnish(other: Partner | None, today: date) -> None:
    """The other system is furnished while the calendar is played here."""
    if other is not None:
        await other.furnish(today)


async def play_on(
    client: httpx.AsyncClient,
    settings: Settings,
    address: str,
    who: Cast,
    known: state.DemoState,
    progress: Done,
    receiver: Receiver | None = None,
    other: Partner | None = None,
) -> None:
    """Register, plan and play over `client`; fills in what is to be shown."""
    api = Api(client, {"operator": await setup.first_key(address)})
    prepared = setup.Setup(api, who, known.anchor.astimezone(CHINA).date())
    await prepared.organisations()
    logins = asyncio.create_task(setup.make_logins(address, who, prepared.ids))
    await prepared.org_keys()
    await prepared.filings()
    await prepared.products()
    own = await prepared.codes()
    await prepared.delegation()
    await logins
    far = asyncio.create_task(_furnish(other, prepared.today))
    plan = make_plan(who, known.anchor, own)
    journal = state.Journal(settings.data)
    finished = False
    try:
        await Runner(api, plan, journal, progress).run()
        await far
        world = World(
            client, api, who, known.anchor, prepared.ids, prepared.drugs, journal, receiver, other, address,
            settings.data,
        )  # fmt: skip
        known.links = await play_scenes(world)
        finished = True
    finally:
        far.cancel()
        journal.close(finished=finished)
    if receiver is not None:
        known.receiver_secret = receiver.secret
    known.examples = plan.examples
    known.boxes = plan.boxes
    known.bills = sum(step.kind != "answer" for step in plan.steps)
