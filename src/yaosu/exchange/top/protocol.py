"""How a method of the gateway is written: registered by name, given a `Call`, answering with a `Reply` (R-X10).

    @method("alibaba.alihealth.drugtrace.top.lsyd.uploadinoutbill", aliases=("…yljg.uploadinoutbill",))
    async def upload(call: Call) -> Reply: ...

The caller is known and its signature was good; required fields are there and of their published types. What the
handler answers is put into the published shape: `model` into the method's payload field (`model`, `models`,
`model_list`, …), success, `msg_code` and `msg_info` where the method has them, everything converted to its published
type (numbers as numbers, times as `yyyy-MM-dd HH:mm:ss` China time, None left out). A name the method does not
publish is a programming error.

Three ways to say no: `Refused` is an `error_response` (level 1, the call itself), `Failed` an answer of the method with
success false (level 2, the business), and any `YaosuError` becomes a `Failed` with its text, or a `Refused` where the
key may not do that at all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import orjson

from yaosu.circulation.cache import BatchCache
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Connection, Pool
from yaosu.edge.state import AppState
from yaosu.exchange.top import delegated
from yaosu.exchange.top.aliases import Aliases
from yaosu.exchange.top.fields import MethodFields, moment, parts_of, published
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgCard
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

REMOTE = 15
"""Remote service error: the gateway's code for what the service behind it refuses."""
PAGE_MAX = 500
"""Rows in one page of an answer; larger page sizes are answered with this many."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """An `error_response`: the call was not carried out. `sub_code` is stable, `sub_msg` for people (Chinese)."""

    def __init__(self, sub_code: str, sub_msg: str = "", code: int = REMOTE, msg: str = "") -> None:
        self.code, self.msg, self.sub_code, self.sub_msg = code, msg, sub_code, sub_msg
        super().__init__(sub_code)


class Failed(Exception):  # noqa: N818 - an answer, not a fault
    """The method's own answer with success false: `msg_code` and `msg_info`, further top-level fields in `more`."""

    def __init__(self, msg_code: str, msg_info: str, **more: Any) -> None:
        self.msg_code, self.msg_info, self.more = msg_code, msg_info, more
        super().__init__(msg_code)


class Reply:
    """What a method answers. `model` None leaves the payload out."""

    __slots__ = ("fields", "model", "msg_code", "msg_info", "success")

    def __init__(
        self,
        model: Any = None,
        success: bool = True,
        msg_code: str = "SUCCESS",
        msg_info: str = "",
        **fields: Any,
    ) -> None:
        self.model, self.success, self.msg_code, self.msg_info = model, success, msg_code, msg_info
        self.fields = fields


@dataclass(frozen=True, slots=True)
class File:
    """A file part of the request."""

    name: str
    content: bytes
    media_type: str = ""


