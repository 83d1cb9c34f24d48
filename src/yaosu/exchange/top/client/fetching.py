"""Fetching what upstream shipped to us: bills, codes and relations, taken into our books as notices (R-B1, R-B9)."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import orjson
import structlog

from yaosu.codes import NotACode, parse
from yaosu.exchange.adopt.model import Adopted, Package, Upstream
from yaosu.exchange.top.client.families import Family
from yaosu.exchange.top.client.identity import AwayError, Call, Identities, NotKnownError
from yaosu.exchange.top.client.talk import Said, many
from yaosu.exchange.top.fields import CHINA, moment
from yaosu.registry.resolver import Registry

log = structlog.get_logger("yaosu.top.client")

FIRST_DAYS = 7
"""How far back the first look goes."""
LOOK_S = 200.0
"""How long one look goes on before it leaves the rest to the next: calls are paced, and a look must end in time."""
DONE_MAX = 5_000
"""Bills remembered as taken in."""
AGAIN_DAYS = 2
"""Bills may be uploaded late, so each look overlaps the one before by this."""
PAGE = 50
RELATIONS = 10
"""Codes in one question for relations, the platform's limit (§2.6)."""
TRIES_MAX = 50
"""Looks after which a bill that cannot be taken in is left until a person asks again."""

Adopt = Callable[[Upstream], Awaitable[Adopted]]


