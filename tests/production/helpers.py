"""A maker with a product, and relation files of it in any shape."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from access.helpers import make_org
from yaosu.db.engine import Connection
from yaosu.production.relation import Facts, Judged, RelationFile, read, validate
from yaosu.registry.resolver import Registry, load_registry
from yaosu.subject import Subject

SAMPLE = Path(__file__).parent / "files" / "relation_1case_3cans.xml"
TODAY = date(2026, 9, 30)
MASTER = bytes(range(32))
BOX, MIDDLE, CASE = "8206233", "8021762", "8021761"


async def make_product(
    conn: Connection,
    org: int,
    prefixes: tuple[str, ...] = (BOX, MIDDLE, CASE),
    contains: tuple[int, ...] = (1, 500, 5),
    scheme: str = "cn20",
    shelf_life: int = 1,
    unit: int = 2,
    expiry_rule: str | None = None,
) -> int:
    """A filed product whose levels have these prefixes, smallest first; the sample's ladder 1:5:2500 by default."""
    filing = await conn.fetchval(
        "INSERT INTO filing (org_id, scheme, rule_text, system_id, filed_on) VALUES "
        "($1, $2, '规则', (SELECT id FROM trace_system WHERE own), '2026-01-01') RETURNING id",
        org,
        scheme,
    )
    drug_id: int = await conn.fetchval(
        "INSERT INTO product (generic_name, dosage_form, strength, package_size, shelf_life, shelf_life_unit, "
        "expiry_rule, registration_class, prescription, mah_id, manufacturer_id) "
        "VALUES ('示例药品', '片剂', '0.1g', '1粒', $2, $3, $4, 'chemical', 'rx', $1, $1) RETURNING id",
        org,
        shelf_life,
        unit,
        expiry_rule,
    )
    units = 1
    for level, (prefix, step) in enumerate(zip(prefixes, contains, strict=True), 1):
        units *= step
        await conn.execute(
            "INSERT INTO package_level (drug_id, level, name, contains, units_per, scheme, identifier) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            *(drug_id, level, f"第{level}级", step, units, scheme, prefix),
        )
        await conn.execute(
            "INSERT INTO code_prefix (prefix, scheme, filing_id, system_id, drug_id, level) "
            "VALUES ($1, $2, $3, (SELECT id FROM trace_system WHERE own), $4, $5)",
            *(prefix, scheme, filing, drug_id, level),
        )
    return drug_id


def maker(org: int) -> Subject:
    """Somebody of the maker who may do everything in it."""
    return Subject("system", org_id=org, org_type="1", scopes=frozenset({"*"}), name="maker")


async def make_maker(conn: Connection, **product: object) -> tuple[Subject, int, Registry]:
    """A maker, its product and a registry that knows both."""
    org = await make_org(conn, 1)
    drug_id = await make_product(conn, org, **product)  # type: ignore[arg-type]
    return maker(org), drug_id, await load_registry(conn)


@dataclass
class Row:
    """One line of a relation file."""

    code: str
    layer: int
    parent: str = ""
    flag: int = 0


@dataclass
class Tree:
    """A relation file to be: rows in capture order, batch fields."""

    rows: list[Row] = field(default_factory=list)
    batch: str = "20260901"
    made: str = "2026-09-23"
    expires: str = "2026-10-23"
    cascade: str = ""

    def xml(self, end: str = "\n") -> bytes:
        """As the 3.0 format."""
        lines = [
            '<?xml version="1.0" encoding="UTF-8"?><Document License="1">',
            '<Events Version="3.0">',
            '<Event Name="RelationCreate">',
            f'<Relation productCode="9999999" subTypeNo="1" cascade="{self.cascade}" packageSpec="" comment="">',
            f'<Batch batchNo="{self.batch}" madeDate="{self.made}" validateDate="{self.expires}" workshop="一号" '
            'lineName="1" lineManager="甲">',
        ]
        for r in self.rows:
            parent = f' parentCode="{r.parent}"' if r.parent else ""
            lines.append(f'<Code curCode="{r.code}" packLayer="{r.layer}"{parent} flag="{r.flag}"/>')
        lines += ["</Batch>", "</Relation>", "</Event>", "</Events>", "</Document>", ""]
        return end.join(lines).encode()


def code(prefix: str, n: int) -> str:
    """A 20-digit code."""
    return f"{prefix}{n:013d}"


def tree(cases: int, middles: int, boxes: int, *, flag: int = 0, first: int = 1) -> Tree:
    """Full cases of `middles` middle packages of `boxes` boxes."""
    out = Tree()
    m = b = first
    for c in range(first, first + cases):
        out.rows.append(Row(code(CASE, c), 3, "", flag))
        for _ in range(middles):
            out.rows.append(Row(code(MIDDLE, m), 2, code(CASE, c), flag))
            for _ in range(boxes):
                out.rows.append(Row(code(BOX, b), 1, code(MIDDLE, m)))
                b += 1
            m += 1
    return out


def shuffled(given: Tree, seed: int) -> Tree:
    """The same rows in another capture order."""
    rows = list(given.rows)
    random.Random(seed).shuffle(rows)
    return Tree(rows, given.batch, given.made, given.expires, given.cascade)


def parsed(data: bytes, **options: object) -> RelationFile:
    """Read bytes."""
    return read(io.BytesIO(data), **options)  # type: ignore[arg-type]


def judged(data: bytes, registry: Registry, org: int, **facts: object) -> Judged:
    """Read and validate bytes."""
    return validate(parsed(data), registry, Facts(org_id=org, today=TODAY, **facts))  # type: ignore[arg-type]


def texts(file: RelationFile) -> list[tuple[str, int, str, int]]:
    """Code, layer, parent ("" outermost, "?" unreadable) and flag of every row."""
    out = []
    for i in range(len(file)):
        key = int(file.parent[i])
        parent = "" if key == 2**64 - 1 else "?" if key == 2**64 - 2 else file.space.text(key)
        out.append((file.text(i), int(file.layer[i]), parent, int(file.flag[i])))
    return out
