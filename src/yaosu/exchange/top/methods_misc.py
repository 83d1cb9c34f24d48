"""Around the trade: tokens of the paid tier, service periods, health, recalls, files that land at a firm, grants."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from yaosu.access.visibility import visible
from yaosu.exchange.top import downloads, landing, store_landing
from yaosu.exchange.top import store_trade as store
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.methods_maker_products import link_to
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit, names_of, text
from yaosu.exchange.top.values_bills import in_types, out_types
from yaosu.exchange.top.values_goods import orgs_of_product, product_values
from yaosu.grants import service as grants
from yaosu.recall import service as recalls
from yaosu.registry.names import normalise

P = "alibaba.alihealth."
TOKEN_FOR = timedelta(days=1)
FIRST_DAY, LAST_DAY = date(2026, 1, 1), date(2099, 12, 31)
"""The service has no end: the day stands for none where clients look for one."""
FILES_MAX = 500
RECALLS_MAX = 500


# -- the paid tier's token ----------------------------------------------------------------------------


def _token(call: Call, org: int, until: datetime) -> str:
    """A token for WES calls. Calls are signed anyway, so it opens nothing by itself and is not asked for again."""
    master: bytes = call.app.parts["master_secret"]
    body = f"{call.app_key}.{org}.{int(until.timestamp())}"
    sign = hmac.digest(master, f"yaosu top wes {body}".encode(), hashlib.sha256)[:18]
    return base64.urlsafe_b64encode(body.encode() + b"." + sign).decode()


@method(P + "drug.code.kyt.wes.license.token.get", scope="")
async def token(call: Call) -> Reply:
    """A token for a day; as many as are asked for."""
    org = await call.ref_org()
    now = datetime.now(UTC)
    until = now + TOKEN_FOR
    model = {
        "appkey": call.app_key,
        "ref_ent_id": await call.ref_ent_id(org),
        "license_token": _token(call, org, until),
        "create_time": text(now),
        "expire_time": text(until),
    }
    return Reply(fit(call, model))


@method(P + "drug.code.kyt.wes.getlicense", scope="")
async def token_older(call: Call) -> Reply:
    """The same by its older name."""
    org = await call.ref_org()
    return Reply(_token(call, org, datetime.now(UTC) + TOKEN_FOR))


@method(P + "drug.kyt.wes.service.info", aliases=(P + "drug.msc.serviceinfo",), scope="")
async def service(call: Call) -> Reply:
    """How long the service lasts."""
    org = await call.ref_org() if call.text("ref_ent_id") else call.org
    model = {"ref_ent_id": await call.ref_ent_id(org), "start_date": FIRST_DAY, "end_date": LAST_DAY}
    return Reply(fit(call, model))


@method(P + "drug.kyt.recordinfo", scope="")
async def health(call: Call) -> Reply:
    """快易通健康检查: whether the service and its database answer."""
    await call.pool.fetchval("SELECT 1")
    return Reply(True, msg_info="服务正常")


# -- recalls ------------------------------------------------------------------------------------------


@method(P + "drug.kyt.dr.drugrecal", scope="recall.read")
async def recalled(call: Call) -> Reply:
    """Recalls of a period that the caller runs, holds goods of, or is in charge of (R-E4); vaccines and all others."""
    if call.text("ref_ent_id"):
        await call.ref_org()
    since, until = call.days("recall_begin_time", "recall_end_time")
    async with call.conn() as conn:
        orders = await recalls.listed(conn, call.subject, states=("published", "finished"), limit=RECALLS_MAX)
        orders = [
            o for o in orders
            if o.published_at is not None and (since is None or o.published_at >= since)
            and (until is None or o.published_at < until)
        ]  # fmt: skip
        goods = {o.id: await recalls.goods_of(conn, o) for o in orders}
    products = {o.id: call.registry.product(o.drug_id) for o in orders}
    orgs = [x for o in orders for x in (o.issuer, o.owner)]
    orgs += [x for p in products.values() if p is not None for x in orgs_of_product(p) if x]
    names = await names_of(call, orgs)
    rows = []
    for one in orders:
        product = products[one.id]
        values = product_values(call.registry, product, names) if product is not None else {}
        batches = ",".join(number for _, number in goods[one.id].batches)
        rows.append(
            values
            | {
                "recall_info_id": str(one.id),
                "ent_name": names.name(one.issuer),
                "product_batch_nos": batches or None,
                "recall_level": one.level,
                "recall_reason": one.reason,
                "recall_nature": 2 if one.simulated else 1,
                "recall_bill_type": 2 if one.kind == "ordered" else 1,
                "recall_status": 2 if one.state == "finished" else 1,
                "recall_audit_status": 1 if one.approved_at is not None else 0,
                "recall_open": 1 if one.is_public else 0,
                "recall_range": _range(one.regions),
                "recall_end_date": one.ended_at,
            }
        )
    return Reply(fit(call, rows))


def _range(regions: Any) -> int:
    """召回范围: 0 the whole country, 1 provinces, 2 cities."""
    if not regions:
        return 0
    return 1 if all(str(r).endswith("0000") or len(str(r)) == 2 for r in regions) else 2


# -- files that land at a firm ------------------------------------------------------------------------


def _own_key(call: Call) -> None:
    given = call.text("app_key_n")
    if given and given != call.app_key:
        raise Failed("FAIL_BIZ_CODE_NO_AUTH", "app_key_n 应为调用方的 AppKey")


@method(P + "drug.download.entlist")
async def files(call: Call) -> Reply:
    """Addresses of upstream's bills that we have not taken over yet, oldest first; each good for a day."""
    _own_key(call)
    async with call.conn() as conn:
        rows = await store_landing.waiting(conn, visible(call.subject), call.org, FILES_MAX)
    found = [f"{link_to(call, call.org, downloads.BILL, r['id'])}#{landing.name_of(r['id'])}" for r in rows]
    return Reply(fit(call, {"file_num": len(found), "file_info_list": found}), http_status_code=200)


