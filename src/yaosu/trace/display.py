"""What the consumer is shown, in the standard's groups, labels and order (NMPAB/T 1009, 1012; standards §7.1).

Two layouts: domestic and imported. Blank items are shown as “—”, never hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.rules.states import label
from yaosu.trace.store_public import PublicUnit
from yaosu.trace.verify import CHINA

BLANK = "—"


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled value; `value` is never empty."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group of items under the standard's heading."""

    title: str
    items: tuple[Item, ...]


_UNITS = {1: ("天", "day(s)"), 2: ("个月", "month(s)"), 3: ("年", "year(s)")}


def groups(
    registry: Registry, product: Product, unit: PublicUnit, seller: int | None, lang: str
) -> tuple[Group, ...]:
    """All groups in order. `seller` is the pharmacy or hospital that sold it, if it may be named."""
    zh = lang.startswith("zh")

    def title(chinese: str, english: str) -> str:
        return chinese if zh else english

    def item(chinese: str, english: str, value: str | date | None) -> Item:
        text = value.isoformat() if isinstance(value, date) else (value or "")
        return Item(chinese if zh else english, text.strip() or BLANK)

    def firm(org_id: int | None) -> tuple[str, str]:
        org = registry.org(org_id) if org_id is not None else None
        return (org.name, org.uscc) if org is not None else ("", "")

    def listed(name: str, code: str) -> str:
        return registry.lists.text(name, code, lang) if code else ""

    links: dict[str, str] = {}
    for kind, value, level in product.links:
        # a code of another package level is not this box's
        if level is None or level == unit.level:
            links.setdefault(kind, value)
    shelf = f"{product.shelf_life} {_UNITS.get(product.shelf_life_unit, ('', ''))[0 if zh else 1]}"
    basic = [
        item("药品通用名称", "Generic name", product.generic_name),
        item("药品商品名称", "Trade name", product.trade_name),
        item("国家药品标识码", "National drug identifier", links.get("cndc")),
        item("药品本位码", "Standard drug code", links.get("bwm")),
        item("剂型", "Dosage form", product.dosage_form),
        item("制剂规格", "Strength", product.strength),
        item("包装规格", "Package size", product.package_size),
        item("包装转换比", "Package conversion ratio", str(product.prep_units_per)),
        item("药品有效期", "Shelf life", shelf),
        item("药品批准文号", "Approval number", product.approval_no),
        item("药品批准文号有效期", "Approval valid until", product.approval_expires),
    ]
    if product.imported:
        basic += [
            item("进口药品注册证号", "Import registration", product.import_cert_no),
            item("进口药品注册证号有效期", "Import registration valid until", product.import_cert_expires),
            item("进口药品批件号", "Import permit", product.import_permit_no),
            item("进口药品批件号有效期", "Import permit valid until", product.import_permit_expires),
        ]
    mah, maker = firm(product.mah_id), firm(product.manufacturer_id)
    packer, agent = firm(product.packer_id), firm(product.agent_id)
    makers = [
        item("上市许可持有人名称", "Marketing authorisation holder", mah[0]),
        item("统一社会信用代码（上市许可持有人）", "Credit code (authorisation holder)", mah[1]),
        item("生产企业/生产厂名称", "Manufacturer", maker[0]),
        item("统一社会信用代码（药品生产企业/生产厂）", "Credit code (manufacturer)", maker[1]),
        item("分包装厂名称", "Repackager", packer[0]),
        item("统一社会信用代码（分包装厂）", "Credit code (repackager)", packer[1]),
    ]
    if product.imported:
        makers += [
            item("进口药品代理企业名称", "Import agent", agent[0]),
            item("统一社会信用代码（进口药品代理企业）", "Credit code (import agent)", agent[1]),
        ]
    essential = title("是", "yes") if product.essential else title("否", "no")
    controlled = "、".join(
        registry.lists.text("product_flag", flag, lang)
        for flag in sorted(product.flags)
        if _controlled(registry, flag)
    )
    shop = firm(seller)
    sold = f"S：{label('S', lang)}" if unit.status == "S" else title("未售出", "not sold")
    return (
        Group(title("基本信息", "Basic information"), tuple(basic)),
        Group(
            title("生产信息", "Production"),
            (
                item("药品生产日期", "Date of production", unit.produced_on),
                item("药品有效期截止日期", "Expiry date", unit.expires_on),
                item("药品生产批号", "Batch number", unit.batch_no),
            ),
        ),
        Group(
            title("类别属性", "Categories"),
            (
                item(
                    "药品注册分类",
                    "Registration class",
                    listed("registration_class", product.registration_class),
                ),
                item("国家基本药物标识", "Essential medicine", essential),
                item("处方药标识", "Prescription", listed("prescription_kind", product.prescription)),
                item("特殊药品管理分类", "Special control", controlled),
            ),
        ),
        Group(title("厂商信息", "Makers"), tuple(makers)),
        Group(
            title("销售信息", "Sale"),
            (
                item("零售药店/使用单位名称", "Pharmacy or hospital", shop[0]),
                item("统一社会信用代码（零售药店/使用单位）", "Credit code (pharmacy or hospital)", shop[1]),
                item("售出状态", "Sold", sold),
                item("时间", "Time", _minute(unit.sold_at)),
            ),
        ),
    )


def _controlled(registry: Registry, flag: str) -> bool:
    found = registry.lists.item("product_flag", flag)
    return found is not None and bool(found.attrs.get("controlled"))


def _minute(when: datetime | None) -> str:
    return when.astimezone(CHINA).strftime("%Y-%m-%d %H:%M") if when is not None else ""
