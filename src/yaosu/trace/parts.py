"""What the trace room keeps for the life of a server: the verifier's lanes, the public's query counts and limit."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import Request

from yaosu.access.audit import caller_address
from yaosu.edge.state import AppState, state
from yaosu.trace.batcher import Verifier
from yaosu.trace.public import QueryCounter, limiter
from yaosu.trace.verify import BatchMemory

Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


@asynccontextmanager
async def start(app: AppState) -> AsyncIterator[None]:
    """Run until the server stops; then write the counts that wait."""
    memory = BatchMemory(app.parts["stops"])
    verifier = Verifier(app.address, app.parts["registry"], memory, app.parts["master_secret"])
    counter = QueryCounter()
    app.parts["trace.memory"] = memory
    app.parts["trace.verifier"] = verifier
    app.parts["trace.counter"] = counter
    app.parts["trace.limit"] = limiter()
    app.parts["trace.proxies"] = trusted_proxies(os.environ.get("YAOSU_TRUSTED_PROXIES", ""))
    verifier.start()
    writer = asyncio.create_task(counter.run(app.pool), name="query-counts")
    try:
        yield
    finally:
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
        await verifier.stop()
        await counter.flush(app.pool)


def trusted_proxies(text: str) -> Networks:
    """`YAOSU_TRUSTED_PROXIES`: addresses or networks, separated by commas. ValueError for what is neither."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def client_of(peer: str, forwarded: str, proxies: Networks) -> str:
    """The address a limit counts: the peer, or what trusted proxies say of it.

    X-Forwarded-For is read from the right while the speaker is a trusted proxy, so that a caller cannot choose
    its own address by sending the header.
    """
    address = peer
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and _trusted(address, proxies):
        address = hops.pop()
    return address


def _trusted(address: str, proxies: Networks) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in proxies)


def take_public_query(request: Request) -> None:
    """Count a public query of the caller's address; refused (`too_many_requests`) when it asks too often."""
    parts = state(request).parts
    peer = caller_address.get() or (request.client.host if request.client else "")
    address = client_of(peer, request.headers.get("x-forwarded-for", ""), parts["trace.proxies"])
    parts["trace.limit"].take(address)
