"""WebSocket connections as `yaosu serve` keeps them: nobody who stops reading or answering holds one for long.

The server's own implementation closes a connection in good order, which a peer that reads nothing never lets end: what
waits for it would be kept for as long as its network answers. Here every end has a time.
"""

from __future__ import annotations

from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CLOSE_WITHIN_S = 12.0
"""From the end of a conversation to the end of its connection, whatever the peer does."""
STOP_WITHIN_S = 2.0
"""The same when the server stops."""
MESSAGE_BYTES_MAX = 4096
"""What a caller may say in one message: callers of ours listen."""
PING_EVERY_S = PONG_WITHIN_S = 20.0
PINGS_MAX = 100
"""Pings of a caller within PING_EVERY_S: each wants an answer, which waits here when the caller does not read."""

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Wire(WebSocketsSansIOProtocol):
    """One connection after its upgrade."""

    _counted_from = 0.0
    _pings = 0

    def _gone_within(self, seconds: float) -> None:
        self.loop.call_later(seconds, self.transport.abort)

    async def run_asgi(self) -> None:
        """The conversation, and then the end of the connection."""
        try:
            await super().run_asgi()
        finally:
            self._gone_within(CLOSE_WITHIN_S)

    def shutdown(self) -> None:
        """The server stops (1012)."""
        super().shutdown()
        self._gone_within(STOP_WITHIN_S)

    def keepalive_timeout(self) -> None:
        """A ping that was not answered (1011)."""
        super().keepalive_timeout()
        self._gone_within(STOP_WITHIN_S)

    def handle_parser_exception(self) -> None:
        """Bytes that are no WebSocket, after the handshake (1002, 1007, 1009)."""
        super().handle_parser_exception()
        self._gone_within(STOP_WITHIN_S)

    def handle_ping(self) -> None:
        """Answer, unless there are too many (1008)."""
        if self.close_sent:
            return
        now = self.loop.time()
        if now - self._counted_from > PING_EVERY_S:
            self._counted_from, self._pings = now, 0
        self._pings += 1
        if self._pings <= PINGS_MAX:
            super().handle_ping()
            return
        self.close_sent = True
        self.conn.fail(1008, "too many pings")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()
        self._gone_within(STOP_WITHIN_S)

    def data_received(self, data: bytes) -> None:
        """As before; an upgrade that is none (another method, a body, endless lines) is answered, not left open."""
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            self.transport.write(_BAD_REQUEST)
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """As before, but to close does not wait for a peer that does not read, and a refusal is no fault of ours."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True


def options() -> dict[str, Any]:
    """What uvicorn is told. Messages are not packed: neither a bomb to unpack nor memory for each connection."""
    return {
        "ws": Wire,
        "ws_max_size": MESSAGE_BYTES_MAX,
        "ws_ping_interval": PING_EVERY_S,
        "ws_ping_timeout": PONG_WITHIN_S,
        "ws_per_message_deflate": False,
    }
