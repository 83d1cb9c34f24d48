"""Base data of other trace systems, taken into our registry: who they are, their firms, code rules and products.

They stay theirs: nobody of those firms has an account here, their next word replaces what stands, and an organisation
that works here itself is never touched.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.adopt import service as adopt
from yaosu.exchange.xietong import store_client as store
from yaosu.exchange.xietong.envelope import Content
from yaosu.registry import service
from yaosu.registry import store_filing as filings
from yaosu.registry.drafts import FilingDraft, LevelDraft, LinkDraft, OrgDraft, ProductDraft
from yaosu.registry.model import CUSTOM
from yaosu.registry.resolver import Registry
from yaosu.registry.service_orgs import draft_of
from yaosu.subject import SYSTEM

LEVELS_MAX, LINKS_MAX, PREFIXES_MAX = 9, 200, 10_000


async def apply(
    conn: Connection, registry: Registry, origin: str, meaning: str, content: Content
) -> dict[str, Any]:
    """Book one piece of base data, in the caller's transaction; what was done. Refused like the registry refuses."""
    if meaning == "system":
        return await _system(conn, origin, content)
    if meaning == "firm":
        return await _firm(conn, registry, origin, content)
    if meaning == "rule":
        return await _rule(conn, registry, origin, content)
    if meaning == "product":
        return await _product(conn, registry, origin, content)
    raise AssertionError(meaning)


async def home_of(conn: Connection, origin: str) -> int:
    """Our number of the trace system `origin`; refused while its own data have not come."""
    found = await conn.fetchval(store.ORIGIN, "system", origin, origin)
    if found is None:
        raise YaosuError("xietong_no_firm_here", {"firm": origin})
    return int(found)


async def org_of(conn: Connection, registry: Registry, key: str) -> int | None:
    """Our number of a firm by 统一社会信用代码 or `kind:number`."""
    if not key:
        return None
    kind, colon, number = key.partition(":")
    if colon and kind.isdigit() and len(kind) < 5:
        found: int | None = await conn.fetchval(store.ORG_BY_OTHER, int(kind), number)
        return found
    card = registry.org_by_uscc(key)
    return card.id if card is not None else None


async def _system(conn: Connection, origin: str, content: Content) -> dict[str, Any]:
    name = content.text("name", True, 100)
    known = await conn.fetchval(store.ORIGIN, "system", origin, origin)
    if known is None and await conn.fetchval(store.FREE_NAME, name):
        # ours has the same name: theirs is told apart by its id
        name = f"{name[:70]}（{origin}）"
    url = content.text("query_url", False, 300)
    made = await service.put_system(conn, SYSTEM, name, content.text("operator", False, 100), url)
    await conn.execute(store.SET_ORIGIN, "system", made.id, origin, origin)
    return {"system": made.id}


async def _firm(conn: Connection, registry: Registry, origin: str, content: Content) -> dict[str, Any]:
    home = await home_of(conn, origin)
    key = content.text("usc_id", True, 40)
    org = await org_of(conn, registry, key)
    customer = content.flag("customer", True)
    foreign = await adopt.foreign(conn, [org]) if org is not None else {}
    if org is not None and org not in foreign:
        mine = await conn.fetchval(store.ORIGIN, "org", origin, key)
        if mine is None:
            return {"org": org, "kept": "works here"}
    if org is not None:
        await conn.execute(store.SET_CUSTOMER if customer else store.NO_CUSTOMER, org, origin)
        first = await conn.fetchval(store.ORIGIN_OF, "org", org)
        if first is not None and first != origin and org in foreign:
            # it works in several systems: who told of it first goes on telling who it is
            return {"org": org, "kept": first}
    kind, colon, number = key.partition(":")
    draft = OrgDraft(
        name=content.text("name", True),
        short_name=content.text("short_name"),
        type=content.whole("type", None, 1, 999),
        sub_type=content.whole("sub_type", 0, 0, 9999) or None,
        region=content.text("region", True, 6),
        uscc="" if colon else key,
        other_id_kind=int(kind) if colon and kind.isdigit() else None,
        other_id=number if colon else "",
        parent_id=await org_of(conn, registry, content.text("parent", False, 40)),
        domestic_agent_id=await org_of(conn, registry, content.text("domestic_agent", False, 40)),
        status=content.whole("status", 1, 0, 1),
    )
    if org is None:
        org = (await service.create_org(conn, SYSTEM, draft, same_name_ok=True)).id
    else:
        old = await service.get_org(conn, SYSTEM, org)
        if draft_of(old) != draft:
            await service.update_org(conn, SYSTEM, org, draft, old.version, same_name_ok=True)
    await conn.execute(store.SET_ORIGIN, "org", org, origin, key)
    if customer:
        await conn.execute(store.SET_CUSTOMER, org, origin)
        await adopt.set_foreign(conn, [org], home)
    return {"org": org}


