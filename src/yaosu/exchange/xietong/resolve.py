"""From a code to its home: system, resolver address, public query page. Public and fast: everything is in memory.

Each process keeps the table of filed prefixes and looks once a second whether it changed; an answer is one dictionary
look-up (longest prefix first for texts that no scheme parses).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from yaosu.codes import TraceCode, parse
from yaosu.codes.custom import CustomPattern
from yaosu.db.engine import Reads
from yaosu.exchange.xietong import store_hub as store
from yaosu.registry.resolver import Registry

LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Home:
    """Where a code lives."""

    code: str
    prefix: str
    scheme: str
    app_id: str
    system: str
    operator: str
    resolver_url: str
    query_url: str

    def as_json(self) -> dict[str, object]:
        """The public answer."""
        return {
            "code": self.code,
            "prefix": self.prefix,
            "scheme": self.scheme,
            "app_id": self.app_id,
            "system": self.system,
            "operator": self.operator,
            "resolver_url": self.resolver_url,
            "query_url": self.query_url,
        }


def page_of(query_url: str, code: str) -> str:
    """Where the public reads about `code`: `{code}` is replaced; after `/` or `=` it is put; else as it is."""
    text = quote(code, safe="")
    if "{code}" in query_url:
        return query_url.replace("{code}", text)
    return query_url + text if query_url.endswith(("/", "=")) else query_url


class Resolver:
    """The platform's table of prefixes."""

    def __init__(self) -> None:
        self._homes: Mapping[str, tuple[str, ...]] = {}
        self._customs: tuple[CustomPattern, ...] = ()
        self._lengths: tuple[int, ...] = ()
        self._mark = ""
        self._looked = -LOOK_S

    async def refresh(self, conn: Reads, at_most_every_s: float = 0.0) -> None:
        """Take in what changed."""
        now = time.monotonic()
        if now - self._looked < at_most_every_s:
            return
        mark = await conn.fetchval(store.RESOLVE_MARK)
        if mark != self._mark:
            rows = await conn.fetch(store.RESOLVE_ALL)
            customs = await conn.fetch(store.CUSTOMS)
            self._homes = {
                r["prefix"]: (
                    r["scheme"], r["app_id"], r["name"], r["operator"], r["resolver_url"], r["query_url"],
                )
                for r in rows
            }  # fmt: skip
            self._lengths = tuple(sorted({len(p) for p in self._homes}, reverse=True))
            self._customs = tuple(
                CustomPattern(r["issuer"], r["firm"], r["pattern"], "upper" if r["pattern_upper"] else "none")
                for r in customs
            )
            self._mark = mark
        self._looked = now

    def stale(self) -> None:
        """Something was filed here: look again at the next question."""
        self._looked = -LOOK_S

    def _canonical(self, raw: str) -> tuple[str, str] | None:
        read = parse(raw, self._customs)
        if isinstance(read, TraceCode) and read.prefix in self._homes:
            return read.text, read.prefix
        # a printed form that no parser of ours knows still begins with what was filed
        text = raw.strip()
        for length in self._lengths:
            if text[:length] in self._homes and len(text) > length:
                return text, text[:length]
        return None

    def prefix_of(self, raw: str) -> str | None:
        """The filed prefix of a code, or None."""
        found = self._canonical(raw)
        return found[1] if found is not None else None

    def resolve(self, raw: str) -> Home | None:
        """The home of a code as scanned, printed or canonical, or None."""
        found = self._canonical(raw)
        if found is None:
            return None
        code, prefix = found
        scheme, app_id, system, operator, resolver_url, query_url = self._homes[prefix]
        return Home(code, prefix, scheme, app_id, system, operator, resolver_url, page_of(query_url, code))


def from_registry(registry: Registry, raw: str) -> Home | None:
    """The same answer from a trace system's own registry, filled by the platform's base data."""
    read = parse(raw, registry.customs)
    if not isinstance(read, TraceCode):
        return None
    found = registry.resolve(read)
    if found.system is None:
        return None
    url = page_of(found.query_url, read.text)
    return Home(
        read.text, read.prefix, str(read.scheme), "", found.system.name, found.system.operator, "", url
    )
