"""The files room of a server process: what its verbs need, from the parts that other rooms started."""

from __future__ import annotations

from starlette.requests import Request

from yaosu.circulation.parts import batches_of, committer_of
from yaosu.edge.state import state
from yaosu.exchange.files.reading import Room
from yaosu.exchange.files.sending import Doors
from yaosu.production.parts import master_of
from yaosu.registry.parts import registry_of


def room_of(request: Request) -> Room:
    """The room for one request."""
    here = state(request)
    doors = Doors(here.pool, committer_of(request), registry_of(request))
    return Room(doors, batches_of(request), here.settings.data, master_of(request))