@method(P + "drug.download.fileacceptret", scope="bill.write")
async def accepted(call: Call) -> Reply:
    """What we took over: `[{"file": name or address, "success": true, "message": ""}]`."""
    _own_key(call)
    given = call.json("file_result_json")
    rows = given if isinstance(given, list) else [given]
    said: list[tuple[int, bool, str]] = []
    for n, row in enumerate(rows, 1):
        name = (
            row.get("file") or row.get("fileName") or row.get("file_name") if isinstance(row, dict) else None
        )
        bill_id = landing.bill_of(str(name or "").rsplit("#", 1)[-1])
        if bill_id is None:
            raise Failed("FAIL_BIZ_PARAM_ERROR", f"第 {n} 项没有可识别的文件名 file", http_status_code=200)
        good = str(row.get("success", row.get("result", True))).lower() in ("true", "1")
        said.append((bill_id, good, str(row.get("message") or "")[:300]))
    async with call.conn() as conn:
        sight = visible(call.subject)
        for bill_id, good, why in said:
            if await store_landing.one(conn, sight, call.org, bill_id) is None:
                raise Failed(
                    "FAIL_BIZ_NO_PAT_INFO", f"没有文件 {landing.name_of(bill_id)}", http_status_code=200
                )
            await conn.execute(store_landing.SAID, call.org, bill_id, good, why)
    return Reply(True, http_status_code=200)


