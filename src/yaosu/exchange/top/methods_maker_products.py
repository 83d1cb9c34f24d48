"""Products: catalogue, code prefixes, batches, lists as files (the registry; R-A2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yaosu.exchange.top import downloads
from yaosu.exchange.top import store_query as store
from yaosu.exchange.top.downloads import Link
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import Names, fit, is_number, names_of
from yaosu.exchange.top.values_goods import (
    orgs_of_product,
    prod_code,
    product_values,
)
from yaosu.registry.model import Product
from yaosu.registry.names import normalise

P = "alibaba.alihealth."
SCOPE = "product.read"
TERMINALS = ("formal", "test", "")


def _holds(text: str, words: str) -> bool:
    return not words or normalise(words) in normalise(text)


def matching(call: Call) -> list[Product]:
    """Products that fit name, approval number, maker and packages of a call, by number."""
    wanted = {k: call.text(k) for k in ("physic_name", "package_spec", "prepn_spec")}
    maker = call.text("ent_name") or call.text("produce_ent_name")
    approval = call.text("approval_licence_no")

    def fits() -> Iterator[Product]:
        for product in sorted(call.registry.products().values(), key=lambda p: p.id):
            made_by = call.name_of(product.manufacturer_id) or ""
            names = f"{product.generic_name} {product.trade_name}"
            if (
                _holds(names, wanted["physic_name"])
                and _holds(product.package_size, wanted["package_spec"])
                and _holds(product.strength, wanted["prepn_spec"])
                and _holds(made_by, maker)
                and (not approval or approval in (product.approval_no, product.import_cert_no))
            ):
                yield product

    return list(fits())


def _row(call: Call, product: Product, names: Names) -> dict[str, Any]:
    """A product of the catalogue with its code prefixes by package level, in both scales' words."""
    values = product_values(call.registry, product, names)
    prefixes = [
        {
            "code_prefix": level.identifier,
            "res_code": level.identifier,
            "code_level": level.level,
            "pkg_ratio": product.ratio,
        }
        for level in product.levels
    ]
    sub = values | {
        "code_res_list": prefixes,
        "prepn_unit": product.prep_unit or None,
        "pack_unit": product.levels[0].name,
        "sub_type_no": prod_code(product)[-3:],
    }
    return values | {
        "sub_type_list": [sub],
        "partner_name": values["ent_name"],
        "physic_detail_type_desc": values["physic_type_desc"],
    }


@method(
    P + "drug.kyt.drugtable",
    aliases=(P + "drug.kyt.drugrescode", P + "drug.kyt.wes.drugrescode", P + "drug.msc.drugtable"),
    scope=SCOPE,
)
async def catalogue(call: Call) -> Reply:
    """Products by name and the like, with the prefixes of their codes; `code_level` counts from the smallest here."""
    await call.ref_org()
    offset, limit = call.page()
    found = matching(call)
    page = found[offset : offset + limit]
    names = await names_of(call, [o for p in page for o in orgs_of_product(p)])
    model = {
        "result_list": [_row(call, p, names) for p in page],
        "total_num": len(found),
        "page": offset // limit + 1,
        "page_size": limit,
    }
    return Reply(fit(call, model))


@method(P + "drug.kyt.drugdetail", scope=SCOPE)
async def detail(call: Call) -> Reply:
    """One product."""
    await call.ref_org()
    given = call.text("drug_ent_base_info_id")
    product = call.registry.product(int(given)) if is_number(given) and len(given) < 10 else None
    if product is None:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在")
    names = await names_of(call, orgs_of_product(product))
    return Reply(fit(call, product_values(call.registry, product, names)))


async def _batches(call: Call, products: list[Product], batch_no: str) -> list[Any]:
    async with call.conn() as conn:
        return list(await conn.fetch(store.BATCHES_OF, [p.id for p in products], batch_no))


@method(P + "drug.kyt.drugcodes", aliases=(P + "drug.kyt.yy.drugcodes",), scope=SCOPE)
async def is_coded(call: Call) -> Reply:
    """Whether a batch of a maker's product carries trace codes, and in which packages."""
    maker = normalise(call.text("ref_ent_name"))
    found = [
        p for p in call.registry.products().values()
        if normalise(call.name_of(p.manufacturer_id) or "") == maker
        and normalise(p.generic_name) == normalise(call.text("physic_name"))
        and _holds(p.strength, call.text("prepn_spec")) and _holds(p.package_size, call.text("pkg_spec"))
    ]  # fmt: skip
    rows = await _batches(call, found, call.text("produce_batch_no"))
    coded = {r["drug_id"] for r in rows}
    packages = sorted({p.package_size for p in found if p.id in coded})
    return Reply(fit(call, {"has_code": bool(coded), "pkg_spec_list": packages}))


