"""Packages told by another system, written as a relation file of ours, so that they enter by the one way in."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson

from yaosu.exchange.adopt.model import Package

PARTLY = 2
"""零箱: fewer packages inside than the ladder says, which is true of what was opened before it came here."""


def relation_file(packages: Sequence[Package], known: Collection[tuple[int, str]]) -> bytes:
    """A relation file (JSON, docs/formats.md) of everything in `packages` but what is `known` already."""
    batches: dict[tuple[int, str, str, str], list[dict[str, object]]] = {}

    def add(package: Package, parent: Package | None) -> None:
        if (package.drug_id, package.code) in known:
            return
        made, expires = package.produced_on.isoformat(), package.expires_on.isoformat()
        entry: dict[str, object] = {"code": package.code, "level": package.level, "flag": PARTLY}
        if parent is not None:
            entry["parent"] = parent.code
        batches.setdefault((package.drug_id, package.batch_no, made, expires), []).append(entry)
        for child in package.children:
            add(child, package)

    for package in packages:
        add(package, None)
    return orjson.dumps(
        {
            "relations": [
                {"batch_no": batch_no, "made_on": made, "expires_on": expires, "codes": codes}
                for (_, batch_no, made, expires), codes in batches.items()
            ]
        }
    )
