"""Rows of products: checked together, written together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.registry import ladder
from yaosu.registry import store_product as store
from yaosu.registry.checks import LINK_KINDS, link_value
from yaosu.registry.columns import several
from yaosu.registry.drafts import LevelDraft, LinkDraft, ProductDraft
from yaosu.registry.import_rows import CellError, Parsed
from yaosu.registry.lists import CodeLists
from yaosu.registry.model import CN20
from yaosu.registry.service_products import (
    check_fields,
    check_parties,
    conflicts,
    managed_orgs,
    tidy,
)
from yaosu.subject import Subject

CHUNK = 500
_TEXT = ("generic_name", "dosage_form", "strength", "package_size", "registration_class")


def draft(parsed: Parsed) -> tuple[ProductDraft, list[Finding]]:
    """The draft of a row, and what is wrong with its ladder cells."""
    cells = parsed.values
    known = {f.name for f in fields(ProductDraft)}
    values: dict[str, Any] = {k: v for k, v in cells.items() if k in known}
    values["physic_type"] = int(values.get("physic_type", 3))
    for key in _TEXT:
        values.setdefault(key, "")
    for key in ("mah_id", "manufacturer_id", "shelf_life", "shelf_life_unit"):
        values.setdefault(key, 0)
    levels, wrong = _levels(cells)
    links = [LinkDraft(kind, value) for kind in LINK_KINDS if kind in cells for value in several(cells[kind])]
    return tidy(ProductDraft(**values, levels=levels, links=tuple(links))), wrong


def _levels(cells: Any) -> tuple[tuple[LevelDraft, ...], list[Finding]]:
    contains = ladder.parse_ratio(cells.get("ratio", ""))
    if isinstance(contains, Finding):
        return (), [contains]
    identifiers = several(cells.get("identifiers", ""))
    if len(identifiers) != len(contains):
        params = {"levels": len(contains), "identifiers": len(identifiers)}
        return (), [Finding("import_identifiers_count", params, "identifiers")]
    names = several(cells.get("level_names", ""))
    if names and len(names) != len(contains):
        params = {"levels": len(contains), "identifiers": len(names)}
        return (), [Finding("import_identifiers_count", params, "level_names")]
    scheme = cells.get("scheme", CN20).lower()
    names = names or list(ladder.default_names(len(contains)))
    made = zip(contains, identifiers, names, strict=True)
    return tuple(LevelDraft(n, c, i, scheme, name) for n, (c, i, name) in enumerate(made, 1)), []


def _column(where: str, made: ProductDraft) -> str:
    # places inside the ladder and the links are cells of other names in a file
    if where.startswith("levels"):
        return "identifiers" if where.endswith("identifier") else "ratio"
    if where.startswith("links."):
        return made.links[int(where.split(".")[1])].kind
    return where


async def check(
    conn: Connection, subject: Subject, rows: Sequence[Parsed], code_lists: CodeLists
) -> list[CellError]:
    """Everything wrong with the rows beyond unreadable cells: rules, repetitions, existing records, rights."""
    errors: list[CellError] = []
    seen: dict[tuple[str, str], tuple[int, ProductDraft]] = {}
    parties: dict[tuple[object, ...], tuple[bool, list[Finding]]] = {}
    for one in rows:
        made, wrong = draft(one)
        levels, links, found = check_fields(made, code_lists)
        if wrong:
            found = [f for f in found if not f.where.startswith("levels")] + wrong
        for finding in found:
            key = _column(finding.where, made)
            if key not in one.broken:
                errors.append(CellError(one.row, key, finding))
        who = (
            made.mah_id,
            made.manufacturer_id,
            made.packer_id,
            made.agent_id,
            "hospital_prep" in made.flags,
        )
        if who not in parties:
            parties[who] = (await managed_orgs(conn, subject, made), await check_parties(conn, made))
        mine, unfit = parties[who]
        if not {"mah_id", "manufacturer_id"} & one.broken:
            if not mine:
                errors.append(CellError(one.row, "mah_id", Finding("product_not_yours")))
            errors += [CellError(one.row, f.where, f) for f in unfit if f.where not in one.broken]
        codes = [("identifiers", v.identifier) for v in levels] + [(kind, value) for kind, value, _ in links]
        for key, value in codes:
            before = seen.setdefault((key, value), (one.row, made))
            if before[0] != one.row and not _shared(key, made, before[1], code_lists):
                errors.append(CellError(one.row, key, Finding("import_row_twice", {"first": before[0]})))
        if codes:
            taken = await conflicts(conn, made, levels, links, 0, code_lists)
            columns_of = {value: key for key, value in codes}
            errors += [CellError(one.row, columns_of.get(f.where, "identifiers"), f) for f in taken]
    return errors


def _shared(kind: str, one: ProductDraft, other: ProductDraft, code_lists: CodeLists) -> bool:
    item = code_lists.item("link_kind", kind)
    same = (one.mah_id, one.generic_name, one.strength) == (other.mah_id, other.generic_name, other.strength)
    return item is not None and bool(item.attrs.get("shared")) and same


async def write(
    conn: Connection, rows: Sequence[Parsed], progress: Callable[[int, int], None]
) -> tuple[int, int]:
    """Register checked rows; the first and last number given."""
    ids = []
    for done, one in enumerate(rows, 1):
        made, _ = draft(one)
        levels, _ = ladder.build(made.levels)
        links = link_rows(made)
        drug_id: int = await conn.fetchval(store.INSERT, *store.values(made))
        await store.write_ladder(conn, drug_id, levels, links)
        ids.append(drug_id)
        if done % CHUNK == 0 or done == len(rows):
            progress(done, len(rows))
    return min(ids), max(ids)


def link_rows(made: ProductDraft) -> list[tuple[str, str, int | None]]:
    """Linked codes of a checked draft in their stored form."""
    found = []
    for number, link in enumerate(made.links):
        value = link_value(link, f"links.{number}")
        assert isinstance(value, str)
        found.append((link.kind, value, link.level))
    return found
