"""Stock and statements as rows, with names: for spreadsheets, pages and the API."""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.ledger.model import StatementLine, StockLine
from yaosu.ledger.sheets import Value
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types
from yaosu.rules.states import label

Table = tuple[list[str], list[list[Value]]]


def org_name(registry: Registry, org_id: int) -> str:
    """Name of an organisation."""
    org = registry.org(org_id)
    return org.name if org is not None else str(org_id)


def product_name(registry: Registry, drug_id: int) -> str:
    """Name, strength and package size of a product."""
    product = registry.product(drug_id)
    if product is None:
        return str(drug_id)
    return " ".join(filter(None, (product.generic_name, product.strength, product.package_size)))


def level_name(registry: Registry, drug_id: int, level: int) -> str:
    """Name of a package level in the product's ladder."""
    product = registry.product(drug_id)
    found = product.level(level) if product is not None else None
    return found.name if found is not None else ("物流单元" if level >= 90 else str(level))


def type_name(code: int, lang: str) -> str:
    """Name of a bill type."""
    kind = bill_types().get(code)
    return kind.label(lang) if kind is not None else str(code)


def stock_table(registry: Registry, lines: Sequence[StockLine], lang: str) -> Table:
    """One row per account."""
    zh = lang.startswith("zh")
    head = (
        ["单位", "药品", "批号", "有效期至", "状态", "最小包装数"]
        if zh
        else ["Organisation", "Product", "Batch", "Expires", "Status", "Smallest packages"]
    )
    rows: list[list[Value]] = [
        [
            org_name(registry, line.org),
            product_name(registry, line.drug_id),
            line.batch_no,
            line.expires_on,
            label(line.status, lang),
            line.qty,
        ]
        for line in lines
    ]
    return head, rows


def movements(counts: dict[int, int], lang: str) -> str:
    """Counts by bill type in one cell."""
    return "；".join(f"{type_name(code, lang)} {qty}" for code, qty in sorted(counts.items()) if qty)


def statement_table(registry: Registry, lines: Sequence[StatementLine], lang: str) -> Table:
    """One row per product and batch."""
    zh = lang.startswith("zh")
    head = (
        ["药品", "批号", "期初", "入库", "入库明细", "出库", "出库明细", "期末", "账面", "差异"]
        if zh
        else [
            "Product",
            "Batch",
            "Opening",
            "In",
            "In by type",
            "Out",
            "Out by type",
            "Closing",
            "Balance",
            "Difference",
        ]
    )
    rows: list[list[Value]] = [
        [
            product_name(registry, line.drug_id),
            line.batch_no,
            line.opening,
            sum(line.came.values()),
            movements(line.came, lang),
            sum(line.went.values()),
            movements(line.went, lang),
            line.closing,
            line.balance,
            line.difference,
        ]
        for line in lines
    ]
    return head, rows
