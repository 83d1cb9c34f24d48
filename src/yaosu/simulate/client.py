"""The public API as the organisations of the province use it: one client, a key for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

TIMEOUT_S = 120.0
AGENT = "yaosu-demo"


class DemoError(RuntimeError):
    """The province could not be played; the text says what was asked and what was answered."""


class Api:
    """Calls `/api/v1` of a running server with the key of whoever acts."""

    def __init__(self, client: httpx.AsyncClient, keys: Mapping[str, str]) -> None:
        self._client = client
        self._keys = dict(keys)

    def add_key(self, who: str, secret: str) -> None:
        """Calls as `who` carry this key from now on."""
        self._keys[who] = secret

    def act_for(self, who: str, holder: str) -> None:
        """Calls as `who`, who has no key, carry that of `holder`: the operator enters firms that do not work here."""
        self._keys[who] = self._keys[holder]

    async def raw(
        self, who: str, method: str, path: str, root: str = "/api/v1", **more: Any
    ) -> httpx.Response:
        """One call under `root`; any answer that is no success is a DemoError."""
        headers = {**more.pop("headers", {}), "user-agent": AGENT}
        if who:
            headers["authorization"] = f"Bearer {self._keys[who]}"
        try:
            answer = await self._client.request(
                method, f"{root}{path}", headers=headers, timeout=TIMEOUT_S, **more
            )
        except httpx.TransportError as error:
            raise DemoError(f"{who}: {method} {path} → {error!r}") from error
        if answer.status_code >= 400:
            raise DemoError(f"{who}: {method} {path} → {answer.status_code} {answer.text[:2000]}")
        return answer

    async def get(self, who: str, path: str, **params: Any) -> Any:
        """A record as JSON."""
        return (await self.raw(who, "GET", path, params=params)).json()

    async def post(self, who: str, path: str, body: Mapping[str, Any]) -> Any:
        """What the server answers to a body."""
        return (await self.raw(who, "POST", path, json=body)).json()

    async def put(self, who: str, path: str, body: Mapping[str, Any]) -> Any:
        """The same with PUT."""
        return (await self.raw(who, "PUT", path, json=body)).json()
