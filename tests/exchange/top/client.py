"""A client of the protocol, written from its published rules alone: signs, sends, reads JSON and XML.

It shares no code with the gateway, so that both must agree on the published algorithm and on nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx

CHINA = timezone(timedelta(hours=8))


def china_now(shift: timedelta = timedelta()) -> str:
    return (datetime.now(CHINA) + shift).strftime("%Y-%m-%d %H:%M:%S")


def around_today() -> tuple[str, str]:
    """Yesterday and tomorrow in China: what a test just did lies between them, at midnight too."""
    return china_now(-timedelta(days=1))[:10], china_now(timedelta(days=1))[:10]


def signature(params: Mapping[str, str], secret: str, how: str) -> str:
    joined = "".join(key + params[key] for key in sorted(params)).encode("utf-8")
    if how == "md5":
        raw = hashlib.md5(secret.encode() + joined + secret.encode()).digest()
    else:
        name = {"hmac": "md5", "hmac-sha256": "sha256"}[how]
        raw = hmac.new(secret.encode(), joined, name).digest()
    return raw.hex().upper()


@dataclass
class TopClient:
    """One program with its app key."""

    http: httpx.AsyncClient
    app_key: str
    secret: str
    sign_method: str = "md5"
    format: str = "json"
    simplify: bool = False
    path: str = "/router/rest"
    way: str = "form"
    """form: all in the body; query: all in the address (GET); split: system parameters in the address, the method's in
    the body, as the newest clients do; multipart: all as parts of a form with files."""

    def params(self, method: str, business: Mapping[str, str], /, **system: str | None) -> dict[str, str]:
        """All parameters, signed. `system` overrides; None leaves one out."""
        found: dict[str, str | None] = {
            "method": method,
            "app_key": self.app_key,
            "timestamp": china_now(),
            "format": self.format,
            "v": "2.0",
            "sign_method": self.sign_method,
            "partner_id": "top-apitools",
        }
        if self.simplify:
            found["simplify"] = "true"
        found.update(system)
        sign = found.pop("sign", "")
        whole = {k: v for k, v in found.items() if v is not None} | dict(business)
        if sign is None:
            return whole
        how = whole.get("sign_method", "md5")
        known = how if how in ("md5", "hmac", "hmac-sha256") else "md5"
        whole["sign"] = sign or signature(whole, self.secret, known)
        return whole

    async def raw(
        self,
        method: str,
        business: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        /,
        **system: str | None,
    ) -> httpx.Response:
        """Send a call; the answer as it came."""
        return await self.send(self.params(method, business or {}, **system), files)

    async def send(
        self, params: dict[str, str], files: Mapping[str, tuple[str, bytes]] | None = None
    ) -> httpx.Response:
        """Send parameters that are signed already."""
        if self.way == "query":
            return await self.http.get(self.path, params=params)
        if self.way == "multipart" or files:
            parts: dict[str, Any] = {k: (None, v) for k, v in params.items()}
            parts |= {k: (name, data) for k, (name, data) in (files or {}).items()}
            return await self.http.post(self.path, files=parts)
        if self.way == "split":
            system = (
                "method",
                "app_key",
                "timestamp",
                "format",
                "v",
                "sign_method",
                "partner_id",
                "simplify",
                "sign",
            )
            return await self.http.post(
                self.path,
                params={k: v for k, v in params.items() if k in system},
                data={k: v for k, v in params.items() if k not in system},
            )
        return await self.http.post(self.path, data=params)

    async def call(
        self,
        method: str,
        business: Mapping[str, str] | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        /,
        **system: str | None,
    ) -> dict[str, Any]:
        """The answer's content, unwrapped; of an error `{"error_response": …}`."""
        response = await self.raw(method, business, files, **system)
        assert response.status_code == 200, response.text
        if self.format == "xml":
            return from_xml(response.text)
        body: dict[str, Any] = response.json()
        if "error_response" in body:
            return body
        if self.simplify:
            return body
        (root,) = body
        assert root == method.replace(".", "_") + "_response"
        inner: dict[str, Any] = body[root]
        return inner

    async def ok(
        self, method: str, business: Mapping[str, str] | None = None, /, **more: Any
    ) -> dict[str, Any]:
        """The same, which must not be an error."""
        answer = await self.call(method, business, **more)
        assert "error_response" not in answer, answer
        return answer

    async def error(
        self, method: str, business: Mapping[str, str] | None = None, /, **system: str | None
    ) -> dict[str, Any]:
        """The content of the error that must come."""
        answer = await self.call(method, business, **system)
        assert "error_response" in answer, answer
        found: dict[str, Any] = answer["error_response"]
        return found


def from_xml(text: str) -> dict[str, Any]:
    """An XML answer as mappings; lists (marked as such) keep their item names."""
    root = ET.fromstring(text)
    content = _element(root)
    return {"error_response": content} if root.tag == "error_response" else content


def _element(node: ET.Element) -> Any:
    if node.get("list") == "true":
        items: dict[str, list[Any]] = {}
        for child in node:
            items.setdefault(child.tag, []).append(_element(child))
        return items
    if len(node):
        return {child.tag: _element(child) for child in node}
    return node.text or ""


def rows(value: Mapping[str, Any]) -> list[Any]:
    """The elements of a wrapped list: `{"item": […]}`."""
    if not value:
        return []
    (inner,) = value.values()
    found: list[Any] = inner
    return found
