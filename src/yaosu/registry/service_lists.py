"""Code lists as the operator changes them (D11): an item gets a new version; nothing is overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import lists, rows
from yaosu.registry import store_cache as store
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import Item
from yaosu.registry.roles import require_operator
from yaosu.subject import Subject

# the list's own version counts the operator's changes; its row also serialises them
BUMP = """
INSERT INTO code_list (name) VALUES ($1)
ON CONFLICT (name) DO UPDATE SET version = code_list.version + 1, updated_at = now() RETURNING version"""

PUT_ITEM = """
INSERT INTO code_list_item (list, code, region, valid_from, version, zh, en, source, valid_to, attrs, changed_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"""

# every version of one item, newest first
HISTORY = """
SELECT code, zh, en, source, region, valid_from, valid_to, attrs, version FROM code_list_item
WHERE list = $1 AND code = $2 ORDER BY version DESC LIMIT 200"""


async def current(conn: Connection) -> CodeLists:
    """The lists in force: delivered, with the operator's versions over them, as `conn` sees them."""
    found = await store.load_all(conn, store.LIST_ITEMS)
    return lists.delivered().over((r["list"], rows.item(r)) for r in found)


def known(name: str) -> str:
    """`name` when a list has it, else `code_list_unknown` (404)."""
    if name not in lists.delivered().names():
        raise YaosuError("code_list_unknown", {"list": name[:60]})
    return name


async def override_item(
    conn: Connection,
    subject: Subject,
    name: str,
    code: str,
    zh: str,
    en: str,
    source: str,
    region: str = "",
    valid_from: date | None = None,
    valid_to: date | None = None,
    attrs: Mapping[str, object] | None = None,
) -> Item:
    """Put the operator's own version of an item in force (new code, new text, new term); audited.

    Without `valid_from` it takes the place of the delivered item of that code and region. Columns of the list
    that `attrs` does not name keep their value. Refused: `code_list_unknown`, `code_list_item_invalid`.
    """
    require_operator(subject)
    before = (await current(conn)).whole(known(name))
    found = []
    for field, value, longest in (
        ("code", code, 40),
        ("zh", zh, 200),
        ("en", en, 200),
        ("source", source, 500),
    ):
        if not value.strip() or len(value) > longest or not value.isprintable():
            found.append(Finding("value_shape", {"field": field}, field))
    if region and not (region.isascii() and region.isdigit() and len(region) in (2, 4, 6)):
        found.append(Finding("region_unknown", {"value": region[:20]}, "region"))
    same = [i for i in before.items if i.code == code and i.region == region]
    begin = valid_from or (same[0].valid_from if same else lists.START)
    if valid_to is not None and valid_to < begin:
        params = {"begin": begin.isoformat(), "end": valid_to.isoformat()}
        found.append(Finding("dates_reversed", params, "valid_to"))
    if found:
        raise YaosuError("code_list_item_invalid", {"count": len(found)}, found)
    base: dict[str, object] = dict(same[0].attrs) if same else {}
    merged = base | dict(attrs or {})
    version: int = await conn.fetchval(BUMP, name)
    await conn.execute(
        PUT_ITEM,
        name,
        code,
        region,
        begin,
        version,
        zh.strip(),
        en.strip(),
        source.strip(),
        valid_to,
        merged,
        subject.account_id,
    )
    details = {"code": code, "region": region, "version": version}
    await audit.record(conn, subject, "code_list.override", ("code_list", name), details)
    return Item(code, zh.strip(), en.strip(), source.strip(), region, begin, valid_to, merged, version)


async def history(conn: Connection, subject: Subject, name: str, code: str) -> list[Item]:
    """The operator's versions of an item, newest first, then the delivered ones."""
    subject.require("org.read")
    known(name)
    own = [rows.item(r) for r in await conn.fetch(HISTORY, name, code)]
    return own + [i for i in lists.delivered().whole(name).items if i.code == code]
