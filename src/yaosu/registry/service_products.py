"""Products: the basic data set, the ladder, and every code that leads to them (R-A2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from yaosu.access import audit
from yaosu.codes.identifiers import check_approval_number
from yaosu.codes.identifiers.checked import squeeze
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.registry import checks, ladder, lists, rows
from yaosu.registry import store_org as orgs
from yaosu.registry import store_product as store
from yaosu.registry.drafts import LevelDraft, LinkDraft, ProductDraft
from yaosu.registry.model import Level, OrgType, Product
from yaosu.registry.roles import is_operator, page_size
from yaosu.registry.service_lists import current
from yaosu.subject import Subject

Link = tuple[str, str, int | None]

InUse = Callable[[Connection, int], Awaitable[bool]]
in_use_checks: list[InUse] = []
"""Rooms above add a question «has this drug_id been coded?»; levels in use cannot change any more."""

LINKS_MAX = 200
_MAKERS = (OrgType.MAKER, OrgType.MAH)


async def managed_orgs(conn: Connection, subject: Subject, draft: ProductDraft) -> bool:
    """Whether the subject may write a product of that MAH and manufacturer.

    They themselves, the 境内责任人 of an overseas MAH (R-A7), and the operator.
    """
    if is_operator(subject):
        return True
    if subject.org_id is None:
        return False
    if subject.org_id in (draft.mah_id, draft.manufacturer_id):
        return True
    mah = await orgs.one(conn, orgs.BY_ID, draft.mah_id)
    return mah is not None and mah.card.domestic_agent_id == subject.org_id


async def create_product(conn: Connection, subject: Subject, draft: ProductDraft) -> Product:
    """Register a product with ladder and linked codes (`product.write`); the product with its new id.

    Refused: `product_invalid` with a finding per field, `product_code_taken` (409) with the record each code
    conflicts with, `product_not_yours` for a product of others.
    """
    subject.require("product.write")
    if not await managed_orgs(conn, subject, draft):
        raise YaosuError("product_not_yours")
    await orgs.lock(conn)
    draft, levels, links = await _checked(conn, draft, 0)
    drug_id: int = await conn.fetchval(store.INSERT, *store.values(draft))
    await store.write_ladder(conn, drug_id, levels, links)
    details = {"mah": draft.mah_id, "ratio": ladder.format_ratio([v.contains for v in levels])}
    await audit.record(conn, subject, "product.create", ("product", drug_id), details, org_id=draft.mah_id)
    return (await store.by_ids(conn, [drug_id]))[0]


async def update_product(
    conn: Connection, subject: Subject, drug_id: int, draft: ProductDraft, version: int
) -> Product:
    """Change a product whose version is still `version`, else `stale_version` (409).

    Levels that packages have been coded on keep identifier, scheme and content (`ladder_in_use`); further levels
    on top may be added. Other refusals as in `create_product`; products of others are `product_not_found`.
    """
    subject.require("product.write")
    await orgs.lock(conn)
    old = await _by_id(conn, drug_id)
    if not await managed_orgs(conn, subject, draft_of(old)):
        raise YaosuError("product_not_yours")
    if not await managed_orgs(conn, subject, draft):
        # a product is handed to another MAH by the operator, not given away into a dead end
        raise YaosuError("product_not_yours")
    if old.version != version:
        raise YaosuError("stale_version", {"version": old.version, "sent": version})
    draft, levels, links = await _checked(conn, draft, drug_id)
    await _check_in_use(conn, old, levels)
    await conn.fetchval(store.UPDATE, drug_id, *store.values(draft))
    await store.write_ladder(conn, drug_id, levels, links)
    before = draft_of(old)
    changed = [f for f in ProductDraft.__dataclass_fields__ if getattr(before, f) != getattr(draft, f)]
    details = {"fields": changed}
    await audit.record(conn, subject, "product.update", ("product", drug_id), details, org_id=draft.mah_id)
    return (await store.by_ids(conn, [drug_id]))[0]


def draft_of(product: Product) -> ProductDraft:
    """The draft that would write the product as it is."""
    return ProductDraft(
        **{name: getattr(product, name) for name in rows.PRODUCT_COLUMNS},
        levels=tuple(LevelDraft(v.level, v.contains, v.identifier, v.scheme, v.name) for v in product.levels),
        links=tuple(LinkDraft(*link) for link in product.links),
    )


async def get_product(conn: Connection, subject: Subject, drug_id: int) -> Product:
    """A product. Basic data are public to every signed-in organisation (`product.read`)."""
    subject.require("product.read")
    return await _by_id(conn, drug_id)


async def list_products(
    conn: Connection, subject: Subject, after: int = 0, text: str = "", own: bool = False, limit: int = 50
) -> list[Product]:
    """Products in the order of their numbers after `after`; `text` in names or approval number; `own` only mine."""
    subject.require("product.read")
    words = squeeze(text).lower()
    return await store.page(conn, after, subject.org_id if own else None, words, page_size(limit))


async def find_product(conn: Connection, subject: Subject, code: str) -> list[Product]:
    """Products that any of their codes leads to: 药品标识码, GTIN, 69码, 本位码, 医保编码, YPID, CNDC (R-A2).

    Mostly one or none; several only for codes that packs of one drug share.
    """
    subject.require("product.read")
    text = squeeze(code)
    forms = [text, text.upper()]
    if text.isascii() and text.isdigit() and len(text) in (8, 12, 13):
        forms.append(text.zfill(14))
    return await store.by_ids(conn, await store.find(conn, forms))


async def _by_id(conn: Connection, drug_id: int) -> Product:
    found = await store.by_ids(conn, [drug_id])
    if not found:
        raise YaosuError("product_not_found")
    return found[0]


def tidy(draft: ProductDraft) -> ProductDraft:
    """The draft with outer blanks gone and the approval number in its normal form where it is one."""
    texts = {
        name: value.strip() for name in rows.PRODUCT_COLUMNS if isinstance(value := getattr(draft, name), str)
    }
    approval = check_approval_number(draft.approval_no).value if draft.approval_no else None
    if approval is not None:
        texts["approval_no"] = approval
    return replace(draft, **texts)  # type: ignore[arg-type]


def check_fields(
    draft: ProductDraft, code_lists: lists.CodeLists
) -> tuple[tuple[Level, ...], list[Link], list[Finding]]:
    """Ladder, linked codes and everything wrong with the draft that can be told without the database."""
    found = checks.product(draft, code_lists)
    levels, wrong = ladder.build(draft.levels)
    found += wrong
    links: dict[tuple[str, str], Link] = {}
    if len(draft.links) > LINKS_MAX:
        found.append(Finding("product_links_many", {"max": LINKS_MAX}, "links"))
    for number, link in enumerate(draft.links[:LINKS_MAX]):
        where = f"links.{number}"
        value = checks.link_value(link, f"{where}.value")
        if isinstance(value, Finding):
            found.append(value)
        elif link.level is not None and not any(v.level == link.level for v in levels):
            found.append(
                Finding("product_link_level", {"level": link.level, "value": value}, f"{where}.level")
            )
        elif (link.kind, value) in links:
            found.append(Finding("product_link_twice", {"value": value}, f"{where}.value"))
        else:
            links[link.kind, value] = (link.kind, value, link.level)
    return levels, list(links.values()), found


async def _checked(
    conn: Connection, draft: ProductDraft, drug_id: int
) -> tuple[ProductDraft, tuple[Level, ...], list[Link]]:
    draft = tidy(draft)
    code_lists = await current(conn)
    levels, links, found = check_fields(draft, code_lists)
    found += await check_parties(conn, draft)
    if found:
        raise YaosuError("product_invalid", {"count": len(found)}, found)
    taken = await conflicts(conn, draft, levels, links, drug_id, code_lists)
    if taken:
        raise YaosuError("product_code_taken", taken[0].params, taken)
    return draft, levels, links


async def conflicts(
    conn: Connection,
    draft: ProductDraft,
    levels: Sequence[Level],
    links: Sequence[Link],
    drug_id: int,
    code_lists: lists.CodeLists,
) -> list[Finding]:
    """Codes of the draft that another product has: one finding each, naming that product.

    Kinds that the list `link_kind` marks as shared may lead to several packs of one drug: same MAH, generic name
    and strength.
    """
    found: list[Finding] = []
    kinds, values = [k for k, _, _ in links], [v for _, v, _ in links]
    rows_ = await conn.fetch(store.TAKEN, [v.identifier for v in levels], kinds, values, drug_id)
    others = {p.id: p for p in await store.by_ids(conn, sorted({r["id"] for r in rows_}))}
    for row in rows_:
        kind = code_lists.item("link_kind", row["kind"])
        other = others[row["id"]]
        same_drug = (other.mah_id, other.generic_name, other.strength) == (
            draft.mah_id,
            draft.generic_name,
            draft.strength,
        )
        if kind is not None and kind.attrs.get("shared") and same_drug:
            continue
        label = code_lists.text("link_kind", row["kind"])
        params = {"value": row["value"], "kind": label, "id": other.id, "name": other.generic_name}
        found.append(Finding("product_code_taken", params, row["value"]))
    return found


async def check_parties(conn: Connection, draft: ProductDraft) -> list[Finding]:
    """What is wrong with holder, manufacturer, packer and agent: unknown, of the wrong type, without agent."""
    found: list[Finding] = []
    for name in ("mah_id", "manufacturer_id", "packer_id", "agent_id"):
        org_id = getattr(draft, name)
        if org_id is None:
            continue
        one = await orgs.one(conn, orgs.BY_ID, org_id)
        if one is None:
            found.append(Finding("org_relation_unknown", {"id": org_id}, name))
        elif name in ("mah_id", "manufacturer_id") and one.card.type not in _MAKERS:
            # a hospital makes its own 院内制剂
            if not ("hospital_prep" in draft.flags and one.card.type == OrgType.MEDICAL):
                found.append(Finding("product_party_type", {"id": org_id, "name": one.name}, name))
        elif name == "mah_id" and not one.card.uscc and one.card.domestic_agent_id is None:
            found.append(Finding("product_mah_without_agent", {"id": org_id, "name": one.name}, name))
    return found


async def _check_in_use(conn: Connection, old: Product, levels: Sequence[Level]) -> None:
    kept = {v.level: v for v in levels}
    changed = []
    for level in old.levels:
        now = kept.get(level.level)
        if now is None or (now.identifier, now.scheme, now.contains) != (
            level.identifier,
            level.scheme,
            level.contains,
        ):
            changed.append(level)
    if not changed:
        return
    for check in in_use_checks:
        if await check(conn, old.id):
            found = [
                Finding("ladder_in_use", {"level": v.level, "name": v.name}, f"levels.{v.level}")
                for v in changed
            ]
            raise YaosuError("ladder_in_use", found[0].params, found)
