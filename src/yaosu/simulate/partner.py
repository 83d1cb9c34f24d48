"""«The other system»: a second real Yaosu process that plays the counterparts of the demo (issue 4).

It is a trace system with the 码上放心 gateway, the insurance bureau, the coordination platform and a supervision
system at once, on the next port, with a database of its own in the demo's PostgreSQL server. It lives as long as the
demo: it is ended with it, and on Linux the kernel ends it even when the demo is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import httpx

from yaosu import yamls
from yaosu.db import embedded
from yaosu.edge.child import ends_with_parent
from yaosu.settings import Settings
from yaosu.simulate import setup
from yaosu.simulate.cast import Cast, DemoOrg, cast, org_of, product_of
from yaosu.simulate.client import Api, DemoError
from yaosu.simulate.receiver import HOST

DATABASE, FOLDER = "yaosu_partner", "partner"
ROLES = "trace coordination regulator"
STARTS_WITHIN_S = 90.0
STOPS_WITHIN_S = 15.0


def partner_cast() -> Cast:
    """Who works in the other system, and what is made there."""
    text = (resources.files("yaosu.simulate") / "demo" / "partner.yaml").read_text("utf-8")
    table = yamls.read(text)
    ours = cast().orgs
    orgs: dict[str, DemoOrg] = {}
    for row in table["orgs"]:
        if "same" in row:
            told = {k: v for k, v in row.items() if k != "same"}
            orgs[row["key"]] = replace(ours[row["same"]], **told, parent="")
        else:
            orgs[row["key"]] = org_of(row)
    product = product_of(table["product"])
    return Cast(orgs, {product.key: product}, {"lapses_soon": ""})


@dataclass
class Partner:
    """The process, and what scenes know of it. `url` is where programs reach it, `public` where people do."""

    settings: Settings
    port: int
    ids: dict[str, int] = field(default_factory=dict)
    drugs: dict[str, int] = field(default_factory=dict)
    cast: Cast = field(default_factory=partner_cast)
    api: Api | None = None
    ready: bool = False
    _process: asyncio.subprocess.Process | None = None
    _client: httpx.AsyncClient | None = None

    @property
    def url(self) -> str:
        """For programs on this machine."""
        return f"http://{HOST}:{self.port}"

    @property
    def public(self) -> str:
        """For browsers: by another name of this machine, since cookies do not tell ports apart."""
        return f"http://localhost:{self.port}"

    @property
    def folder(self) -> Path:
        """Its data folder, inside the demo's."""
        return self.settings.data / FOLDER

    @property
    def address(self) -> str:
        """Its database."""
        return embedded.start(self.settings.data, DATABASE)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start it without waiting for it; end it afterwards. Without our own PostgreSQL there is none."""
        if self.settings.embedded:
            await self._start()
        try:
            yield
        finally:
            await self._stop()

    async def _start(self) -> None:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        address = await asyncio.to_thread(lambda: self.address)
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("YAOSU_")},
            "YAOSU_DATABASE_URL": address,
            "YAOSU_ROLE": ROLES,
            "YAOSU_PUBLIC_URL": self.public,
            "YAOSU_WEBHOOK_HOSTS": HOST,
            "YAOSU_LOG_LEVEL": "warning",
        }
        command = (sys.executable, "-m", "yaosu.cli.main", "serve", "--data", str(folder), "--host", HOST)
        with (folder / "server.log").open("ab") as log:
            # a group of its own: Ctrl-C reaches the demo only, which then stops this one in order
            self._process = await asyncio.create_subprocess_exec(
                *command, "--port", str(self.port), env=env, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=ends_with_parent,
            )  # fmt: skip

    async def _stop(self) -> None:
        if self._client is not None:
            await self._client.aclose()
        child = self._process
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            await asyncio.wait_for(child.wait(), STOPS_WITHIN_S)
        except TimeoutError:
            child.kill()
            await child.wait()

    async def answers(self) -> bool:
        """Wait until it answers; False when it ended instead or never did."""
        if self._process is None:
            return False
        until = asyncio.get_running_loop().time() + STARTS_WITHIN_S
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            while self._process.returncode is None and asyncio.get_running_loop().time() < until:
                try:
                    if (await client.get("/api/v1/health", timeout=2)).status_code == 200:
                        self.ready = True
                        return True
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
        return False

    async def furnish(self, today: date) -> None:
        """Organisations, accounts, keys and the product of the other system; leaves alone what is there."""
        if not await self.answers():
            return
        address = await asyncio.to_thread(lambda: self.address)
        self._client = httpx.AsyncClient(base_url=self.url, trust_env=False)
        self.api = Api(self._client, {"operator": await setup.first_key(address)})
        made = setup.Setup(self.api, self.cast, today)
        await made.organisations()
        await setup.make_logins(address, self.cast, made.ids)
        await made.org_keys()
        self.ids = made.ids
        for product in self.cast.products.values():
            await made.file_own(product)
        await made.products()
        self.drugs = made.drugs

    @property
    def running_api(self) -> Api:
        """Its API; DemoError when it does not run."""
        if self.api is None:
            raise DemoError("the other system does not run")
        return self.api

    async def send(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        """One call there with a key of an organisation."""
        return await self.running_api.raw(who, method, path, **more)
