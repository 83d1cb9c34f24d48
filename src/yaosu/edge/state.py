"""The running server's shared parts, kept on `app.state.yaosu`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from yaosu.db.engine import Pool
from yaosu.settings import Settings


@dataclass
class AppState:
    """`parts` holds what a room starts once per server (caches, the committer), by name."""

    settings: Settings
    address: str
    pool: Pool
    parts: dict[str, Any] = field(default_factory=dict)


def state(request: Request) -> AppState:
    """The shared parts of the server that answers `request`."""
    found: AppState = request.app.state.yaosu
    return found