@method(P + "drug.download.getentdailytaskdtolist")
async def daily(call: Call) -> Reply:
    """Per day of a period, how many of upstream's bills there were for us and how many we took over."""
    _own_key(call)
    since, until = call.days("start_time", "end_time")
    if since is None or until is None:
        raise call.missing("start_time")
    if until - since > timedelta(days=93):
        raise Failed("FAIL_BIZ_PARAM_ERROR", "一次最多查询 93 天", http_status_code="200")
    names = await names_of(call, [call.org])
    rows = []
    async with call.conn() as conn:
        day = since.astimezone(CHINA).replace(hour=0, minute=0, second=0)
        while day < until:
            row = await conn.fetchrow(store_landing.REPORT, call.org, day, day + timedelta(days=1))
            assert row is not None
            left = row["files"] - row["accepted"]
            rows.append(
                {
                    "ent_name": names.name(call.org),
                    "ref_ent_id": names.ref(call.org),
                    "start_time": day,
                    "end_time": day + timedelta(days=1) - timedelta(seconds=1),
                    "bill_file_count": row["files"],
                    "bill_task_count": row["files"],
                    "bill_file_accepted_count": row["accepted"],
                    "bill_task_accepted_count": row["accepted"],
                    "bill_file_un_accepted_count": left,
                    "bill_task_un_accepted_count": left,
                    "relation_task_count": 0,
                    "relation_file_count": 0,
                    "relation_task_accepted_count": 0,
                    "relation_file_accepted_count": 0,
                    "relation_task_un_accepted_count": 0,
                    "relation_file_un_accepted_count": 0,
                }
            )
            day += timedelta(days=1)
    return Reply(fit(call, rows))


@method(P + "drug.download.dataerrordiagnosis")
async def diagnosis(call: Call) -> Reply:
    """Why a bill did not land: the checks in order, and the first that says no. `re_upload` 1 offers it once more."""
    _own_key(call)
    number = call.text("bill_code")
    if not number:
        raise Failed("FAIL_BIZ_PARAM_ERROR", "请填写单据号 bill_code", http_status_code=200)
    sight = visible(call.subject)
    owner = call.text("bill_ent_name")
    async with call.conn() as conn:
        row = await store.upstream_bill(conn, sight, call.org, None, number)
        if row is None:
            own = await store.by_number(conn, sight, call.org, number, in_types() + out_types())
            said = (
                "单据为本企业自己的单据，无需落地"
                if own is not None
                else "没有发给本企业的该单据：上游尚未上传，或已作废"
            )
            return Reply(said, http_status_code=200)
        if owner and normalise(owner) != normalise(call.name_of(row["owner"]) or ""):
            return Reply(f"单据货主不是 {owner}", http_status_code=200)
        last = await conn.fetchrow(store_landing.LAST, call.org, row["id"])
        if call.text("re_upload") == "1":
            await conn.execute(store_landing.AGAIN, call.org, row["id"])
            return Reply("已重新列入下载列表", http_status_code=200)
    if last is None:
        return Reply("单据在下载列表中，尚未回执", http_status_code=200)
    if last["accepted"]:
        return Reply("单据已回执为落地成功", http_status_code=200)
    return Reply(f"单据回执为落地失败：{last['reason']}", http_status_code=200)


@method(P + "drug.download.getentauthent")
async def granted(call: Call) -> Reply:
    """Firms that opened their data to us (数据授权, R-B10), by the day they agreed."""
    since, until = call.days("auth_begin_date", "auth_end_date")
    async with call.conn() as conn:
        found = await grants.listed(conn, call.registry, call.subject, None, 500)
    now = datetime.now(UTC)
    held = [
        g for g in found
        if g.grantee == call.org and g.accepted_at is not None and g.withdrawn_at is None
        and (g.until is None or g.until > now)
        and (since is None or g.accepted_at >= since) and (until is None or g.accepted_at < until)
    ]  # fmt: skip
    names = await names_of(call, [x for g in held for x in (g.grantor, g.grantee)])
    rows = [
        {
            "auth_ref_ent_id": names.ref(g.grantor),
            "ent_name": names.name(g.grantor),
            "ref_ent_id": names.ref(g.grantee),
            "auth_date": text(g.accepted_at),
        }
        for g in held
    ]
    return Reply(auth_list=rows, issuccess=True)


# -- what everybody may ask ---------------------------------------------------------------------------


@method(P + "secondard.node.code.showurl", scope="")
async def page_of_code(call: Call) -> Reply:
    """The address of the public page of a code."""
    code = call.text("code")
    if not code or len(code) > 200:
        raise call.invalid("code") if code else call.missing("code")
    return Reply(f"{call.app.settings.public_url}/q?{urlencode({'code': code})}")
