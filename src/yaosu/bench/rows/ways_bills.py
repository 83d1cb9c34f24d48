"""Rows `way_top`, `way_epcis`, `way_file`: shipments of 1,000 boxes through another door than the native API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from yaosu.bench import http
from yaosu.bench.database import Server
from yaosu.bench.http import Place
from yaosu.bench.load import post
from yaosu.bench.measure import Row, Say, Scale
from yaosu.bench.ways import AGO, NATIVE, Contest, Requests, Side, china, measured, top_program

CONTAINS = (10, 20)
PER_CASE = 200
CONNECTIONS = 4
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
UPLOAD = "alibaba.alihealth.drug.kyt.uploadinoutbill"
# Smallest packages on their way from a firm to another.
UNDER_WAY = "SELECT coalesce(sum(qty), 0)::bigint FROM balance WHERE org = $1 AND status = 'O'"


@dataclass(slots=True)
class Shipper:
    """A wholesaler that ships its boxes to another."""

    at: Place
    sender: int
    receiver: int
    scale: Scale
    runs: int

    @property
    def key(self) -> str:
        """Its API key."""
        return self.at.keys[self.sender]

    def uscc(self, org: int) -> str:
        """An organisation's 统一社会信用代码."""
        card = self.at.market.registry.org(org)
        assert card is not None
        return card.uscc

    def native(self, sets: Sequence[Sequence[str]], prefix: str) -> Requests:
        """The same shipments as the native API takes them."""
        happened = (datetime.now(UTC) - AGO).isoformat(timespec="seconds")
        texts = []
        for n, codes in enumerate(sets):
            body = {
                "type": 201,
                "bill_no": f"{prefix}-{n}",
                "happened_at": happened,
                "to_org": self.uscc(self.receiver),
                "codes": codes,
            }
            texts.append(post(NATIVE, self.key, orjson.dumps(body).decode()))
        return Requests(texts, '"status":"accepted"')

    async def against(self, id: str, say: Say, other: Side, work: str) -> Row:
        """The row; raises when a package was answered for and did not move."""
        size, per_run = self.scale.bill_codes, self.scale.way_bills
        boxes = self.at.goods.boxes
        sets = [boxes[a : a + size] for a in range(0, len(boxes) - size + 1, size)]
        what = Contest(id, "codes/s", work, sets, per_run, CONNECTIONS, size)
        row = await measured(self.at, say, self.runs, what, other, self.native)
        moved = await self.at.market.conn.fetchval(UNDER_WAY, self.sender)
        if moved != 2 * (self.runs + 1) * per_run * size:
            raise RuntimeError(f"{moved} boxes are under way, not {2 * (self.runs + 1) * per_run * size}")
        return row


@asynccontextmanager
async def shipper(server: Server, say: Say, name: str, scale: Scale, runs: int) -> AsyncIterator[Shipper]:
    """A wholesaler with the boxes of all runs in its cases."""
    needed = 2 * (runs + 1) * scale.way_bills * scale.bill_codes
    boxes = -(-needed // PER_CASE) * PER_CASE
    async with http.place(server, say, name, boxes, 1, CONTAINS) as at:
        sender, receiver = at.market.wholesalers
        await at.market.pass_on(at.market.maker, sender, at.goods.cases)
        await http.ready(at)
        yield Shipper(at, sender, receiver, scale, runs)


async def top(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Shipments through the gateway of the incumbent's protocol, signed."""
    async with shipper(server, say, "way_top", scale, runs) as one:
        program = await top_program(one.at, one.sender, "admin")

        def calls(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            now = datetime.now(UTC)
            texts = []
            for n, codes in enumerate(sets):
                business = {
                    "bill_code": f"{prefix}-{n}",
                    "bill_time": china(now - AGO),
                    "bill_type": "201",
                    "physic_type": "3",
                    "ref_user_id": program.names[one.sender].ref_ent_id,
                    "from_user_id": program.names[one.sender].ent_id,
                    "to_user_id": program.names[one.receiver].ent_id,
                    "oper_ic_code": "01",
                    "oper_ic_name": "出库员",
                    "client_type": "2",
                    "trace_codes": ",".join(codes),
                }
                texts.append(program.call(UPLOAD, business, now))
            return Requests(texts, '"msg_info":"成功"')

        work = (
            f"shipments (201) of {scale.bill_codes:,} boxes by {UPLOAD.rpartition('.')[2]}, form, hmac-sha256"
        )
        return await one.against("way_top", say, calls, work)


async def epcis(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Shipments as EPCIS documents, counted when their capture has ended."""
    async with shipper(server, say, "way_epcis", scale, runs) as one:

        def documents(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            happened = (datetime.now(UTC) - AGO).isoformat(timespec="milliseconds")
            texts = []
            for n, codes in enumerate(sets):
                event = {
                    "type": "ObjectEvent",
                    "eventTime": happened,
                    "eventTimeZoneOffset": "+00:00",
                    "action": "OBSERVE",
                    "bizStep": "shipping",
                    "disposition": "in_transit",
                    "epcList": [f"urn:yaosu:code:{code}" for code in codes],
                    "bizTransactionList": [
                        {
                            "type": "desadv",
                            "bizTransaction": f"urn:epcglobal:cbv:bt:6901234000009:{prefix}-{n}",
                        }
                    ],
                    "destinationList": [
                        {"type": "owning_party", "destination": f"urn:yaosu:org:{one.uscc(one.receiver)}"}
                    ],
                }
                document = {
                    "@context": [CONTEXT],
                    "type": "EPCISDocument",
                    "schemaVersion": "2.0",
                    "creationDate": happened,
                    "epcisBody": {"eventList": [event]},
                }
                texts.append(post("/epcis/capture", one.key, orjson.dumps(document).decode()))
            return Requests(texts, "/epcis/capture/", 202)

        work = (
            f"shipments of {scale.bill_codes:,} boxes, an EPCIS 2.0 document each, to the end of its capture"
        )
        return await one.against("way_epcis", say, documents, work)


async def file(server: Server, scale: Scale, runs: int, say: Say) -> Row:
    """Shipments as in/out XML files, received and confirmed at once."""
    async with shipper(server, say, "way_file", scale, runs) as one:

        def files(sets: Sequence[Sequence[str]], prefix: str) -> Requests:
            happened = china(datetime.now(UTC) - AGO)
            texts = []
            for n, codes in enumerate(sets):
                rows = "\n".join(
                    f'<Data Code="{code}" Actor="出库员" ActDate="{happened}" CorpOrderID="{prefix}-{n}" '
                    f'ToCorpID="{one.uscc(one.receiver)}" CorpProductID="" CorpBatchNo="" ProduceDate=""/>'
                    for code in codes
                )
                text = (
                    '<?xml version="1.0" encoding="UTF-8"?>\n<Document Version="3.0" SN="" License=""><Events>'
                    '<Event Name="SalesWareHouseOut" MainAction="WareHouseOut"><ActionMapping/><DataField>\n'
                    f"{rows}\n</DataField></Event></Events></Document>\n"
                )
                texts.append(post("/api/v1/files?send=true", one.key, text, "application/octet-stream"))
            return Requests(texts, '"state":"done"', 201)

        work = f"shipments of {scale.bill_codes:,} boxes, an in/out XML 3.0 file each, received and sent"
        return await one.against("way_file", say, files, work)
