"""Drug tables for institutions, the list of key drugs, and how long the service lasts (R-A1, R-X10)."""

from __future__ import annotations

import csv
import hmac
import io
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from yaosu.exchange.top.protocol import Call, Reply, method
from yaosu.exchange.top.shaping import fit, names_of
from yaosu.exchange.top.values_goods import linked, orgs_of_product, product_values
from yaosu.registry.model import Product
from yaosu.registry.names import normalise
from yaosu.registry.resolver import Registry

LSYD, YLJG = "alibaba.alihealth.drugtrace.top.lsyd.", "alibaba.alihealth.drugtrace.top.yljg."
SCOPE = "product.read"
NEVER = "2099-12-31"
"""The service has no end here; clients compare dates."""
LINK_S = 3600
"""How long a link to the list of key drugs is good."""


@lru_cache(maxsize=200_000)
def _normal(text: str) -> str:
    """Kept, because a question looks at every product."""
    return normalise(text)


def _matching(call: Call) -> list[Product]:
    """Products in use that fit the call's filter, by number. Texts match as parts, half and full width alike."""
    name = _normal(call.text("physic_name"))
    approval, package, strength = (
        _normal(call.text(n)) for n in ("approval_licence_no", "package_spec", "prepn_spec")
    )
    maker = _normal(call.text("ent_name"))

    def fits(one: Product) -> bool:
        return (
            one.active
            and (name in _normal(one.generic_name) or name in _normal(one.trade_name))
            and (not approval or approval in (_normal(one.approval_no), _normal(one.import_cert_no)))
            and (not package or package in _normal(one.package_size))
            and (not strength or strength in _normal(one.strength))
            and (not maker or maker in _normal(call.name_of(one.manufacturer_id) or ""))
        )

    return sorted((p for p in call.registry.products().values() if fits(p)), key=lambda p: p.id)


async def _page(call: Call) -> tuple[list[Product], dict[str, Any], Any]:
    await call.ref_org()
    call.days("start_date", "end_date")
    offset, limit = call.page()
    found = _matching(call)
    page = found[offset : offset + limit]
    names = await names_of(call, [org for one in page for org in orgs_of_product(one)])
    return page, {"total_num": len(found), "page": offset // limit + 1, "page_size": limit}, names


@method(YLJG + "getdruglist", scope=SCOPE)
async def drug_list(call: Call) -> Reply:
    """Products by name, a row each."""
    page, about, names = await _page(call)
    rows = [product_values(call.registry, one, names) | _kinds(call.registry, one) for one in page]
    return Reply(fit(call, about | {"result_list": rows}))


@method(YLJG + "drugtable", scope=SCOPE)
async def drug_table(call: Call) -> Reply:
    """Products by name with their 药品标识码 by package level."""
    page, about, names = await _page(call)
    rows = []
    for one in page:
        values = product_values(call.registry, one, names) | _kinds(call.registry, one)
        levels = [
            {
                "code_prefix": level.identifier,
                "res_code": level.identifier,
                "code_level": level.level,
                "pkg_ratio": level.units_per,
            }
            for level in one.levels
        ]
        rows.append(values | {"sub_type_list": [values | {"code_res_list": levels}]})
    return Reply(fit(call, about | {"result_list": rows}))


def _kinds(registry: Registry, one: Product) -> dict[str, Any]:
    """普药 or 特药, and which in particular."""
    flags = [registry.lists.text("product_flag", flag) for flag in sorted(one.flags)]
    return {
        "physic_detail_type": one.physic_type,
        "physic_detail_type_desc": "、".join(flags) or registry.lists.text("physic_type", one.physic_type),
        "pkg_unit": one.levels[0].name,
        "pack_unit": one.levels[0].name,
    }


@method(LSYD + "service.getenddate", aliases=(YLJG + "service.getenddate",), scope="")
async def end_of_service(call: Call) -> Reply:
    """Until when the service lasts: it has no end."""
    await call.ref_org()
    return Reply(None, msg_info="长期有效", end_date=NEVER)


# -- key drugs ----------------------------------------------------------------------------------------


def _seal(master: bytes, until: int) -> str:
    return hmac.digest(master, f"yaosu top key drugs {until}".encode(), "sha256").hex()[:40]


def link(master: bytes, base: str, now: float) -> str:
    """An address of the list that is good for an hour and needs no signing in."""
    until = int(now) + LINK_S
    return f"{base}/top/key-drugs/{until}-{_seal(master, until)}.csv"


def good_link(master: bytes, token: str, now: float) -> bool:
    """Whether the address was made here and is still good."""
    until, _, seal = token.partition("-")
    if not until.isdigit() or len(until) > 12 or int(until) < now:
        return False
    return hmac.compare_digest(seal.encode(), _seal(master, int(until)).encode())


@method(
    LSYD + "getkeyflagdruginfo.downloadurl", aliases=(YLJG + "getkeyflagdruginfo.downloadurl",), scope=SCOPE
)
async def key_drugs(call: Call) -> Reply:
    """Where the list of key drugs (重点追溯品种) is fetched: bought collectively, narcotic, psychotropic, blood …"""
    await call.ref_org()
    master: bytes = call.app.parts["master_secret"]
    return Reply({"url": link(master, call.app.settings.public_url, time.time())})


COLUMNS = ("药品标识码", "国家药品标识码", "药品通用名称", "商品名称", "剂型", "制剂规格", "包装规格", "批准文号",
           "上市许可持有人", "重点类别")  # fmt: skip


def key_drugs_csv(registry: Registry) -> bytes:
    """The list as CSV in UTF-8 with a mark for spreadsheets; products with any flag, by number."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for one in sorted(registry.products().values(), key=lambda p: p.id):
        if one.flags and one.active:
            writer.writerow([_plain(v) for v in _row(registry, one)])
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def _row(registry: Registry, one: Product) -> Sequence[str]:
    card = registry.org(one.mah_id)
    flags = "、".join(registry.lists.text("product_flag", flag) for flag in sorted(one.flags))
    return (
        one.levels[0].identifier, linked(one, "ypid") or "", one.generic_name, one.trade_name, one.dosage_form,
        one.strength, one.package_size, one.approval_no or one.import_cert_no, card.name if card else "", flags,
    )  # fmt: skip


def _plain(value: str) -> str:
    """No spreadsheet takes it for a formula."""
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t") else value
