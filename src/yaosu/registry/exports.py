"""Tables of organisations, products and code lists, with the headings that the import takes."""

from __future__ import annotations

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.registry import columns
from yaosu.registry import store_org as orgs
from yaosu.registry import store_product as products
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Org, Product
from yaosu.registry.roles import is_operator
from yaosu.registry.service_lists import current
from yaosu.subject import Subject

PAGE = 1_000
_NO_PLACES = -1
"""Places are no organisations that an import could register elsewhere."""
_UNIT_NAMES = {1: "日", 2: "月", 3: "年"}
_DIRECTORY = ("name", "type", "region", "uscc", "short_name", "sub_type")

Table = tuple[list[str], list[list[object]]]


async def table(conn: Connection, subject: Subject, kind: str) -> Table:
    """Headings and rows of `orgs`, `products` or `code-lists`, as far as the subject sees them."""
    code_lists = await current(conn)
    if kind == "orgs":
        found = await _orgs(conn, subject, code_lists)
    elif kind == "products":
        found = await _products(conn, subject, code_lists)
    elif kind == "code-lists":
        subject.require("org.read")
        found = _lists(code_lists)
    else:
        raise YaosuError("import_kind_unknown", {"kind": kind[:40]})
    await audit.record(conn, subject, f"export.{kind}", ("export", kind), {"rows": len(found[1])})
    return found


async def _orgs(conn: Connection, subject: Subject, code_lists: CodeLists) -> Table:
    subject.require("org.read")
    full = is_operator(subject)
    shown = [c for c in columns.ORGS if full or c.key in _DIRECTORY]
    rows: list[list[object]] = []
    found: list[Org] = await orgs.many(conn, orgs.PAGE, 0, "", None, None, PAGE, _NO_PLACES)
    usccs: dict[int, str] = {}
    while found:
        usccs.update((o.id, o.card.uscc or o.name) for o in found)
        wanted = {p for o in found for p in (o.card.parent_id, o.card.domestic_agent_id) if p} - usccs.keys()
        for row in await conn.fetch(orgs.BY_IDS, sorted(wanted)):
            usccs[row["id"]] = row["uscc"] or row["name"]
        rows += [[_org_cell(o, c, code_lists, usccs) for c in shown] for o in found]
        found = await orgs.many(conn, orgs.PAGE, found[-1].id, "", None, None, PAGE, _NO_PLACES)
    return [c.heading for c in shown], rows


def _org_cell(org: Org, column: columns.Column, code_lists: CodeLists, usccs: dict[int, str]) -> object:
    value = getattr(org.card, column.key, None) if hasattr(org.card, column.key) else getattr(org, column.key)
    if value is None:
        return ""
    if column.kind == "org":
        return usccs.get(value, "")
    return code_lists.text(column.list, value) if column.list else value


async def _products(conn: Connection, subject: Subject, code_lists: CodeLists) -> Table:
    subject.require("product.read")
    rows: list[list[object]] = []
    names: dict[int, str] = {}
    after = 0
    while found := await products.page(conn, after, None, "", PAGE):
        wanted = {i for p in found for i in (p.mah_id, p.manufacturer_id, p.packer_id, p.agent_id) if i}
        for row in await conn.fetch(orgs.BY_IDS, sorted(wanted - names.keys())):
            names[row["id"]] = row["uscc"] or row["name"]
        rows += [[_product_cell(p, c, code_lists, names) for c in columns.PRODUCTS] for p in found]
        after = found[-1].id
    return [c.heading for c in columns.PRODUCTS], rows


def _product_cell(
    one: Product, column: columns.Column, code_lists: CodeLists, names: dict[int, str]
) -> object:
    key = column.key
    if key == "identifiers":
        return "；".join(v.identifier for v in one.levels)
    if key == "level_names":
        return "；".join(v.name for v in one.levels)
    if key == "scheme":
        return one.levels[0].scheme
    if not hasattr(one, key):
        return "；".join(value for kind, value, _ in one.links if kind == key)
    value = getattr(one, key)
    if value is None:
        return ""
    if column.kind == "org":
        return names.get(value, "")
    if column.kind == "flag":
        return "是" if value else "否"
    if column.kind == "unit":
        return _UNIT_NAMES[value]
    if column.kind == "lists":
        return "；".join(code_lists.text(column.list, v) for v in sorted(value))
    return code_lists.text(column.list, value) if column.list else value


def _lists(code_lists: CodeLists) -> Table:
    rows: list[list[object]] = []
    for name in code_lists.names():
        for i in code_lists.whole(name).items:
            rows.append(
                [name, i.code, i.zh, i.en, i.region, i.valid_from, i.valid_to or "", i.source, i.version]
            )
    return ["代码表", "代码", "中文", "英文", "地区", "生效", "失效", "来源", "版本"], rows
