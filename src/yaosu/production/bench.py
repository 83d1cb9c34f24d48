"""Benchmarks of this room, both sides in the same run (design §5 rows `activate` and `issue`)."""

from __future__ import annotations

import asyncio
import random
import resource
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import numpy as np

from yaosu.codes.issue import derive, iter_codes
from yaosu.db.engine import Connection, Pool
from yaosu.production import activation
from yaosu.production.relation.dates import expiry_dates
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject

PER_MIDDLE, PER_CASE = 10, 20
"""1 case : 20 middle packages : 200 boxes; a million boxes are 1,105,000 codes."""
MADE = date(2026, 9, 1)

SEED_ORG = """
INSERT INTO org (uscc, name, name_norm, type, region) VALUES ($1, $2, $2, 1, '110000') RETURNING id"""
SEED_FILING = """
INSERT INTO filing (org_id, scheme, rule_text, system_id, filed_on)
VALUES ($1, 'cn20', 'bench', (SELECT id FROM trace_system WHERE own), '2026-01-01') RETURNING id"""
SEED_PRODUCT = """
INSERT INTO product (generic_name, dosage_form, strength, package_size, shelf_life, shelf_life_unit,
    registration_class, prescription, mah_id, manufacturer_id)
VALUES ('bench', '片剂', '0.1g', '10片', 24, 2, 'chemical', 'rx', $1, $1) RETURNING id"""
SEED_LEVEL = """
INSERT INTO package_level (drug_id, level, name, contains, units_per, scheme, identifier)
VALUES ($1, $2, $3, $4, $5, 'cn20', $6)"""
SEED_PREFIX = """
INSERT INTO code_prefix (prefix, scheme, filing_id, system_id, drug_id, level)
VALUES ($1, 'cn20', $2, (SELECT id FROM trace_system WHERE own), $3, $4)"""
PLAIN_DURABLE = 'CREATE TABLE IF NOT EXISTS bench_plain (code text COLLATE "C" PRIMARY KEY)'
PLAIN_CLEAR = "TRUNCATE bench_plain"
PLAIN_DROP = "DROP TABLE IF EXISTS bench_plain"


async def seed(conn: Connection) -> tuple[Subject, list[str]]:
    """A maker with one product of three levels; the subject that acts for it, and prefixes of levels 1 … 3."""
    tag = secrets.randbelow(10**6)
    org: int = await conn.fetchval(SEED_ORG, f"BENCH{tag:013d}", f"bench {tag}")
    filing = await conn.fetchval(SEED_FILING, org)
    drug_id = await conn.fetchval(SEED_PRODUCT, org)
    rng = random.Random(tag)  # noqa: S311 - names of benchmark rows
    prefixes = []
    steps = ((1, "盒", 1, 1), (2, "中盒", PER_MIDDLE, PER_MIDDLE), (3, "箱", PER_CASE, PER_MIDDLE * PER_CASE))
    for level, name, contains, units in steps:
        prefix = f"8{rng.randrange(10**6):06d}"
        await conn.execute(SEED_LEVEL, drug_id, level, name, contains, units, prefix)
        await conn.execute(SEED_PREFIX, prefix, filing, drug_id, level)
        prefixes.append(prefix)
    subject = Subject("system", org_id=org, org_type="1", scopes=frozenset({"*"}), name="bench")
    return subject, prefixes


def _codes(prefix: str, count: int, key: int) -> list[str]:
    master = b"benchmark".ljust(32, b"\0")
    return b"".join(iter_codes(prefix, derive(master, key), 0, count)).decode().split()