class Fetcher:
    """One look at what upstream sent."""

    def __init__(
        self,
        registry: Registry,
        org: int,
        system_id: int,
        family: Family,
        who: Identities,
        call: Call,
        adopt: Adopt,
    ) -> None:
        self._registry, self._org, self._system = registry, org, system_id
        self._family, self._who, self._call, self._adopt = family, who, call, adopt

    async def fetch(self, cursor: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
        """Everything new since `cursor`; the next cursor. Bills that could not be taken in stand in it under
        `waiting` with the reason, and are tried again; so does the platform itself when it does not answer."""
        done: list[str] = list(cursor.get("done") or ())
        waiting: dict[str, Any] = {k: v for k, v in (cursor.get("waiting") or {}).items() if k}
        since = (
            date.fromisoformat(cursor["day"]) if "day" in cursor else now.date() - timedelta(days=FIRST_DAYS)
        )
        day = since
        try:
            if await self._fetch(done, waiting, since, now):
                day = now.astimezone(CHINA).date() - timedelta(days=AGAIN_DAYS)
        except AwayError as error:
            waiting[""] = {"tries": 0, "reason": error.said.message or error.said.text[:500]}
        # what was done stays done, however far this look came
        return {"day": day.isoformat(), "done": done[-DONE_MAX:], "waiting": waiting}

    async def _fetch(self, done: list[str], waiting: dict[str, Any], since: date, now: datetime) -> bool:
        """Take in what is new and keep account of it in `done` and `waiting`; whether it came to the end."""
        own = await self._who.own()
        until = time.monotonic() + LOOK_S
        seen = set(done)
        for row in await self._listed(own.ref, since, now):
            if time.monotonic() > until:
                return False
            key = f"{row.get('from_ref_user_id')}|{row.get('bill_code')}"
            tried = int((waiting.get(key) or {}).get("tries", 0))
            if key in seen or tried >= TRIES_MAX:
                continue
            seen.add(key)
            try:
                await self._one(row, own.ref)
            except (NotKnownError, ValueError) as error:
                waiting[key] = {"tries": tried + 1, "reason": str(error)[:500]}
                continue
            waiting.pop(key, None)
            done.append(key)
        return True

    async def _listed(self, ref: str, since: date, now: datetime) -> list[Mapping[str, Any]]:
        rows: dict[tuple[str, str], Mapping[str, Any]] = {}
        page = 1
        while True:
            said = await self._asked(
                self._family.upstream,
                {
                    "ref_ent_id": ref,
                    "begin_date": since.isoformat(),
                    "end_date": now.astimezone(CHINA).date().isoformat(),
                    "page": str(page),
                    "page_size": str(PAGE),
                },
            )
            found = many(said.model.get("result_list") if isinstance(said.model, dict) else said.model)
            for row in found:
                # one row per product and batch; the bill is asked for as a whole
                rows.setdefault((str(row.get("from_ref_user_id")), str(row.get("bill_code"))), row)
            if len(found) < PAGE:
                return list(rows.values())
            page += 1

    async def _asked(self, method: str, params: Mapping[str, object]) -> Said:
        said = await self._call(method, params)
        if said.level != 2:
            raise AwayError(said)
        if not said.success and said.model is None:
            raise NotKnownError(f"{said.msg_code} {said.msg_info}")
        return said

    async def _one(self, row: Mapping[str, Any], ref: str) -> None:
        """Take one bill in. Raises NotKnownError with the reason when it cannot be, AwayError."""
        number, sender_ref = str(row.get("bill_code")), str(row.get("from_ref_user_id"))
        said = await self._asked(
            self._family.upstream_detail,
            {
                "ref_ent_id": ref,
                "bill_code": number,
                "from_ref_user_id": sender_ref,
                "to_ref_user_id": str(row.get("to_ref_user_id") or ref),
            },
        )
        bill = said.model if isinstance(said.model, dict) else {}
        at = moment(str(bill.get("store_out_date") or row.get("bill_time") or ""))
        if at is None:
            raise NotKnownError(f"单据 {number} 没有可读的单据时间")
        packages: list[Package] = []
        for goods in many(bill.get("drug_infos_dto_list")):
            packages += await self._packages(goods, ref)
        if not packages:
            raise NotKnownError(f"单据 {number} 没有追溯码")
        name = str(row.get("from_user_name") or row.get("from_ent_name") or bill.get("ent_send_name") or "")
        sender = await self._who.ours(sender_ref, name, self._system)
        done = await self._adopt(
            Upstream(
                self._system,
                sender,
                self._org,
                number,
                at,
                packages,
                bill_type=_bill_type(row.get("bill_type") or bill.get("bill_type")),
                header={"note": "码上放心"},
                body=orjson.dumps(said.body),
            )
        )
        if done.refused:
            reasons = "；".join(f.text("zh") for f in done.refused[:10])
            log.info("upstream_partly", bill=number, refused=len(done.refused))
            if done.bill is None:
                raise NotKnownError(reasons)

    async def _packages(self, goods: Mapping[str, Any], ref: str) -> list[Package]:
        """The packages of one product and batch with what is in them."""
        facts = (
            str(goods.get("produce_batch_no") or ""),
            _day(goods.get("produce_date")),
            _day(goods.get("valid_end_date")),
        )
        codes = [str(c.get("code")) for c in many(goods.get("code_info_list_dto_list"))]
        outer = [self._package(code, *facts) for code in codes]
        large = [p for p in outer if p.level > 1]
        inside: dict[str, list[tuple[str, str]]] = {}
        for a in range(0, len(large), RELATIONS):
            inside.update(await self._relations([p.code for p in large[a : a + RELATIONS]], ref))
        made = []
        for package in outer:
            if package.level == 1:
                made.append(package)
                continue
            tree = inside.get(package.code)
            if not tree:
                raise NotKnownError(
                    f"码上放心尚未开放 {package.code} 的包装关联（通常在本企业上传入库单并处理后开放），稍后自动重试"
                )
            made.append(self._tree(package.code, tree, facts))
        # goods scanned singly beside the case they are in belong to the case
        held = {p.code for package in made for p in package.all() if p is not package}
        return [p for p in made if p.code not in held]

    def _package(
        self, code: str, batch_no: str, made: date, expires: date, children: Sequence[Package] = ()
    ) -> Package:
        read = parse(code, self._registry.customs)
        if isinstance(read, NotACode):
            raise NotKnownError(f"追溯码 {code[:40]} 无法识别")
        found = self._registry.resolve(read)
        if found.drug_id is None or found.level is None:
            raise NotKnownError(f"药品标识码 {read.prefix} 未在本平台登记，请先登记该产品")
        return Package(read.text, found.level, found.drug_id, batch_no, made, expires, children)

    async def _relations(self, codes: Sequence[str], ref: str) -> dict[str, list[tuple[str, str]]]:
        """(code, parent) of everything in each of `codes`, by outermost code."""
        said = await self._call(
            self._family.relation, {"ref_ent_id": ref, "des_ref_ent_id": ref, "code": ",".join(codes)}
        )
        if said.level != 2:
            raise AwayError(said)
        pairs: dict[str, str] = {}
        for model in many(said.body.get("model_list") or said.body.get("model")):
            if not isinstance(model, dict):
                continue
            for one in many(model.get("code_relation_list")):
                pairs[str(one.get("code"))] = str(one.get("parent_code") or "")
        found: dict[str, list[tuple[str, str]]] = {}
        for code, parent in pairs.items():
            top, steps = code, 0
            while top not in codes and pairs.get(top) and steps < 9:
                top, steps = pairs[top], steps + 1
            if top in codes and code != top:
                found.setdefault(top, []).append((code, parent))
        return found

    def _tree(self, code: str, pairs: Sequence[tuple[str, str]], facts: tuple[str, date, date]) -> Package:
        below: dict[str, list[str]] = {}
        for child, parent in pairs:
            below.setdefault(parent, []).append(child)

        def make(one: str, depth: int) -> Package:
            if depth > 9:
                raise NotKnownError(f"{code} 的包装关联有循环")
            return self._package(one, *facts, tuple(make(c, depth + 1) for c in below.get(one, ())))

        return make(code, 0)


_DAY = re.compile(r"(\d{4})\D?(\d{1,2})\D?(\d{1,2})(?:\D.*)?")
_JAVA_DAY = "%a %b %d %H:%M:%S CST %Y"
"""How the platform's published answers write a few of their days."""


def _day(value: object) -> date:
    """A day in any of the forms their answers have: with dashes, slashes or dots, eight digits, Java's own."""
    text = str(value or "").strip()
    parts = _DAY.fullmatch(text)
    try:
        if parts is not None:
            return date(*(int(part) for part in parts.groups()))
        return datetime.strptime(text, _JAVA_DAY).replace(tzinfo=CHINA).date()
    except ValueError:
        raise NotKnownError(f"日期无法识别：{text[:40]}") from None


def _bill_type(value: object) -> int:
    """What the sender called it; a sale where the platform only gives words."""
    text = str(value or "")
    return int(text) if text.isdigit() and 200 < int(text) < 300 else 201
