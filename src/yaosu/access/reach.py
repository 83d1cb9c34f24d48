"""Lists newest first in time bound by the page shown, not by the table (design §5).

`WHERE /*visible:…*/ … ORDER BY id DESC LIMIT n` tries row after row of the whole table until n of them may be seen:
quick for who sees most of it, slow for who has traded little in a large table. `newest` looks from the other end: of
each organisation that the sight reaches (`/*orgs*/`) the newest n rows by an index that begins with the organisation,
and of these the newest n. What a grant or a delegation opens is looked for among its givers (`/*lenders*/`).

It only says where to look. The query around it keeps its mark, and that decides.

    LIST = f"SELECT … FROM ({newest(…)}) k JOIN t ON t.id = k.id WHERE /*visible:…*/ ORDER BY t.id DESC"

An authority's region holds few or many organisations, a chain hundreds of stores: `first_pages` takes the newest rows
of the table first, which is where their page is, and looks by organisation only when that does not fill it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

from asyncpg import Record

from yaosu.access.visibility import Sight

NEAR = 1_000
"""Newest rows of a table that are tried before looking by organisation."""
ORGS = "/*orgs*/"
LENDERS = "/*lenders*/"
LAST = 9_223_372_036_854_775_807
"""Before the first page: larger than any id."""


def newest(table: str, key: str, ways: Sequence[tuple[str, str]], filters: str, limit: str) -> str:
    """SQL of the newest keys of `table` (with its alias, as "bill b") by any of `ways`, each key once.

    `key` is the column to order by, descending; it is called id in the result. A way is where to begin (`ORGS`,
    `LENDERS`, another array of organisations) and a condition on one row with `u.org` as the organisation, answered in
    order by one index: "b.owner = u.org". What is not the sight's by the condition alone carries a mark in it.
    `filters` holds for every row, `limit` is the parameter with the page's size.
    """
    parts = [
        f"SELECT k.id FROM unnest({orgs}) AS u(org) CROSS JOIN LATERAL (SELECT {key} AS id FROM {table} "  # noqa: S608
        f"WHERE {way} AND {filters} ORDER BY {key} DESC LIMIT {limit}) k"
        for orgs, way in ways
    ]
    # two organisations of one way may share a row
    return f"SELECT DISTINCT f.id FROM ({' UNION ALL '.join(parts)}) f ORDER BY f.id DESC LIMIT {limit}"  # noqa: S608


_IF_GIVEN = re.compile(r"\((?:NOT )?\$(\d+)::([a-z0-9]+(?:\[\])?) (?:IS NULL )?OR ")


def asked(sql: str, args: Sequence[Any]) -> str:
    """`sql` with its filters `($n::type IS NULL OR …)` and `(NOT $n::bool OR …)` as these arguments decide them.

    A statement is prepared once and soon planned for any argument. Of a filter that may or may not apply the server
    then assumes that it leaves next to nothing, and reads everything instead of a page in order. So every combination
    of filters that is asked for is a statement of its own.
    """
    return _asked(sql, tuple(a is None or a is False for a in args))


@lru_cache(maxsize=1024)
def _asked(sql: str, absent: tuple[bool, ...]) -> str:
    done, rest = "", sql
    while found := _IF_GIVEN.search(rest):
        end, depth = found.end(), 1
        while depth:
            depth += {"(": 1, ")": -1}.get(rest[end], 0)
            end += 1
        number, kind = found.groups()
        # either way the parameter stays, with its type
        known = f"(${number}::{kind} IS NULL OR TRUE)"
        condition = "" if absent[int(number) - 1] else f" AND ({rest[found.end() : end - 1]})"
        done += f"{rest[: found.start()]}{known}{condition}"
        rest = rest[end:]
    return done + rest


async def first_pages(
    sight: Sight,
    limit: int,
    near: Callable[[], Awaitable[list[Record]]],
    reached: Callable[[], Awaitable[list[Record]]],
    whole: Callable[[], Awaitable[list[Record]]],
    *,
    busy: bool = False,
) -> list[Record]:
    """One page of a list, by the way that suits the sight.

    `whole` reads in order until the page is full: for who sees every row. `near` tries the newest `NEAR` rows only,
    `reached` looks by organisation. `busy`: an organisation's own page may well be among the newest rows too.
    """
    if sight.kind == "own" and not busy:
        return await reached()
    if sight.kind in ("operator", "public") or (sight.kind == "regulator" and not sight.region_prefix):
        return await whole()
    rows = await near()
    return rows if len(rows) >= limit else await reached()
