"""What the system itself can say to each item of a self-check table (R-E5): figures, and where they can be seen.

Evidence is computed, never typed; where the system keeps no record it says so, and only a person can answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from yaosu.db.engine import Connection
from yaosu.edge.pages import CHINA
from yaosu.errors import Finding
from yaosu.quality import store_evidence as store
from yaosu.rules.bill_types import bill_types

PERIOD = timedelta(days=365)
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """One statement: a message code with its figures. `known` is False where the system holds no record."""

    code: str
    params: Values
    href: str
    known: bool = True

    def as_json(self) -> Values:
        """As it is kept with a signed table."""
        return {"code": self.code, "params": self.params, "href": self.href, "known": self.known}


def text_of(kept: Values, lang: str) -> str:
    """The sentence of a piece of evidence."""
    return Finding(kept["code"], kept["params"]).text(lang)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose evidence, as of when."""

    conn: Connection
    org: int
    now: datetime

    @property
    def since(self) -> datetime:
        """Figures cover the last twelve months."""
        return self.now - PERIOD

    @property
    def day(self) -> date:
        """The day it is asked on."""
        return self.now.astimezone(CHINA).date()

    async def figures(self, query: str, *more: object) -> Values:
        """A query's one row, times left out."""
        row = await store.one(self.conn, query, self.org, self.since, *more)
        return {key: value for key, value in row.items() if not isinstance(value, datetime)}


def _kinds(*kinds: str) -> list[int]:
    return [code for code, one in bill_types().items() if one.kind in kinds]


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "—"


async def _system(a: Asked) -> Evidence:
    found = await a.figures(store.SYSTEM)
    return Evidence("quality_ev_system", found, "/filings", bool(found["filings"]))


async def _conformance(a: Asked) -> Evidence:
    found = await a.figures(store.CONFORMANCE)
    return Evidence("quality_ev_conformance", found, "/products", bool(found["products"]))


async def _coverage(a: Asked) -> Evidence:
    found = await a.figures(store.COVERAGE)
    return Evidence("quality_ev_coverage", found, "/relations", bool(found["batches"]))


async def _one_system(a: Asked) -> Evidence:
    return Evidence("quality_ev_one_system", await a.figures(store.ONE_SYSTEM), "/filings")


async def _filed_first(a: Asked) -> Evidence:
    found = await a.figures(store.FILED_FIRST)
    return Evidence("quality_ev_filed_first", found, "/filings", bool(found["products"]))


async def _notices_sent(a: Asked) -> Evidence:
    found = await a.figures(store.NOTICES_SENT, _kinds("ship"))
    found["share"] = _share(found["noticed"], found["bills"])
    return Evidence("quality_ev_notices_sent", found, "/bills", bool(found["bills"]))


async def _downstream(a: Asked) -> Evidence:
    found = await a.figures(store.DOWNSTREAM)
    found["share"] = _share(found["received"], found["sent"])
    return Evidence("quality_ev_downstream", found, "/checks", bool(found["sent"]))


async def _deliveries(a: Asked) -> Evidence:
    found = await a.figures(store.FEEDS, a.now)
    if not found["feeds"]:
        return Evidence("quality_ev_deliveries", {}, "/quality", False)
    return Evidence("quality_ev_feeds", found, "/bills", bool(found["owed"]))


async def _public(a: Asked) -> Evidence:
    return Evidence("quality_ev_public", await a.figures(store.PUBLIC), "/q")


async def _receipts(a: Asked) -> Evidence:
    found = await a.figures(store.RECEIPTS, _kinds("receive"))
    found["share"] = _share(found["noticed"], found["bills"])
    return Evidence("quality_ev_receipts", found, "/bills", bool(found["bills"]))


async def _receipt_checks(a: Asked) -> Evidence:
    found = await a.figures(store.RECEIPT_CHECKS)
    return Evidence("quality_ev_receipt_checks", found, "/checks", bool(found["checks"]))


async def _sales(a: Asked) -> Evidence:
    found = await a.figures(store.SALES, [*_kinds("ship", "use"), 23])
    return Evidence("quality_ev_sales", found, "/bills", bool(found["bills"]))


async def _scans(a: Asked) -> Evidence:
    found = await a.figures(store.SCANS)
    found["share"] = _share(found["refused"], found["taken"] + found["refused"])
    return Evidence("quality_ev_scans", found, "/bills", bool(found["bills"]))


async def _people(a: Asked) -> Evidence:
    return Evidence("quality_ev_people", await a.figures(store.PEOPLE), "/users")


async def _resources(a: Asked) -> Evidence:
    return await _documents(a, "resources", "quality_ev_resources")


async def _uncoded(a: Asked) -> Evidence:
    return Evidence("quality_ev_uncoded", await a.figures(store.UNCODED), "/uncoded")


async def _periodic(a: Asked) -> Evidence:
    found = await a.figures(store.PERIODIC)
    return Evidence("quality_ev_periodic", found, "/quality", bool(found["checks"]))


async def _documents(a: Asked, kind: str, code: str) -> Evidence:
    rows = await store.in_force(a.conn, a.org, a.day, kind)
    if not rows:
        return Evidence(f"{code}_none", {}, "/quality/documents", False)
    first = rows[0]
    params = {
        "title": first["title"],
        "number": first["number"],
        "version": first["version"],
        "effective_on": first["effective_on"].isoformat(),
        "trained": first["trained"],
    }
    return Evidence(code, params, f"/quality/documents/{first['id']}")


async def _document(a: Asked) -> Evidence:
    return await _documents(a, "trace_system", "quality_ev_document")


async def _in_qms(a: Asked) -> Evidence:
    rows = await store.in_force(a.conn, a.org, a.day, "trace_system")
    inside = [r for r in rows if r["in_qms"]]
    if not inside:
        return Evidence("quality_ev_in_qms_none", {}, "/quality/documents", False)
    params = {"title": inside[0]["title"], "version": inside[0]["version"]}
    return Evidence("quality_ev_in_qms", params, f"/quality/documents/{inside[0]['id']}")


SOURCES: dict[str, Callable[[Asked], Awaitable[Evidence]]] = {
    "system": _system,
    "conformance": _conformance,
    "coverage": _coverage,
    "one_system": _one_system,
    "filed_first": _filed_first,
    "notices_sent": _notices_sent,
    "downstream": _downstream,
    "deliveries": _deliveries,
    "public_queries": _public,
    "receipts_noticed": _receipts,
    "receipt_checks": _receipt_checks,
    "sales_coded": _sales,
    "scans": _scans,
    "people": _people,
    "resources": _resources,
    "uncoded": _uncoded,
    "periodic": _periodic,
    "document": _document,
    "in_qms": _in_qms,
}
"""What each name in selfcheck.yaml computes."""


async def gather(conn: Connection, org: int, names: list[str], now: datetime) -> list[Evidence]:
    """Evidence by these names, in their order."""
    asked = Asked(conn, org, now)
    return [await SOURCES[name](asked) for name in names]
