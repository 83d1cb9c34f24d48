"""What all scenes share: keys and signed-in accounts, ids of the province, the journal, the moment it ends at."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from yaosu.simulate.cast import Cast
from yaosu.simulate.client import AGENT, TIMEOUT_S, Api, DemoError
from yaosu.simulate.partner import Partner
from yaosu.simulate.receiver import Receiver
from yaosu.simulate.setup import PASSWORD
from yaosu.simulate.state import Journal


@dataclass
class World:
    """One for all scenes. `ids` are organisations (and places, once made) by key, `drugs` products by key."""

    client: httpx.AsyncClient
    api: Api
    cast: Cast
    anchor: datetime
    ids: dict[str, int]
    drugs: Mapping[str, int]
    journal: Journal
    receiver: Receiver | None = None
    other: Partner | None = None
    """The second process of the demo, when it runs."""
    address: str = ""
    """Of our database: for what no API makes."""
    data: Path = field(default_factory=Path)
    _people: dict[str, httpx.AsyncClient] = field(default_factory=dict)
    _signing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def person(self, login: str) -> httpx.AsyncClient:
        """A browser of that account, signed in: what only people may do, keys cannot."""
        async with self._signing:
            if login not in self._people:
                # a client of its own: cookies of two people must not mix
                one = httpx.AsyncClient(
                    base_url=self.client.base_url, transport=self._transport(), trust_env=False
                )
                answer = await one.post("/api/v1/sessions", json={"login": login, "password": PASSWORD})
                if answer.status_code != 201:
                    raise DemoError(f"{login} cannot sign in: {answer.text[:500]}")
                one.headers["x-csrf-token"] = answer.json()["csrf"]
                self._people[login] = one
            return self._people[login]

    def _transport(self) -> Any:
        """The transport of an application under test; None for the network."""
        found = self.client._transport
        return found if isinstance(found, httpx.ASGITransport) else None

    async def send(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        """One call with a key of an organisation, as a person `@login`, or to the other system `~organisation`.

        A refusal is a DemoError.
        """
        if who.startswith("~"):
            if self.other is None:
                raise DemoError("the other system does not run")
            return await self.other.send(who[1:], method, path, **more)
        if not who.startswith("@"):
            return await self.api.raw(who, method, path, **more)
        person = await self.person(who[1:])
        headers = {**more.pop("headers", {}), "user-agent": AGENT}
        root = more.pop("root", "/api/v1")
        answer = await person.request(method, f"{root}{path}", headers=headers, timeout=TIMEOUT_S, **more)
        if answer.status_code >= 400:
            raise DemoError(f"{who}: {method} {path} → {answer.status_code} {answer.text[:2000]}")
        return answer

    async def sign_out(self) -> None:
        """Everybody goes home: no sessions stay open behind the demo."""
        for one in self._people.values():
            await one.delete("/api/v1/sessions/current")
            await one.aclose()
        self._people.clear()
