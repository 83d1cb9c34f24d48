"""Somebody's own system in the demo: takes webhooks on this machine, checks their signature, shows what came."""

from __future__ import annotations

import asyncio
import html
import json
import socket
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus

from yaosu.notify import signing

HOST = "127.0.0.1"
BODY_MAX = 1_000_000
SHOWN = 100
FRESH_S = 300
"""A delivery signed longer ago is not believed: what every receiver should do."""
PATIENCE_S = 10.0

_PAGE = """<!doctype html><html lang="zh-CN"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>演示业务系统 Demo receiver</title>
<style>body{font:15px/1.6 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}h1{font-size:1.3rem}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.6rem}</style><body>
<h1>演示业务系统：收到的推送 <small>Demo receiver: what came by webhook</small></h1>
<p>签名已用订阅密钥核验；仅保存在内存中。
Signatures were checked with the subscription's secret; kept in memory only.</p>
<ol reversed>%s</ol></body></html>"""

_NOTHING = """<p>演示重新启动后这里从空白开始。请在批发企业的“推送订阅”里点“发送测试”，再刷新本页。<br>
Empty after a restart of the demo: press «send a test» on the wholesaler's subscription, then reload this page.</p>"""


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on."""
    for port in range(first, first + 50):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError("no free port")


@dataclass(slots=True)
class Receiver:
    """A listener for one subscription; `secret` is what the platform showed once when it was made."""

    port: int
    secret: str = ""
    came: deque[tuple[float, str, bool, str]] = field(default_factory=lambda: deque(maxlen=SHOWN))
    """When, kind, whether the signature fits, body."""
    _server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """What the subscription names."""
        return f"http://{HOST}:{self.port}/yaosu"

    async def start(self) -> bool:
        """Listen until the process ends; False when somebody else has the port meanwhile."""
        try:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
        except OSError:
            return False
        return True

    async def stop(self) -> None:
        """No more deliveries."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                status, body = await self._answer(reader)
        except (TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            status, body = HTTPStatus.BAD_REQUEST, ""
        content = body.encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/html; charset=utf-8\r\n"
            f"content-length: {len(content)}\r\n"
            "content-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n"
            "connection: close\r\n\r\n"
        )
        writer.write(head.encode() + content)
        try:
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            return  # the other side has gone: nothing is owed to it

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[HTTPStatus, str]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method = head[0].split(" ", 1)[0]
        fields = {
            k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)
        }
        if method == "GET":
            return HTTPStatus.OK, self.page()
        if method != "POST":
            return HTTPStatus.METHOD_NOT_ALLOWED, ""
        length = int(fields.get("content-length", "0"))
        if not 0 <= length <= BODY_MAX:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ""
        body = await reader.readexactly(length)
        stamp = int(fields.get(signing.TIMESTAMP.lower(), "0"))
        right = abs(time.time() - stamp) < FRESH_S and signing.fits(
            self.secret, stamp, body, fields.get(signing.SIGNATURE.lower(), "")
        )
        self.came.appendleft(
            (time.time(), fields.get(signing.KIND.lower(), ""), right, body.decode("utf-8", "replace"))
        )
        return (HTTPStatus.OK if right else HTTPStatus.FORBIDDEN), ""

    def page(self) -> str:
        """What came, the newest first."""
        lines = []
        for at, kind, right, body in self.came:
            try:
                shown = json.dumps(json.loads(body), ensure_ascii=False, indent=1)
            except ValueError:
                shown = body
            mark = "签名正确 signature fits" if right else "签名不符 signature does not fit"
            when = time.strftime("%H:%M:%S", time.gmtime(at + 8 * 3600))
            lines.append(
                f"<li><b>{when}</b> {html.escape(kind)} · {mark}<pre>{html.escape(shown)}</pre></li>"
            )
        return _PAGE.replace("%s", "\n".join(lines) or _NOTHING)
