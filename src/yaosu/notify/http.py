"""One request to an address that somebody else chose, without becoming their tool.

The host is resolved here, every address of it must be public (RFC 6890), and the connection goes to exactly the
address that was looked at, so a name that changes its mind between look and connect gains nothing. No redirects, no
proxy of the environment, five seconds for everything, a few kilobytes of answer. Hosts that the settings allow
(on-premises receivers, tests) may be private and plain http.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from urllib.parse import SplitResult, urlsplit

import httpx

TIMEOUT_S = 5.0
ANSWER_MAX = 4096
URL_MAX = 500
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class AddressRefusedError(Exception):
    """The address must not be called; the text says why, (zh, en)."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver said: status and its body, as far as the caller's limit goes."""

    status: int
    text: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    whole: bool = True
    """Whether the body is complete."""

    @property
    def wait_s(self) -> float | None:
        """Seconds of a Retry-After header, at most an hour; None without one."""
        given = self.headers.get("retry-after", "")
        return min(float(given), 3600.0) if given.isascii() and given.isdigit() else None


def split(url: str, allowed: Collection[str], url_max: int = URL_MAX) -> SplitResult:
    """The parts of an address that may be called as far as its text tells; AddressRefusedError otherwise."""
    if len(url) > url_max or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise AddressRefusedError("格式不正确", "wrong format")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefusedError("格式不正确", "wrong format") from None
    if not host or parts.scheme not in ("https", "http"):
        raise AddressRefusedError("应为 https 地址", "must be an https address")
    if parts.username is not None or parts.password is not None:
        raise AddressRefusedError("地址中不能含用户名或密码", "must not contain a user name or password")
    if parts.fragment:
        raise AddressRefusedError("地址中不能含 #", "must not contain a fragment")
    if parts.scheme == "http" and not is_allowed(host, port, allowed):
        raise AddressRefusedError("应为 https 地址", "must be an https address")
    return parts


def is_allowed(host: str, port: int | None, allowed: Collection[str]) -> bool:
    """Whether the settings allow a host (`name` or `name:port`) whatever its address."""
    return host in allowed or (port is not None and f"{host}:{port}" in allowed)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, also behind an IPv6 disguise."""
    try:
        ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        hidden = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if hidden is None and ip in _NAT64:
            hidden = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if hidden is not None:
            ip = hidden
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


async def resolve(parts: SplitResult, allowed: Collection[str]) -> str:
    """The address to connect to; AddressRefusedError when one of the host's addresses is not public."""
    host = parts.hostname or ""
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise AddressRefusedError("域名无法解析", "the host name does not resolve") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses:
        raise AddressRefusedError("域名无法解析", "the host name does not resolve")
    if not is_allowed(host, parts.port, allowed) and not all(is_public(a) for a in addresses):
        raise AddressRefusedError("指向内网或保留地址", "it leads to a private or reserved address")
    return addresses[0]


@cache
def _tls() -> ssl.SSLContext:
    """Trusted authorities, read once: reading them takes longer than a delivery."""
    return httpx.create_ssl_context()


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
    answer_max: int = ANSWER_MAX,
) -> Answer:
    """POST `body`; raises AddressRefusedError, TimeoutError, httpx.HTTPError."""
    return await call("POST", url, body, headers, allowed, timeout_s, answer_max)


async def call(
    method: str,
    url: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    allowed: Collection[str] = (),
    timeout_s: float = TIMEOUT_S,
    answer_max: int = ANSWER_MAX,
    url_max: int = URL_MAX,
) -> Answer:
    """One request; at most `answer_max` bytes of the answer are read, `whole` tells whether that was all.

    Raises AddressRefusedError (nothing was sent), TimeoutError and httpx.HTTPError (it may have arrived;
    httpx.ConnectError: it did not).
    """
    async with asyncio.timeout(timeout_s):
        parts = split(url, allowed, url_max)
        address = await resolve(parts, allowed)
        literal = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=literal + (f":{parts.port}" if parts.port else "")).geturl()
        async with (
            httpx.AsyncClient(
                verify=_tls(), follow_redirects=False, trust_env=False, timeout=timeout_s
            ) as client,
            client.stream(
                method,
                target,
                content=body,
                headers={**(headers or {}), "host": parts.netloc, "accept-encoding": "identity"},
                extensions={"sni_hostname": parts.hostname},
            ) as response,
        ):
            got = b""
            async for chunk in response.aiter_raw():
                got += chunk
                if len(got) > answer_max:
                    break
            # text is kept, and PostgreSQL keeps no NUL in it
            text = got[:answer_max].decode("utf-8", "replace").replace("\x00", "␀")
            heads = {k.lower(): v for k, v in response.headers.items()}
            return Answer(response.status_code, text, got[:answer_max], heads, len(got) <= answer_max)