def relation_lines(prefixes: list[str], boxes: int, batch_no: str) -> Iterator[str]:
    """A relation file 3.0 of full cases, as a production line writes it."""
    middles, cases = -(-boxes // PER_MIDDLE), -(-boxes // (PER_MIDDLE * PER_CASE))
    one, two, three = (
        _codes(p, n, i) for i, (p, n) in enumerate(zip(prefixes, (boxes, middles, cases), strict=True))
    )
    expires = expiry_dates(MADE, 24, 2)["day_before"]
    yield (
        '<?xml version="1.0" encoding="UTF-8"?><Document License="1">\n<Events Version="3.0">\n'
        '<Event Name="RelationCreate">\n'
        f'<Relation productCode="9999999" subTypeNo="1" cascade="1:{PER_CASE}:{PER_CASE * PER_MIDDLE}" '
        'packageSpec="x" comment="">\n'
        f'<Batch batchNo="{batch_no}" madeDate="{MADE}" validateDate="{expires}" workshop="一号车间" '
        'lineName="一号线" lineManager="甲">\n'
    )
    for c, case in enumerate(three):
        inside = two[c * PER_CASE : (c + 1) * PER_CASE]
        yield f'<Code curCode="{case}" packLayer="3" flag="{0 if len(inside) == PER_CASE else 2}"/>\n'
        for m, middle in enumerate(inside, c * PER_CASE):
            held = one[m * PER_MIDDLE : (m + 1) * PER_MIDDLE]
            flag = 0 if len(held) == PER_MIDDLE else 2
            yield f'<Code curCode="{middle}" packLayer="2" parentCode="{case}" flag="{flag}"/>\n'
            yield "".join(
                f'<Code curCode="{box}" packLayer="1" parentCode="{middle}" flag="0"/>\n' for box in held
            )
    yield "</Batch>\n</Relation>\n</Event>\n</Events>\n</Document>\n"


def write_relation(path: Path, prefixes: list[str], boxes: int, batch_no: str) -> None:
    """`relation_lines` into a file."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(relation_lines(prefixes, boxes, batch_no))


async def _lines(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def _code_list(source: Path, target: Path) -> None:
    """The codes of a relation file, one per line, in the file's order: what the baseline loads."""
    with source.open() as file, target.open("w") as out:
        out.writelines(line[15:35] + "\n" for line in file if line.startswith("<Code "))


async def bench_activate(pool: Pool, boxes: int = 1_000_000, runs: int = 3) -> dict[str, object]:
    """Row `activate`: a relation file with every check, ledger and log against COPY of the same codes.

    Both sides are durable transactions on the same server; the baseline loads a table with nothing but a primary
    key, in the order of the file and also sorted (`baseline_sorted`). Values are codes per second, medians.
    """
    ours: list[float] = []
    plain: list[float] = []
    ordered: list[float] = []
    codes = 0
    with tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            path, listed = Path(folder) / "relation.xml", Path(folder) / "codes.txt"
            async with pool.acquire() as conn:
                subject, prefixes = await seed(conn)
                registry = await load_registry(conn)
                await asyncio.to_thread(write_relation, path, prefixes, boxes, f"B{run}")
                await asyncio.to_thread(_code_list, path, listed)
                await conn.execute(PLAIN_DROP)
                await conn.execute(PLAIN_DURABLE)
                for times in (plain, ordered):
                    await conn.execute(PLAIN_CLEAR)
                    await conn.execute("CHECKPOINT")
                    begun = time.perf_counter()
                    async with conn.transaction():
                        await conn.copy_to_table("bench_plain", source=_lines(listed), format="text")
                    times.append(time.perf_counter() - begun)
                    listed.write_text("".join(sorted(listed.read_text().splitlines(keepends=True))))
                await conn.execute(PLAIN_DROP)
                await conn.execute("CHECKPOINT")
                begun = time.perf_counter()
                async with conn.transaction():
                    done = await activation.activate(conn, subject, path, registry, b"\0" * 32)
                ours.append(time.perf_counter() - begun)
                codes = done.codes
    a, b, c = (codes / float(np.median(t)) for t in (ours, plain, ordered))
    return {
        "id": "activate",
        "ours": a,
        "baseline": b,
        "unit": "codes/s",
        "ratio": a / b,
        "runs": runs,
        "baseline_sorted": c,
        "codes": codes,
        "seconds": ours,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