@method(P + "drug.kyt.querybatchprod", scope=SCOPE)
async def of_batch(call: Call) -> Reply:
    """Products of a maker with a batch of that number."""
    if call.text("invocation").lower() not in TERMINALS:
        raise call.invalid("invocation", "invocation 应为 formal 或 test")
    maker = normalise(call.text("product_ent_name"))
    products = {
        p.id: p for p in call.registry.products().values()
        if normalise(call.name_of(p.manufacturer_id) or "") == maker
    }  # fmt: skip
    rows = await _batches(call, list(products.values()), call.text("product_batch_no"))
    names = await names_of(call, [o for p in products.values() for o in orgs_of_product(p)])
    found = []
    for row in rows:
        product = products[row["drug_id"]]
        values = product_values(call.registry, product, names)
        found.append(
            values
            | {
                "product_date": row["produced_on"],
                "produce_batch_no": row["batch_no"],
                "expire_date": row["expires_on"],
                "prepn_type": product.dosage_form,
                "curr_ent_id": names.ent(product.manufacturer_id),
            }
        )
    return Reply(fit(call, found))


@method(P + "drug.kyt.queryactivetime", scope=SCOPE)
async def last_active(call: Call) -> Reply:
    """When codes under each prefix were last activated, as milliseconds; prefixes without any are left out."""
    prefixes = [p[:7] if is_number(p) else p for p in call.strings("res_prod_code_list")]
    if not 1 <= len(prefixes) <= 1_000:
        raise Failed("FAIL_BIZ_PARAM_CODE_NUM_ERROR", "一次查询 1 到 1000 个码段")
    async with call.conn() as conn:
        rows = await conn.fetch(store.LAST_ACTIVE, prefixes)
    return Reply(
        fit(
            call,
            [{"res_prod_code": r["prefix"], "active_time": int(r["at"].timestamp() * 1000)} for r in rows],
        )
    )


def link_to(call: Call, org: int, kind: str, ref: int = 0) -> str:
    """The address of a file for `org`, good for a day."""
    master: bytes = call.app.parts["master_secret"]
    return f"{call.app.settings.public_url}/top/files/{downloads.token(master, Link(org, kind, ref))}"


@method(
    P + "drug.kyt.getdruginfo.downloadurl",
    aliases=(P + "drug.kyt.wes.getdruginfo.downloadurl",),
    scope=SCOPE,
)
async def whole_list(call: Call) -> Reply:
    """An address of the whole catalogue as a file, columns in the published order."""
    return Reply(fit(call, {"url": link_to(call, await call.ref_org(), downloads.PRODUCTS)}))


@method(P + "drug.download.getproductxml", scope=SCOPE)
async def product_xml(call: Call) -> Reply:
    """An address of product.xml for production lines: the products we answer for."""
    _own_key(call)
    named = call.text("ent_name")
    if named and normalise(named) != normalise(call.name_of(call.org) or ""):
        raise Failed("FAIL_BIZ_CODE_NO_AUTH", "ent_name 不是本 AppKey 的企业")
    return Reply(link_to(call, call.org, downloads.PRODUCT_XML), http_status_code=200)


def _own_key(call: Call) -> None:
    """`app_key_n` names the caller's own key."""
    given = call.text("app_key_n")
    if given and given != call.app_key:
        raise Failed("FAIL_BIZ_CODE_NO_AUTH", "app_key_n 应为调用方的 AppKey")


@method(P + "drug.kyt.getdruglicense", scope=SCOPE)
async def papers(call: Call) -> Reply:
    """The licences of a product as the registry has them, by number and expiry. Pictures of them are kept in the firm's
    own files, so there is no address to give."""
    await call.ref_org()
    number = call.text("drug_id")
    product = call.registry.product(int(number)) if is_number(number) and len(number) < 10 else None
    if product is None:
        # the published answer has no place for a reason
        return Reply({"model_list": []})
    known = (
        ("药品批准文号", product.approval_no, product.approval_expires),
        ("进口药品注册证", product.import_cert_no, product.import_cert_expires),
        ("进口药品批件", product.import_permit_no, product.import_permit_expires),
    )
    names = await names_of(call, [product.mah_id])
    found = [
        {
            "id": product.id * 10 + kind,
            "name": name,
            "license_no": paper,
            "license_type": kind,
            "expire_date": expires,
            "requisite": 1 if kind == 1 else 0,
            "drug_id": str(product.id),
            "ref_ent_id": names.ref(product.mah_id),
        }
        for kind, (name, paper, expires) in enumerate(known, 1)
        if paper
    ]
    return Reply(fit(call, {"model_list": found}))
