"""What a relation file told when it was activated: batches, codes by level, what is inside what.

Read again from the file as received, because the packages may have been repacked since.
"""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from yaosu.codes import NotACode, parse
from yaosu.db.engine import Connection
from yaosu.exchange.epcis import store_bills
from yaosu.production import keeping
from yaosu.production.relation import RelationFile, read
from yaosu.production.relation.keys import NO_PARENT
from yaosu.registry.resolver import Registry

FILES_KEPT = 4
"""Files of one query kept in memory while its pages are told."""


@dataclass(slots=True)
class Part:
    """One batch of a file."""

    batch_no: str
    made_on: date | None
    expires_on: date | None
    levels: dict[int, list[str]]
    inside: dict[str, list[str]]
    """Parent → what is directly in it."""


def canonical(registry: Registry, raw: str) -> str:
    """The canonical code of a scanned text, or the text itself."""
    read_code = parse(raw, registry.customs)
    return raw if isinstance(read_code, NotACode) else read_code.text


def _parts(file: RelationFile) -> list[Part]:
    found = []
    space = file.space
    for part in file.parts:
        levels: dict[int, list[str]] = {}
        inside: dict[str, list[str]] = {}
        for i in range(part.start, part.end):
            code = space.text(int(file.key[i]))
            levels.setdefault(int(file.layer[i]), []).append(code)
            parent = int(file.parent[i])
            if parent != NO_PARENT:
                inside.setdefault(space.text(parent), []).append(code)
        if levels:
            found.append(Part(part.batch_no, part.made_on, part.expires_on, levels, inside))
    return found


async def load(
    conn: Connection, registry: Registry, bills: Sequence[int], kept: OrderedDict[int, list[Part]]
) -> Mapping[int, list[Part]]:
    """The parts of the files that these bills activated, by bill; bills without a file are left out."""
    found = {b: kept[b] for b in bills if b in kept}
    missing = [b for b in bills if b not in found]
    for row in await conn.fetch(store_bills.FILES, missing) if missing else []:
        body = bytearray()
        async for piece in keeping.kept(conn, row["submission_id"]):
            body += piece
        file = await asyncio.to_thread(read, io.BytesIO(bytes(body)), registry.customs)
        found[row["bill_id"]] = kept[row["bill_id"]] = await asyncio.to_thread(_parts, file)
        while len(kept) > FILES_KEPT:
            kept.popitem(last=False)
    return found
