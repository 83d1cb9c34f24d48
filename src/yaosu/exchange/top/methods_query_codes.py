"""What is known of a code: product, batch, status, what is inside, whether it is activated (interfaces §2.5).

The families ask the same question in many names; the answers differ in their published fields. Product, batch and
status of a code are for whoever holds the box (R-B2); who has it and what is around it only for whom it concerns (D10).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from yaosu.codes import NotACode, parse
from yaosu.codes.issue import derive, locate
from yaosu.exchange.top import store_query as store
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.relation import relation_of
from yaosu.exchange.top.shaping import Names, fit, fit_box, is_number, names_of
from yaosu.exchange.top.values_goods import (
    Seen,
    barcode69,
    code_values,
    look,
    orgs_of,
    product_values,
)
from yaosu.trace.model import VERIFY_MAX

P = "alibaba.alihealth."
CODES_MAX = 4_000
"""Codes in one call, the largest number the incumbent ever took; more are refused."""
SCOPE = "trace.read"


async def looked_up(call: Call, raws: Sequence[str], limit: int = CODES_MAX) -> tuple[list[Seen], Names]:
    """The codes of a call and the names in what is said of them; refused where there are none or too many."""
    if not raws:
        raise Failed("FAIL_BIZ_CODE_FORMAT_ERROR", "没有追溯码")
    if len(raws) > limit:
        raise Failed("FAIL_BIZ_PARAM_CODE_NUM_ERROR", f"一次最多查询 {limit} 个追溯码，本次 {len(raws)} 个")
    seen: list[Seen] = []
    async with call.conn() as conn:
        for at in range(0, len(raws), VERIFY_MAX):
            seen += await look(call, conn, raws[at : at + VERIFY_MAX])
    holders = [s.found.root.holder for s in seen if s.known and s.found is not None]
    return seen, await names_of(call, [*orgs_of(call.registry, seen), *holders])


def _codes(call: Call) -> list[str]:
    return call.strings("codes") or call.strings("code_list")


async def details(call: Call, raws: Sequence[str], applied: str = "E") -> list[dict[str, Any]]:
    """Everything of each code, in order."""
    seen, names = await looked_up(call, raws)
    return [code_values(call, one, names, applied) for one in seen]


@method(
    P + "drug.code.kyt.querycode",
    aliases=(
        P + "drug.code.kyt.yd.querycode",
        P + "drug.code.kyt.yy.querycode",
        P + "drug.code.kyt.dr.querycode",
        P + "drug.code.kyt.va.querycode",
        P + "drug.code.kyt.specia.vaccin.querycode",
        P + "drug.code.kyt.smyx.querycode",
    ),
    scope=SCOPE,
)
async def query_code(call: Call) -> Reply:
    """Product, batch and status of codes."""
    await call.ref_org()
    return Reply(fit(call, await details(call, _codes(call))))


@method(P + "drug.code.kyt.wes.querycode", scope=SCOPE)
async def query_code_wes(call: Call) -> Reply:
    """The same in the paid tier, which also knows codes that were applied for and never activated (B)."""
    await call.ref_org()
    return Reply(fit(call, await details(call, _codes(call), "B")))


@method(P + "drug.code.kyt.hospitalsenddrugmachine", scope=SCOPE)
async def dispensing_machine(call: Call) -> Reply:
    """Codes for a dispensing machine; what is not a 20-digit code beginning with 8 is left out, as published."""
    await call.ref_org()
    raws = [r for r in _codes(call) if len(r) == 20 and is_number(r) and r.startswith("8")]
    if not raws:
        raise Failed("FAIL_BIZ_CODE_FORMAT_ERROR", "没有以8开头的20位追溯码")
    rows = await details(call, raws)
    barcode = call.text("barcode69")
    if barcode:
        rows = [r for r in rows if r["barcode69"] == barcode]
    return Reply(fit(call, rows))


@method(P + "drug.kyt.querydruginfo", scope=SCOPE)
async def query_drug_info(call: Call) -> Reply:
    """Codes for a carrier and its principal; both must be organisations the key may name."""
    for name in ("wuliu_ref_ent_id", "huozhu_ref_ent_id"):
        await call.party(name)
    return Reply(fit(call, {"info_list": await details(call, _codes(call))}))


@method(P + "drug.kyt.getcodebaseinfo", scope=SCOPE)
async def base_info(call: Call) -> Reply:
    """One code, with what is directly inside it where that may be known."""
    await call.ref_org()
    seen, names = await looked_up(call, [call.text("code")])
    values = code_values(call, seen[0], names)
    if seen[0].known and seen[0].found is not None:
        unit = seen[0].found.unit
        async with call.conn() as conn:
            rows = await conn.fetch(store.CHILDREN, unit.drug_id, unit.code, CODES_MAX)
        state = values["code_status_type_d_t_o"]
        state["child_codes"] = [{"code": r["code"], "pkg_level": r["level"]} for r in rows]
        state["include_produce_code_count"] = len(rows)
    success, code, info = _said(seen[0])
    return Reply(None, success, code, info, **fit_box(call, values))


def _said(seen: Seen) -> tuple[bool, str, str]:
    """success, msg_code and msg_info of an answer about one code."""
    problem, why = seen.problem
    return (not problem, problem or "SUCCESS", why or "")


def _ends_in_trade(seen: Seen) -> str | None:
    return "S" if seen.status == "O" else seen.status


@method(P + "code.getcodeinfo", scope=SCOPE)
async def code_info(call: Call) -> Reply:
    """The public side of one code (NMPAB/T 1012-2022 fields); 1000 is success here."""
    await call.ref_org()
    seen, names = await looked_up(call, [call.text("code")])
    one = seen[0]
    product = call.registry.product(one.drug_id) if one.drug_id else None
    problem, why = one.problem
    if problem or product is None:
        raise Failed(problem, why)
    batch = one.batches[0][0] if one.batches else None
    goods = product_values(call.registry, product, names)

    def firm(org: int | None) -> dict[str, Any] | None:
        card = call.card(org)
        return {"ent_name": card.name, "org_code": card.uscc or None} if card is not None else None

    values = goods | {
        "production_date": batch.produced_on if batch else None,
        "expiry_date": batch.expires_on if batch else None,
        "production_batch": batch.batch_no if batch else None,
        "import_reg_cert": product.import_cert_no or None,
        "import_reg_cert_validity": _day(product.import_cert_expires),
        "import_app_cert": product.import_permit_no or None,
        "import_app_cert_validity": _day(product.import_permit_expires),
        "approval_licence_expiry": _day(product.approval_expires),
        "code_status": _ends_in_trade(one),
        "drug_registration_classfication": {"chemical": 1, "tcm": 2, "biological": 3}.get(
            product.registration_class
        ),
        "national_essential_drugs_flag": int(product.essential),
        "controlled_drug_management_type": product.physic_type,
        "otc_flag": {"rx": 0, "otc_a": 1, "otc_b": 2}.get(product.prescription),
        "authorizer_ent_info": firm(product.mah_id),
        "produce_ent_info": firm(product.manufacturer_id),
        "pack_ent_info": firm(product.packer_id),
        "agent_ent_info": firm(product.agent_id),
        "retail_ent_info": firm(one.found.root.holder)
        if one.known and one.found is not None and one.status == "O"
        else None,
    }
    return Reply(fit(call, values), msg_code="1000", msg_info="调用成功")


def _day(value: date | None) -> datetime | None:
    """A day as a moment, where the method publishes a time."""
    return datetime.combine(value, time(), CHINA) if value is not None else None


@method(P + "drug.kyt.querycodeactive", aliases=(P + "drug.kyt.wes.querycodeactive",), scope=SCOPE)
async def not_active(call: Call) -> Reply:
    """Which of the codes are not activated, or are none at all; the others are left out of the answer."""
    await call.ref_org()
    seen, _ = await looked_up(call, _codes(call))
    return Reply([s.asked.raw for s in seen if s.found is None or s.status == "C"])


@method(
    P + "drug.kyt.singlerelation",
    aliases=(
        P + "drug.kyt.scqy.singlerelation",
        P + "drug.kyt.dr.singlerelation",
        P + "drug.code.kyt.wes.querycoderelation",
    ),
    scope=SCOPE,
)
async def relation(call: Call) -> Reply:
    """A package and everything in it, with both scales of level; for whom the goods concern."""
    await call.ref_org()
    if call.text("des_ref_ent_id"):
        await call.ref_org("des_ref_ent_id")
    return Reply(fit(call, [await relation_of(call, call.text("code"))]))


@method(P + "drug.kyt.yy.querysubcodes", scope=SCOPE)
async def sub_codes(call: Call) -> Reply:
    """The same for up to ten codes."""
    await call.ref_org()
    codes = _codes(call)
    if not 1 <= len(codes) <= 10:
        raise Failed("FAIL_BIZ_PARAM_CODE_NUM_ERROR", "一次查询 1 到 10 个追溯码")
    return Reply(fit(call, [await relation_of(call, code) for code in codes]))


@method(P + "drug.kyt.yb.getcoderelation", scope=SCOPE)
async def relation_insurance(call: Call) -> Reply:
    """The same for insured institutions, named by their bureau: still only for whom the goods concern."""
    one = await relation_of(call, call.text("code"))
    return Reply(fit(call, [{"code_relation_dto_list": [one], "pkg_ratio": one["pkg_ratio"]}]))


@method(P + "drugcheckcode.checklastfour", scope="")
async def last_four(call: Call) -> Reply:
    """Whether a code's last four digits fit: by computation where codes of its prefix were issued here (R-X8).

    Elsewhere only the code's issuer can compute them; there a code fits when it is on record.
    """
    code = parse(call.text("code"), call.registry.customs)
    if isinstance(code, NotACode) or len(code.text) != 20:
        raise Failed("FAIL_BIZ_CODE_FORMAT_ERROR", "追溯码格式错误")
    master: bytes = call.app.parts["master_secret"]
    async with call.conn() as conn:
        ranges = await conn.fetch(store.ISSUED, code.prefix)
        (seen,) = await look(call, conn, [code.text])
    number = locate(code.text, derive(master, ranges[0]["key_id"])) if ranges else None
    issued = number is not None and any(r["start_no"] <= number < r["start_no"] + r["count"] for r in ranges)
    return Reply(issued or seen.found is not None, success_i=True)


@method(P + "drug.getbarcode.bytraccode", scope=SCOPE)
async def barcode_of(call: Call) -> Reply:
    """The 69 code of a trace code's product."""
    seen, _ = await looked_up(call, [call.text("trace_code")])
    product = call.registry.product(seen[0].drug_id) if seen[0].drug_id else None
    found = barcode69(product) if product is not None else None
    if found is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    return Reply(found)


@method(P + "drug.scan.querycode", scope=SCOPE)
async def scan(call: Call) -> Reply:
    """Expiry and package of a scanned code."""
    seen, _ = await looked_up(call, [call.text("code")])
    one = seen[0]
    product = call.registry.product(one.drug_id) if one.drug_id else None
    if one.problem[0] or product is None:
        raise Failed(*one.problem)
    ends = one.batches[0][0].expires_on if one.batches else None
    return Reply(
        fit(call, {"code": one.code, "pkg_spec": product.package_size, "expiry_date": ends}),
    )


@method(P + "drugcode.nodename.get", scope=SCOPE)
async def node_name(call: Call) -> Reply:
    """Who holds a code, where the caller may know."""
    await call.ref_org()
    seen, _ = await looked_up(call, [call.text("code")])
    one = seen[0]
    if one.found is None:
        raise Failed(*one.problem)
    name = call.name_of(one.found.root.holder) if one.known else None
    if name is None:
        raise Failed("FAIL_BIZ_CODE_NO_AUTH", "权限不足")
    return Reply([{"code": one.code, "name": name}])