@dataclass(slots=True)
class Call:
    """One call whose signature was good. `org` is the organisation of the app key."""

    method: str
    params: Mapping[str, str]
    files: Mapping[str, File]
    subject: Subject
    org: int
    app_key: str
    app: AppState
    request_id: str
    body: bytes = b""
    """The request as received."""
    notes: dict[str, Any] = field(default_factory=dict)

    # -- the rooms ----------------------------------------------------------------------------------

    @property
    def pool(self) -> Pool:
        """The server's pool."""
        return self.app.pool

    @property
    def registry(self) -> Registry:
        """The server's registry."""
        found: Registry = self.app.parts["registry"]
        return found

    @property
    def committer(self) -> Committer:
        """The one write path's committer."""
        found: Committer = self.app.parts["committer"]
        return found

    @property
    def batches(self) -> BatchCache:
        """The server's batch cache."""
        found: BatchCache = self.app.parts["batches"]
        return found

    @property
    def keeper(self) -> Keeper:
        """The keeper of personal data."""
        found: Keeper = self.app.parts["keeper"]
        return found

    @property
    def aliases(self) -> Aliases:
        """`ent_id` and `ref_ent_id` of organisations."""
        found: Aliases = self.app.parts["top.aliases"]
        return found

    @asynccontextmanager
    async def conn(self) -> AsyncIterator[Connection]:
        """A connection in a transaction; it commits when the block is left without an error."""
        async with self.pool.acquire() as conn, conn.transaction():
            yield conn

    # -- parameters ---------------------------------------------------------------------------------

    def text(self, name: str, default: str = "") -> str:
        """A field without surrounding blanks."""
        return self.params.get(name, default).strip()

    def number(self, name: str, default: int = 0) -> int:
        """A whole number; `default` when not given. Refused (41) when it is none."""
        text = self.text(name)
        if not text:
            return default
        try:
            found = int(text)
        except ValueError:
            raise self.invalid(name) from None
        if abs(found) >= 2**63:
            raise self.invalid(name)
        return found

    def when(self, name: str) -> datetime | None:
        """A date and time in China time; None when not given. Refused (41) when it is none."""
        text = self.text(name)
        if not text:
            return None
        found = moment(text)
        if found is None:
            raise self.invalid(name)
        return found

    def day(self, name: str) -> date | None:
        """A day; also from a date and time. Refused (41) when it is none."""
        found = self.when(name)
        return found.date() if found is not None else None

    def days(
        self, begin: str = "begin_date", end: str = "end_date"
    ) -> tuple[datetime | None, datetime | None]:
        """From the start of the first day to the end of the last, both inclusive; the end is exclusive here."""
        first, last = self.when(begin), self.when(end)
        if last is not None:
            whole_day = len(self.text(end)) <= 10 or (last.hour, last.minute, last.second) == (0, 0, 0)
            last += timedelta(days=1) if whole_day else timedelta(seconds=1)
        if first is not None and last is not None and first >= last:
            raise self.invalid(begin, f"{begin} 晚于 {end}")
        return first, last

    def strings(self, name: str) -> list[str]:
        """A basic list: separated by commas, or a JSON array."""
        return parts_of(self.params.get(name, ""))

    def json(self, name: str) -> Any:
        """A structured field; None when not given. Refused (41) when it is no JSON."""
        text = self.text(name)
        if not text:
            return None
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise self.invalid(name) from None

    def page(self, page: str = "page", size: str = "page_size") -> tuple[int, int]:
        """(offset, limit) of a page, the first being 1. Refused (41) for a page below 1 or beyond ten million."""
        number, wanted = self.number(page, 1), self.number(size, 20)
        if number < 1 or number > 10_000_000:
            raise self.invalid(page)
        if wanted < 1:
            raise self.invalid(size)
        limit = min(wanted, PAGE_MAX)
        return (number - 1) * limit, limit

    def invalid(self, name: str, why: str = "") -> Refused:
        """The refusal of a field's value (41)."""
        return Refused(
            f"isv.invalid-parameter:{name}", why or f"参数 {name} 的值无效", 41, f"Invalid arguments:{name}"
        )

    def missing(self, name: str) -> Refused:
        """The refusal of a field that is not there (40)."""
        return Refused(
            f"isv.missing-parameter:{name}", f"缺少参数 {name}", 40, f"Missing required arguments:{name}"
        )

    # -- organisations ------------------------------------------------------------------------------

    async def org_named(self, value: str) -> int | None:
        """Our id of the organisation that goes by `value`: ref_ent_id, ent_id or 统一社会信用代码."""
        return await self.aliases.org_of(self.pool, self.registry, value)

    async def party(self, name: str) -> int | None:
        """The organisation in a field (either alias); None when not given. Refused: `isv.ent-not-exist`."""
        value = self.text(name)
        if not value:
            return None
        found = await self.org_named(value)
        if found is None:
            raise Refused("isv.ent-not-exist", f"{name} 对应的企业不存在：{value[:40]}")
        return found

    async def ref_org(self, name: str = "ref_ent_id") -> int:
        """The organisation acted for: the key's own, or one that it may act for. Where the published field may be left
        out, leaving it out means the key's own.

        Refused (`isv.ent-no-auth`) for anybody else's, known or not: the answer tells nothing of others.
        """
        value = self.text(name)
        if not value:
            field = published()[self.method].request.get(name)
            if field is not None and field.required:
                raise self.missing(name)
            return self.org
        found = await self.org_named(value)
        if found is None or not await delegated.may_act(
            self.pool, self.registry, self.subject, self.org, found
        ):
            raise Refused("isv.ent-no-auth", f"{name} 不是本 AppKey 可操作的企业：{value[:40]}")
        return found

    async def ent(self, name: str) -> int | None:
        """A partner in a field that takes `ent_id`; the other alias is understood as well."""
        return await self.party(name)

    async def ent_id(self, org: int | None) -> str | None:
        """The `ent_id` of an organisation; None for none."""
        return (await self.aliases.of(self.pool, [org]))[org].ent_id if org else None

    async def ref_ent_id(self, org: int | None) -> str | None:
        """The `ref_ent_id` of an organisation; None for none."""
        return (await self.aliases.of(self.pool, [org]))[org].ref_ent_id if org else None

    def card(self, org: int | None) -> OrgCard | None:
        """The directory entry of an organisation."""
        return self.registry.org(org) if org else None

    def name_of(self, org: int | None) -> str | None:
        """The name of an organisation; None for none."""
        card = self.card(org)
        return card.name if card is not None else None


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Method:
    """A method that is done."""

    name: str
    handler: Handler
    fields: MethodFields
    once: bool
    """A repeat of the very same signed request gets the first answer and is not carried out again. For methods that
    change something and are not idempotent by a bill number."""
    scope: str
    """The permission that the key needs; "" for none."""


METHODS: dict[str, Method] = {}
"""Every method that is done, by name. Filled by `load_methods`."""


def method(
    name: str, *, aliases: tuple[str, ...] = (), once: bool = False, scope: str = "bill.read"
) -> Callable[[Handler], Handler]:
    """Register a handler under `name` and `aliases`: all of them published methods, each only once."""

    def register(handler: Handler) -> Handler:
        for one in (name, *aliases):
            if one in METHODS:
                raise ValueError(f"{one} has a handler already")
            shape = published().get(one)
            if shape is None:
                raise ValueError(f"{one} is no published method")
            METHODS[one] = Method(one, handler, shape, once, scope)
        return handler

    return register


def load_methods() -> Mapping[str, Method]:
    """Import every `methods_*` module of this package; the table of what is done."""
    package = import_module("yaosu.exchange.top")
    for found in iter_modules(package.__path__):
        if found.name.startswith("methods_"):
            import_module(f"yaosu.exchange.top.{found.name}")
    return METHODS
