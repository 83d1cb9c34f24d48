"""Connections after an upgrade end in time, whatever the peer does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from exchange.running import free_port
from yaosu.edge import websocket

WITHIN_S = 60
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[tuple[uvicorn.Server, int]]:
    """An application behind a server with the settings of `yaosu serve`."""
    port = free_port()
    config = uvicorn.Config(app, port=port, lifespan="off", log_config=None, **websocket.options())
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.01)
    yield server, port
    server.should_exit = True
    await asyncio.wait_for(running, WITHIN_S)


async def test_a_peer_that_reads_nothing_holds_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_WITHIN_S", 0.1)
    given_up = asyncio.Event()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        try:
            while True:
                await asyncio.wait_for(send({"type": "websocket.send", "text": "x" * 1_000_000}), 0.5)
        except TimeoutError:
            given_up.set()
        await send({"type": "websocket.close", "code": 1013})

    async with serving(app) as (server, port):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(peer, ("127.0.0.1", port))
        await loop.sock_sendall(peer, UPGRADE)
        async with asyncio.timeout(WITHIN_S):
            await given_up.wait()
            while server.server_state.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        peer.close()


async def test_pings_are_answered_but_not_without_end() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with serving(app) as (_server, port):
        address = f"ws://127.0.0.1:{port}/"
        async with connect(address, proxy=None) as ws, asyncio.timeout(WITHIN_S):
            await (await ws.ping("here?"))
        async with connect(address, proxy=None) as ws, asyncio.timeout(WITHIN_S):
            with pytest.raises(ConnectionClosed) as end:
                for n in range(websocket.PINGS_MAX + 1):
                    await ws.ping(str(n))
                await ws.recv()
            assert end.value.rcvd is not None and end.value.rcvd.code == 1008
