"""What this room runs with the server: the folders that the server itself watches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from yaosu.edge.state import AppState
from yaosu.errors import YaosuError
from yaosu.exchange.files import folders, store
from yaosu.exchange.files.doors import LocalDoor
from yaosu.exchange.files.reading import Room
from yaosu.exchange.files.sending import Doors
from yaosu.exchange.files.watch import Outcome, Watcher, locked
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

log = structlog.get_logger("yaosu.files")

EVERY_S = 2.0
SCOPES = frozenset({"bill.write", "bill.read", "production.read", "production.write"})


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Watch while the server runs."""
    watching = asyncio.create_task(_watch(app), name="file-folders")
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


def room_at(app: AppState) -> Room:
    """The room of this server process."""
    parts = app.parts
    doors = Doors(app.pool, parts["committer"], parts["registry"])
    return Room(doors, parts["batches"], app.settings.data, parts["master_secret"])


class _Folder:
    """One organisation's folder, held by this process."""

    def __init__(self, app: AppState, registry: Registry, org: int, path: str) -> None:
        self.path = path
        where = folders.place(app.settings.data, org, path)
        self._handle = locked(where)
        card = registry.org(org)
        kind = str(card.type) if card is not None else ""
        region = card.region if card is not None else ""
        subject = Subject("key", None, org, kind, "admin", SCOPES, region=region, name="folder")
        self.watcher = Watcher(where, LocalDoor(room_at(app), subject, direct=False), tell=self._tell)
        self._org = org

    def _tell(self, name: str, outcome: Outcome) -> None:
        log.info("file_from_folder", org=self._org, ok=outcome.ok, again=outcome.again, length=len(name))

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._handle)


async def _watch(app: AppState) -> None:
    held: dict[int, _Folder] = {}
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await _round(app, held)
            except Exception as error:
                # the database may be away for a moment; the next round looks again
                log.warning("folders_not_looked_at", error=type(error).__name__)
    finally:
        for one in held.values():
            one.close()


async def _round(app: AppState, held: dict[int, _Folder]) -> None:
    async with app.pool.acquire() as conn:
        rows = {r["org"]: r for r in await conn.fetch(store.FOLDERS)}
    for org in list(held):
        if org not in rows or rows[org]["path"] != held[org].path:
            held.pop(org).close()
    for org, row in rows.items():
        note = ""
        try:
            if org not in held:
                held[org] = _Folder(app, app.parts["registry"], org, row["path"])
            await held[org].watcher.look()
        except YaosuError as error:
            if error.code == "file_folder_taken":
                continue
            note = error.code
        except OSError as error:
            note = type(error).__name__
        async with app.pool.acquire() as conn:
            await conn.execute(store.LOOKED, org, note)
