"""Columns of the import files: heading, kind, note. Templates, previews, exports and the help page come from here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from yaosu.errors import Finding
from yaosu.registry.lists import CodeLists

NOTE_MARK = "说明："
"""The notes row of a template begins with this and is skipped when the file comes back."""


_NOTES_EN = {
    "营业执照上的全称": "Full name on the business licence",
    "如：批发企业，或代码 2": "E.g. Wholesaler, or its code 2",
    "六位 GB/T 2260 代码；境外企业填 000000": "Six digits of GB/T 2260; 000000 for firms overseas",
    "18 位；没有的填替代证件": "18 characters; without one, name another document",
    "没有统一社会信用代码时必填": "Needed where there is no credit code",
    "如：连锁总部，或代码 41": "E.g. Chain headquarters, or its code 41",
    "统一社会信用代码；可以是本文件中更靠前的一行": "Credit code; may be a row further up in this file",
    "境外持有人必填，填统一社会信用代码": "Credit code; needed for holders overseas",
    "如：24粒/盒": "E.g. 24粒/盒, as printed on the box",
    "如：粒": "E.g. 粒, the preparation unit as printed",
    "一个最小销售包装的制剂数，如 24": "Preparation units in a smallest package, e.g. 24",
    "如 24": "E.g. 24",
    "日、月或年": "Day, month or year",
    "如：国药准字Z45021428": "E.g. 国药准字Z45021428",
    "如 2029-12-31": "E.g. 2029-12-31",
    "不填按普通药品": "An ordinary drug when left empty",
    "多个用分号隔开，如：集采中选；冷链药品": "Several are separated by semicolons",
    "统一社会信用代码或全称": "Credit code or full name",
    "从最大包装写起，如 1:10:200；只有一级填 1": "From the largest package on, e.g. 1:10:200; 1 for one level",
    "从最小包装写起，用分号隔开": "From the smallest package on, separated by semicolons",
    "从最小包装写起，如：盒；中包装；箱": "From the smallest package on, e.g. 盒；中包装；箱",
    "cn20（默认）、gs1 或 custom": "cn20 (default), gs1 or custom",
    "69码；多个用分号隔开": "EAN of the box; several are separated by semicolons",
    "14 位": "14 digits",
    "多个用分号隔开": "Several are separated by semicolons",
}
"""The notes for readers of English; templates are Chinese."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `key` names the field, `kind` is text, int, date, flag, list, lists, org or levels."""

    key: str
    zh: str
    en: str
    kind: str = "text"
    needed: bool = False
    list: str = ""
    """Code list of kinds `list` and `lists`; cells hold codes or Chinese or English names."""
    note: str = ""

    def accepts(self, heading: str) -> bool:
        """Whether a heading of a file means this column; the asterisk of needed columns may be missing."""
        return heading.strip().rstrip("*＊").strip().casefold() in (self.zh, self.en.casefold(), self.key)

    @property
    def note_en(self) -> str:
        """The note in English; empty where there is none."""
        return _NOTES_EN[self.note] if self.note else ""

    @property
    def heading(self) -> str:
        """Heading in the template; needed columns carry an asterisk."""
        return self.zh + ("*" if self.needed else "")


ORGS = (
    Column("name", "企业名称", "Name", needed=True, note="营业执照上的全称"),
    Column("type", "企业类型", "Type", "list", True, "org_type", "如：批发企业，或代码 2"),
    Column("region", "行政区划代码", "Region", needed=True, note="六位 GB/T 2260 代码；境外企业填 000000"),
    Column("uscc", "统一社会信用代码", "USCC", note="18 位；没有的填替代证件"),
    Column("other_id_kind", "替代证件种类", "Other document", "list", False, "id_kind_org"),
    Column("other_id", "替代证件号码", "Document number", note="没有统一社会信用代码时必填"),
    Column("short_name", "简称", "Short name"),
    Column("sub_type", "细分类型", "Sub-type", "list", False, "org_sub_type", "如：连锁总部，或代码 41"),
    Column("address", "注册地址", "Address"),
    Column("parent_id", "上级企业", "Parent", "org", note="统一社会信用代码；可以是本文件中更靠前的一行"),
    Column(
        "domestic_agent_id", "境内责任人", "Domestic agent", "org", note="境外持有人必填，填统一社会信用代码"
    ),
    Column("contact_name", "追溯负责人", "Contact"),
    Column("contact_phone", "联系电话", "Phone"),
    Column("contact_email", "电子邮箱", "E-mail"),
)

