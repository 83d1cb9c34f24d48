"""Relation files (关联关系 3.0) of full packages, as a production line writes them, from codes issued here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from yaosu.production.relation.dates import expiry_dates

MADE = date(2026, 1, 1)
SHELF_MONTHS = 24


def relation_lines(levels: Sequence[Sequence[str]], contains: Sequence[int], batch_no: str) -> Iterator[str]:
    """The file's text in pieces.

    `levels[0]` are the boxes, upward from there; `contains[n]` packages of level n + 1 go into one of level n + 2.
    Packages are filled in order; every one but the last of a level is full.
    """
    expires = expiry_dates(MADE, SHELF_MONTHS, 2)["day_before"]
    ratio, inside = ["1"], 1
    for count in reversed(contains):
        inside *= count
        ratio.append(str(inside))
    yield (
        '<?xml version="1.0" encoding="UTF-8"?><Document License="1">\n<Events Version="3.0">\n'
        '<Event Name="RelationCreate">\n'
        f'<Relation productCode="{levels[0][0][:7]}" subTypeNo="1" cascade="{":".join(ratio)}" '
        'packageSpec="x" comment="">\n'
        f'<Batch batchNo="{batch_no}" madeDate="{MADE}" validateDate="{expires}" workshop="一号车间" '
        'lineName="一号线" lineManager="甲">\n'
    )
    top = len(levels) - 1
    for n in range(len(levels[top])):
        yield from _package(levels, contains, top, n, "")
    yield "</Batch>\n</Relation>\n</Event>\n</Events>\n</Document>\n"


def _package(
    levels: Sequence[Sequence[str]], contains: Sequence[int], level: int, n: int, parent: str
) -> Iterator[str]:
    code, per = levels[level][n], contains[level - 1]
    first, last = n * per, min((n + 1) * per, len(levels[level - 1]))
    flag = 0 if last - first == per else 2
    inside = f' parentCode="{parent}"' if parent else ""
    yield f'<Code curCode="{code}" packLayer="{level + 1}"{inside} flag="{flag}"/>\n'
    if level > 1:
        for child in range(first, last):
            yield from _package(levels, contains, level - 1, child, code)
        return
    yield "".join(
        f'<Code curCode="{box}" packLayer="1" parentCode="{code}" flag="0"/>\n'
        for box in levels[0][first:last]
    )


def write_relation(
    path: Path, levels: Sequence[Sequence[str]], contains: Sequence[int], batch_no: str
) -> None:
    """`relation_lines` into a file."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(relation_lines(levels, contains, batch_no))
