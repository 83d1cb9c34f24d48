"""A foreign maker with GTINs, a wholesaler and a pharmacy, and documents as their systems write them."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from access.helpers import key_headers
from registry.helpers import make_org, make_product
from yaosu.codes.identifiers.checksums import mod10_digit
from yaosu.db.engine import Connection, Pool
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
YAOSU = "https://yaosu.org/ns/epcis#"
_numbers = itertools.count(1)
_MADE = (datetime.now(UTC) - timedelta(days=200)).date().replace(day=1)
MADE = _MADE.isoformat()
"""When goods of the tests were made, and when their 24 months are over: counted from today, so that no test rots."""
EXPIRES = (_MADE.replace(year=_MADE.year + 2) - timedelta(days=1)).isoformat()


def gtin(reference: str, indicator: str = "0") -> str:
    """A GTIN-14 of the company prefix 6901234 (7 digits)."""
    body = indicator + "6901234" + reference.zfill(5)
    return body + str(mod10_digit(body))


def sscc(number: int) -> str:
    """An SSCC of the same company."""
    body = f"0690123{4}{number:09d}"
    return body + str(mod10_digit(body))


def link(gtin14: str, serial: str) -> str:
    """A GS1 Digital Link URI."""
    return f"https://id.gs1.org/01/{gtin14}/21/{serial}"


def ago(minutes: float) -> str:
    """A time with its offset, so many minutes ago."""
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")


def event(kind: str = "ObjectEvent", minutes: float = 10, **fields: Any) -> dict[str, Any]:
    """An event with time and offset."""
    return {"type": kind, "eventTime": ago(minutes), "eventTimeZoneOffset": "+00:00", **fields}


def document(
    *events: dict[str, Any], header: dict[str, Any] | None = None, **prefixes: str
) -> dict[str, Any]:
    """A capture document."""
    made: dict[str, Any] = {
        "@context": [CONTEXT, {"yaosu": YAOSU, **prefixes}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": ago(0),
        "epcisBody": {"eventList": list(events)},
    }
    if header is not None:
        made["epcisHeader"] = header
    return made


def commissioning(epcs: list[str], lot: str = "L1", minutes: float = 60, **more: Any) -> dict[str, Any]:
    """Packages of one lot come to be."""
    ilmd = {
        "cbvmda:lotNumber": lot,
        "cbvmda:itemExpirationDate": EXPIRES,
        "yaosu:productionDate": MADE,
    }
    return event(
        minutes=minutes,
        action="ADD",
        bizStep="commissioning",
        disposition="active",
        epcList=epcs,
        ilmd=ilmd,
        **more,
    )


def packing(parent: str, children: list[str], minutes: float = 55, **more: Any) -> dict[str, Any]:
    """Packages go into another."""
    return event(
        "AggregationEvent",
        minutes,
        action="ADD",
        bizStep="packing",
        parentID=parent,
        childEPCs=children,
        **more,
    )


def shipping(epcs: list[str], to: str, minutes: float = 30, **more: Any) -> dict[str, Any]:
    """Goods leave for somebody."""
    return event(
        minutes=minutes,
        action="OBSERVE",
        bizStep="shipping",
        disposition="in_transit",
        epcList=epcs,
        destinationList=[{"type": "owning_party", "destination": to}],
        **more,
    )


@dataclass
class World:
    """Who there is, with keys of the interface."""

    client: httpx.AsyncClient
    pool: Pool
    maker: int
    wholesaler: int
    pharmacy: int
    stranger: int
    uscc: dict[int, str]
    keys: dict[int, dict[str, str]]
    drug_id: int
    box: str
    case: str
    per_case: int = 2

    def party(self, org: int) -> str:
        """The organisation as a URI of ours."""
        return f"urn:yaosu:org:{self.uscc[org]}"

    async def capture(self, doc: dict[str, Any], org: int | None = None, **headers: str) -> dict[str, Any]:
        """Capture a document and read its job."""
        key = self.keys[org or self.maker]
        sent = await self.client.post(
            "/epcis/capture",
            content=orjson.dumps(doc),
            headers={**key, "content-type": "application/json", **headers},
        )
        assert sent.status_code == 202, sent.text
        return await self.job(sent.headers["location"], org)

    async def job(self, location: str, org: int | None = None) -> dict[str, Any]:
        """A capture job by its address, when it has ended."""
        path = location[location.index("/epcis/") :]
        while True:
            got = await self.client.get(path, headers=self.keys[org or self.maker])
            assert got.status_code == 200, got.text
            found: dict[str, Any] = got.json()
            if not found["running"]:
                return found
            # on a busy machine a capture is answered before its job has ended
            await asyncio.sleep(0.05)

    async def done(self, doc: dict[str, Any], org: int | None = None, **headers: str) -> dict[str, Any]:
        """Capture a document that is right."""
        job = await self.capture(doc, org, **headers)
        assert job["success"], job["errors"]
        return job

    async def events(self, org: int | None = None, **query: Any) -> list[dict[str, Any]]:
        """Events that a query finds."""
        got = await self.client.get("/epcis/events", params=query, headers=self.keys[org or self.maker])
        assert got.status_code == 200, got.text
        found: list[dict[str, Any]] = got.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        return found

    async def unit(self, code: str) -> tuple[str | None, int | None, int | None, str | None]:
        """Status, holder, destination of the outermost package around a code, and the code's own parent."""
        async with self.pool.acquire() as conn:
            row = await conn.fetchrow("SELECT * FROM unit WHERE code = $1", code)
            if row is None:
                return None, None, None, None
            parent = row["parent"]
            while row["parent"] is not None:
                row = await conn.fetchrow("SELECT * FROM unit WHERE code = $1", row["parent"])
            return row["status"], row["holder"], row["dest"], parent

    async def stock(self, org: int, status: str = "I") -> int:
        """Smallest packages of an organisation."""
        async with self.pool.acquire() as conn:
            found: int = await conn.fetchval(
                "SELECT coalesce(sum(qty), 0)::bigint FROM balance WHERE org = $1 AND status = $2",
                org,
                status,
            )
            return found

    def boxes(self, count: int) -> list[str]:
        """Fresh boxes as Digital Links."""
        return [link(self.box, f"B{next(_numbers):06d}") for _ in range(count)]

    def cases(self, count: int) -> list[str]:
        """Fresh cases as Digital Links."""
        return [link(self.case, f"C{next(_numbers):06d}") for _ in range(count)]

    async def goods(self, cases: int = 1, lot: str = "") -> tuple[list[str], list[str]]:
        """Commissioned and packed goods in the maker's stock: cases and boxes."""
        lot = lot or f"L{next(_numbers)}"
        big, small = self.cases(cases), self.boxes(cases * self.per_case)
        packs = [packing(c, small[n * self.per_case : (n + 1) * self.per_case]) for n, c in enumerate(big)]
        await self.done(document(commissioning(small, lot), commissioning(big, lot), *packs))
        return big, small


def code(uri: str) -> str:
    """Our canonical code of a Digital Link."""
    parts = uri.split("/")
    return f"(01){parts[4]}(21){parts[6]}"


async def make_world(client: httpx.AsyncClient, pool: Pool, conn: Connection) -> World:
    """Organisations, keys, and one product of boxes and cases of two, under GTINs."""
    n = next(_numbers)
    maker = await make_org(conn, OrgType.MAKER)
    wholesaler = await make_org(conn, OrgType.WHOLESALER)
    pharmacy = await make_org(conn, OrgType.RETAIL, sub_type=41)
    stranger = await make_org(conn, OrgType.WHOLESALER)
    box, case = gtin(str(1000 + n)), gtin(str(1000 + n), "1")
    drug_id = await make_product(
        conn, maker, levels=(("盒", 1, box), ("箱", 2, case)), scheme="gs1", expiry_rule=None
    )
    keys = {org: await key_headers(conn, org) for org in (maker, wholesaler, pharmacy, stranger)}
    registry = await load_registry(conn)
    uscc = {o: card.uscc for o in keys if (card := registry.org(o)) is not None}
    return World(client, pool, maker, wholesaler, pharmacy, stranger, uscc, keys, drug_id, box, case)