async def _rule(conn: Connection, registry: Registry, origin: str, content: Content) -> dict[str, Any]:
    home = await home_of(conn, origin)
    firm = content.text("usc_id", True, 40)
    org = await org_of(conn, registry, firm)
    if org is None:
        raise YaosuError("xietong_no_firm_here", {"firm": firm})
    scheme = content.text("scheme", True, 20)
    custom = scheme == CUSTOM
    try:
        filed_on = date.fromisoformat(content.text("filed_on", False, 10) or date.min.isoformat())
    except ValueError:
        raise content.wrong("filed_on", "应为日期", "a date") from None
    draft = FilingDraft(
        org_id=org,
        scheme=scheme,
        rule_text=content.text("rule_text", False, 4000, lines=True) or "—",
        filed_on=filed_on,
        prefixes=() if custom else tuple(str(p) for p in content.many("prefixes", PREFIXES_MAX, True)),
        pattern=content.text("pattern", custom, 500),
        pattern_upper=content.flag("pattern_upper"),
        issuer=content.text("issuer", custom, 40),
        samples=tuple(str(s) for s in content.many("samples", 50)),
        system_id=home,
        query_url=content.text("query_url", False, 300),
        filing_no=content.text("filing_no", False, 100),
        status=content.whole("status", 1, 0, 1),
    )
    rule_no = content.text("rule_no", True, 64)
    known = await conn.fetchval(store.ORIGIN, "rule", origin, rule_no)
    if known is None:
        made = (await service.file_rule(conn, SYSTEM, draft)).id
        await conn.execute(store.SET_ORIGIN, "rule", made, origin, rule_no)
        return {"filing": made}
    row = await conn.fetchrow(filings.VERSION, known)
    assert row is not None
    await service.refile(conn, SYSTEM, known, draft, row["version"])
    return {"filing": known}


async def _product(conn: Connection, registry: Registry, origin: str, content: Content) -> dict[str, Any]:
    home = await home_of(conn, origin)
    parties: dict[str, int | None] = {}
    for name in ("mah", "manufacturer", "packer", "agent"):
        key = content.text(name, name in ("mah", "manufacturer"), 40)
        parties[name] = await org_of(conn, registry, key)
        if key and parties[name] is None:
            raise YaosuError("xietong_no_firm_here", {"firm": key})
    levels = tuple(
        LevelDraft(
            level.whole("level", None, 1, LEVELS_MAX),
            level.whole("contains", None, 1, 1_000_000),
            level.text("identifier", True, 60),
            level.text("scheme", True, 20),
            level.text("name", False, 40),
        )
        for level in content.parts("levels", LEVELS_MAX, True)
    )
    links = tuple(
        LinkDraft(
            link.text("kind", True, 40), link.text("value", True, 60), link.whole("level", 0, 0, 9) or None
        )
        for link in content.parts("links", LINKS_MAX)
    )
    mah, manufacturer = parties["mah"], parties["manufacturer"]
    assert mah is not None
    assert manufacturer is not None
    draft = ProductDraft(
        generic_name=content.text("generic_name", True, 500),
        english_name=content.text("english_name", False, 500),
        trade_name=content.text("trade_name", False, 500),
        dosage_form=content.text("dosage_form", True, 500),
        strength=content.text("strength", True, 500),
        package_size=content.text("package_size", True, 500),
        prep_unit=content.text("prep_unit"),
        prep_units_per=content.whole("prep_units_per", 1, 1),
        shelf_life=content.whole("shelf_life", None, 1, 10_000),
        shelf_life_unit=content.whole("shelf_life_unit", None, 1, 3),
        expiry_rule=content.text("expiry_rule") or None,
        approval_no=content.text("approval_no"),
        approval_expires=_day(content, "approval_expires"),
        import_cert_no=content.text("import_cert_no"),
        import_cert_expires=_day(content, "import_cert_expires"),
        import_permit_no=content.text("import_permit_no"),
        import_permit_expires=_day(content, "import_permit_expires"),
        registration_class=content.text("registration_class", True),
        prescription=content.text("prescription") or "rx",
        essential=content.flag("essential"),
        physic_type=content.whole("physic_type", 3, 1, 9),
        flags=frozenset(str(f) for f in content.many("flags", 50)),
        mah_id=mah,
        manufacturer_id=manufacturer,
        packer_id=parties["packer"],
        agent_id=parties["agent"],
        status=content.whole("status", 1, 0, 1),
        levels=levels,
        links=links,
    )
    found = registry.resolve_prefix(levels[0].identifier)
    if found.system is None or found.system.id != home:
        raise YaosuError("xietong_no_product_here", {"value": levels[0].identifier})
    key = levels[0].identifier
    known = await conn.fetchval(store.ORIGIN, "product", origin, key)
    if known is None:
        made = (await service.create_product(conn, SYSTEM, draft)).id
        await conn.execute(store.SET_ORIGIN, "product", made, origin, key)
        return {"product": made}
    old = await service.get_product(conn, SYSTEM, known)
    await service.update_product(conn, SYSTEM, known, draft, old.version)
    return {"product": known}


def _day(content: Content, name: str) -> date | None:
    value = content.text(name, False, 10)
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise content.wrong(name, "应为日期", "a date") from None