PRODUCTS = (
    Column("generic_name", "药品通用名称", "Generic name", needed=True),
    Column("english_name", "药品英文名称", "English name"),
    Column("trade_name", "药品商品名称", "Trade name"),
    Column("dosage_form", "剂型", "Dosage form", needed=True),
    Column("strength", "制剂规格", "Strength", needed=True),
    Column("package_size", "包装规格", "Package size", needed=True, note="如：24粒/盒"),
    Column("prep_unit", "制剂单位", "Preparation unit", note="如：粒"),
    Column(
        "prep_units_per",
        "包装转换比",
        "Conversion ratio",
        "int",
        True,
        note="一个最小销售包装的制剂数，如 24",
    ),
    Column("shelf_life", "药品有效期", "Shelf life", "int", True, note="如 24"),
    Column("shelf_life_unit", "有效期单位", "Shelf life unit", "unit", True, note="日、月或年"),
    Column("approval_no", "药品批准文号", "Approval number", note="如：国药准字Z45021428"),
    Column("approval_expires", "批准文号有效期", "Approval expires", "date", note="如 2029-12-31"),
    Column("import_cert_no", "进口药品注册证号", "Import certificate"),
    Column("import_cert_expires", "进口药品注册证有效期", "Import certificate expires", "date"),
    Column("import_permit_no", "进口药品批件号", "Import permit"),
    Column("import_permit_expires", "进口药品批件有效期", "Import permit expires", "date"),
    Column("registration_class", "药品注册分类", "Registration class", "list", True, "registration_class"),
    Column("prescription", "处方药标识", "Prescription", "list", True, "prescription_kind"),
    Column("essential", "国家基本药物", "Essential", "flag"),
    Column("physic_type", "药品类型", "Drug type", "list", False, "physic_type", "不填按普通药品"),
    Column(
        "flags", "品种标识", "Flags", "lists", False, "product_flag", "多个用分号隔开，如：集采中选；冷链药品"
    ),
    Column("mah_id", "上市许可持有人", "MAH", "org", True, note="统一社会信用代码或全称"),
    Column("manufacturer_id", "生产企业", "Manufacturer", "org", True, note="统一社会信用代码或全称"),
    Column("packer_id", "分包装厂", "Packer", "org"),
    Column("agent_id", "进口药品代理企业", "Import agent", "org"),
    Column(
        "ratio", "包装比例", "Package ratio", needed=True, note="从最大包装写起，如 1:10:200；只有一级填 1"
    ),
    Column("identifiers", "各级药品标识码", "Identifiers", needed=True, note="从最小包装写起，用分号隔开"),
    Column("level_names", "各级包装名称", "Level names", note="从最小包装写起，如：盒；中包装；箱"),
    Column("scheme", "编码体系", "Scheme", note="cn20（默认）、gs1 或 custom"),
    Column("retail_barcode", "商品条码", "Retail barcode", note="69码；多个用分号隔开"),
    Column("bwm", "国家药品编码本位码", "National drug code", note="14 位"),
    Column("cndc", "国家药品标识码", "CNDC"),
    Column("yibao", "医保药品编码", "Insurance code", note="多个用分号隔开"),
    Column("ypid", "YPID", "YPID"),
    Column("gtin", "GTIN", "GTIN", note="多个用分号隔开"),
)

KINDS = {"orgs": ORGS, "products": PRODUCTS}

_FLAGS = {
    "是": True,
    "否": False,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
    "true": True,
    "false": False,
}
_UNITS = {
    "日": 1,
    "天": 1,
    "1": 1,
    "day": 1,
    "月": 2,
    "个月": 2,
    "2": 2,
    "month": 2,
    "年": 3,
    "3": 3,
    "year": 3,
}
_DATE_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y年%m月%d日")
CHOICES_SHOWN_MAX = 12


def several(text: str) -> list[str]:
    """Parts of a cell separated by semicolons of either width or the enumeration comma."""
    return [p.strip() for p in text.replace("；", ";").replace("、", ";").split(";") if p.strip()]


def labels(code_lists: CodeLists, name: str) -> dict[str, str]:
    """Everything a cell may say for an entry of the list, with the entry's code."""
    found: dict[str, str] = {}
    for item in code_lists.get(name):
        for text in (item.code, item.zh, item.en):
            found.setdefault(text.casefold(), item.code)
    return found


def value(column: Column, text: str, choices: dict[str, str]) -> object | Finding:
    """What a filled cell of this column means, organisations apart; or what is wrong with it."""
    shown = {"value": text[:40]}
    if column.kind == "int":
        digits = text.replace(",", "")
        if digits.isascii() and digits.isdigit() and len(digits) <= 9:
            return int(digits)
        return Finding("import_value_number", shown)
    if column.kind == "date":
        return _date(text) or Finding("import_value_date", shown)
    if column.kind in ("flag", "unit"):
        known: dict[str, bool] | dict[str, int] = _FLAGS if column.kind == "flag" else _UNITS
        if text.casefold() in known:
            return known[text.casefold()]
        if column.kind == "flag":
            return Finding("import_value_flag", shown)
        return Finding("import_value_label", {**shown, "choices": "日 day、月 month、年 year"})
    if column.kind == "list":
        code = choices.get(text.casefold())
        return code if code is not None else _no_choice(text, choices)
    if column.kind == "lists":
        codes = []
        for part in several(text):
            code = choices.get(part.casefold())
            if code is None:
                return _no_choice(part, choices)
            codes.append(code)
        return frozenset(codes)
    return text


def _no_choice(text: str, choices: dict[str, str]) -> Finding:
    names = list(dict.fromkeys(k for k in choices if not k.isascii()))
    shown = "、".join(names[:CHOICES_SHOWN_MAX]) + ("…" if len(names) > CHOICES_SHOWN_MAX else "")
    return Finding("import_value_label", {"value": text[:40], "choices": shown})


def _date(text: str) -> date | None:
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007 — a calendar day has no zone
        except ValueError:
            continue
    return None
