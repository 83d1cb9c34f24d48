"""A receiver of webhooks on a real socket, and programs that call the API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Got:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers what `answers` says, in turn, the last one for ever."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=lambda: [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"])
    pause_s: float = 0.0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.got.append(Got(first.split(" ")[1], headers, body))
            if self.pause_s:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.wake.wait(), self.pause_s)
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def status(code: int, text: str = "") -> bytes:
    """A whole HTTP answer."""
    return f"HTTP/1.1 {code} X\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that listens on a free port of this machine."""
    one = Receiver()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        one.wake.set()
        server.close()


async def until(true: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something to become so."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for is not ours to signal
            await asyncio.sleep(0.02)
