"""Grants and reads as callers see them."""

from __future__ import annotations

from typing import Any

from yaosu.access.visibility import FIELDS
from yaosu.grants.model import Grant, Read
from yaosu.registry.resolver import Registry

FIELD_NAMES = {
    "flow": ("流向数量（日期、批号、数量）", "Quantities by date and batch"),
    "parties": ("客户名称与地区", "Customers' names and regions"),
    "bills": ("单据编号与表头", "Bill numbers and headers"),
    "codes": ("追溯码明细", "Trace codes"),
}
assert tuple(FIELD_NAMES) == FIELDS


def field_name(field: str, lang: str) -> str:
    """A field in the reader's language."""
    return FIELD_NAMES[field][0 if lang == "zh" else 1]


def org_json(registry: Registry, org_id: int | None) -> dict[str, Any] | None:
    """An organisation's directory entry."""
    if org_id is None:
        return None
    card = registry.org(org_id)
    if card is None:
        return {"id": org_id, "name": f"#{org_id}", "uscc": "", "type": 0, "region": ""}
    return {"id": card.id, "name": card.name, "uscc": card.uscc, "type": card.type, "region": card.region}


def product_json(registry: Registry, drug_id: int) -> dict[str, Any]:
    """A product by name."""
    product = registry.product(drug_id)
    name = f"#{drug_id}"
    if product is not None:
        name = " ".join(filter(None, (product.generic_name, product.strength, product.package_size)))
    return {"id": drug_id, "name": name}


def grant_json(registry: Registry, grant: Grant) -> dict[str, Any]:
    """A grant."""
    drugs = grant.drug_ids
    return {
        "id": grant.id,
        "grantor": org_json(registry, grant.grantor),
        "grantee": org_json(registry, grant.grantee),
        "products": None if drugs is None else [product_json(registry, d) for d in drugs],
        "fields": list(grant.fields),
        "until": grant.until.isoformat() if grant.until else None,
        "state": grant.state,
        "waits_for": grant.waits_for,
        "offered_by": grant.offered_by,
        "offered_at": grant.granted_at.isoformat(),
        "accepted_at": grant.accepted_at.isoformat() if grant.accepted_at else None,
        "withdrawn_at": grant.withdrawn_at.isoformat() if grant.withdrawn_at else None,
        "declined_at": grant.declined_at.isoformat() if grant.declined_at else None,
        "note": grant.note,
        "replaces": grant.replaces,
    }


def read_json(registry: Registry, read: Read, lang: str) -> dict[str, Any]:
    """A read of our records."""
    return {
        "id": read.id,
        "at": read.at.isoformat(),
        "reader": org_json(registry, read.org),
        "by": read.kind,
        "what": what_text(registry, read.what, lang),
        "raw": read.what,
        "owner": org_json(registry, read.owner),
    }


_WHAT = {
    "bills": ("单据列表", "list of bills"),
    "bill": ("单据", "bill"),
    "stock": ("库存", "stock"),
    "flow": ("流向", "flow"),
    "unit": ("追溯码", "trace code"),
    "history": ("追溯码历史", "history of trace code"),
    "contents": ("包装内的追溯码", "content of package"),
    "where": ("批次分布", "whereabouts of batch"),
    "statement": ("进销存", "statement"),
    "overview": ("今日概览", "overview"),
    "bills export": ("单据导出", "export of bills"),
    "exceptions": ("异常协查列表", "list of cases"),
    "exception": ("异常协查", "case"),
    "recall": ("召回", "recall"),
    "lock": ("停售与锁定", "lock"),
    "uncoded stock": ("无码库", "uncoded stock"),
    "split ledger": ("拆零台账", "opened boxes"),
    "split box": ("拆零药盒", "opened box"),
    "pools": ("预扫码池列表", "list of pools"),
    "pool": ("预扫码池", "pool"),
    "stock counts": ("盘点", "stock counts"),
    "quality checks": ("核查列表", "list of quality checks"),
    "quality check": ("质量核查", "quality check"),
    "quality findings": ("核查任务列表", "list of quality findings"),
    "quality finding": ("核查任务", "quality finding"),
    "self-checks": ("自查表列表", "list of self-check tables"),
    "self-check": ("自查表", "self-check table"),
    "controlled documents": ("受控文件列表", "list of controlled documents"),
    "document": ("受控文件", "controlled document"),
    "clues": ("线索列表", "list of clues"),
    "clue": ("线索", "clue"),
    "real-name register": ("实名专册", "real-name register"),
    "repeated buying": ("多次购买", "repeated buying"),
    "narcotic register": ("麻精药品账册", "register of narcotics"),
}
_BY_LENGTH = sorted(_WHAT, key=len, reverse=True)
_PRODUCT = frozenset({"flow", "where", "narcotic register"})
"""Reads whose first number is a product's."""


def what_text(registry: Registry, what: str, lang: str) -> str:
    """What was read, in the reader's language: the record keeps "flow 12 B001", people read the product's name."""
    kind = next((k for k in _BY_LENGTH if what == k or what.startswith(k + " ")), "")
    if not kind:
        return what
    rest = what[len(kind) + 1 :]
    word = _WHAT[kind][0 if lang == "zh" else 1]
    if kind in _PRODUCT and rest:
        number, _, more = rest.partition(" ")
        if number.isdigit():
            rest = f"{product_json(registry, int(number))['name']} {more}".strip()
    if kind == "bill" and rest.endswith(" codes"):
        rest = rest.removesuffix(" codes") + (" 的追溯码" if lang == "zh" else " with its codes")
    return f"{word} {rest}".strip()
