"""A bad network between two real processes: an HTTP proxy that loses, repeats, cuts and changes what passes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Fault = Literal[
    "pass",  # as it is
    "refuse",  # connection closed before anything reaches the other side
    "lose_answer",  # delivered and done there; the answer never comes back
    "cut_answer",  # delivered; half of the answer, then the line is dead
    "hang",  # delivered, and no answer for a long time
    "twice",  # delivered twice; the second answer comes back
    "error_500",  # not delivered, a gateway says 500
    "change_request",  # one byte of the body changed on the way there (wrong signature)
    "change_answer",  # one byte of the body changed on the way back
]


class FaultyProxy:
    """Forwards whole HTTP/1.1 requests to `target`; `faults` are taken one per request, then everything passes."""

    def __init__(self, target_port: int, hang_s: float = 30.0) -> None:
        self.target_port = target_port
        self.hang_s = hang_s
        self.faults: deque[Fault] = deque()
        self.only = b""
        """Faults wait for requests that hold this; others pass."""
        self.met: list[tuple[Fault, bytes]] = []
        """(fault, request as it came) of every request, in order."""
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            body = b""
            while True:
                size = await reader.readline()
                chunk = await reader.readexactly(int(size.strip(), 16) + 2)
                body += size + chunk
                if int(size.strip(), 16) == 0:
                    return head + body
        for line in lower.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return head + await reader.readexactly(int(line.split(b":")[1]))
        return head

    async def _forward(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"connection:")]
        writer.write(b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body)
        await writer.drain()
        answer = await reader.read()
        writer.close()
        return answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await self._read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        fault: Fault = self.faults.popleft() if self.faults and self.only in request else "pass"
        self.met.append((fault, request))
        try:
            await self._answer(fault, request, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> None:
        if fault == "refuse":
            return
        if fault == "error_500":
            writer.write(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops"
            )
            await writer.drain()
            return
        if fault == "change_request":
            head, _, body = request.partition(b"\r\n\r\n")
            request = head + b"\r\n\r\n" + _changed(body)
        answer = await self._forward(request)
        if fault == "twice":
            answer = await self._forward(request)
        if fault == "lose_answer":
            return
        if fault == "hang":
            await asyncio.sleep(self.hang_s)
            return
        if fault == "cut_answer":
            answer = answer[: len(answer) // 2]
        if fault == "change_answer":
            head, _, body = answer.partition(b"\r\n\r\n")
            answer = head + b"\r\n\r\n" + _changed(body)
        writer.write(answer)
        await writer.drain()


def _changed(body: bytes) -> bytes:
    """One digit in the middle replaced by another, so that the form stays and the meaning does not."""
    middle = len(body) // 2
    for at in [*range(middle, len(body)), *range(middle)]:
        if body[at : at + 1].isdigit():
            return body[:at] + (b"1" if body[at : at + 1] != b"1" else b"2") + body[at + 1 :]
    return body + b"1"


@asynccontextmanager
async def faulty(target_port: int, hang_s: float = 30.0) -> AsyncIterator[FaultyProxy]:
    """A proxy in front of a local port."""
    proxy = FaultyProxy(target_port, hang_s)
    proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.port = proxy._server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy._server.close()
