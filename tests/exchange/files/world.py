"""A market on the test's own server: keys for its firms, goods in their hands, files made in the tests."""

from __future__ import annotations

import io
import itertools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import quoteattr

import httpx

from access.helpers import make_key
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Connection
from yaosu.exchange.files.formats.cells import CHINA

_numbers = itertools.count(1)
HEADS = ("单据编号", "单据类型", "单据时间", "往来单位", "追溯码")


@dataclass
class World:
    """Firms with keys."""

    market: Market
    keys: dict[int, str]

    async def goods(self, holder: int, **more: Any) -> Goods:
        """A batch in cases of ten boxes, in the account of `holder`."""
        goods = await activate(self.market, **more)
        if holder != self.market.maker:
            await self.market.pass_on(self.market.maker, holder, goods.cases)
        return goods

    def name(self, org: int) -> str:
        """An organisation's name."""
        card = self.market.registry.org(org)
        assert card is not None
        return card.name

    def uscc(self, org: int) -> str:
        """Its 统一社会信用代码."""
        card = self.market.registry.org(org)
        assert card is not None
        return card.uscc

    def head(self, org: int) -> dict[str, str]:
        """The headers of a call of `org`."""
        return {"authorization": f"Bearer {self.keys[org]}", "accept-language": "zh"}

    async def post(self, client: httpx.AsyncClient, org: int, data: bytes, **query: Any) -> httpx.Response:
        """Send a file as raw body."""
        return await client.post(
            "/api/v1/files",
            content=data,
            params=query,
            headers={**self.head(org), "content-type": "application/octet-stream"},
        )


async def make_world(conn: Connection) -> World:
    """The market of the circulation tests, with keys."""
    market = await make_market(conn)
    firms = (market.maker, market.wholesaler, market.other, market.pharmacy, market.hospital)
    return World(market, {org: await make_key(conn, org) for org in firms})


def number(prefix: str = "F") -> str:
    """A bill number nobody used."""
    return f"{prefix}{next(_numbers):06d}"


def stamp(minutes: int = 20) -> str:
    """A moment ago, as files write it."""
    return (datetime.now(UTC) - timedelta(minutes=minutes)).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def scan_xml(
    name: str,
    bills: Sequence[tuple[str, str, Sequence[str]]],
    *,
    at: str = "",
    older: bool = False,
    encoding: str = "UTF-8",
    side: str = "",
) -> bytes:
    """扫码单据: (number, partner, codes) of each bill."""
    action = "WareHouseIn" if name.endswith("In") or name.startswith("I") else "WareHouseOut"
    side = side or ("FromCorpID" if action == "WareHouseIn" else "ToCorpID")
    at = at or stamp()
    named = f'Name="{name}" MainAction="{action}"'
    rows = [
        f'<Data Code="{code}" Actor="张三" ActDate="{at}" CorpOrderID={quoteattr(bill)} {side}={quoteattr(partner)} '
        'CorpProductID="" CorpBatchNo="" ProduceDate=""/>'
        for bill, partner, codes in bills
        for code in codes
    ]
    events, event = (f"<Events {named}>", "<Event>") if older else ("<Events>", f"<Event {named}>")
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<Document Version="3.0" SN="" License="">{events}{event}'
        f"<ActionMapping/><DataField>\n" + "\n".join(rows) + "\n</DataField></Event></Events></Document>\n"
    )
    return text.encode("gb18030" if encoding.upper().startswith("GB") else encoding)


def table(
    rows: Sequence[Sequence[str]], heads: Sequence[str] = HEADS, sep: str = ",", encoding: str = "utf-8"
) -> bytes:
    """A CSV."""
    return "".join(sep.join(row) + "\r\n" for row in (heads, *rows)).encode(encoding)


def xlsx(cells: str, strings: Sequence[str] = (), more: dict[str, bytes] | None = None) -> bytes:
    """A minimal workbook with `cells` as its sheet data."""
    shared = "".join(f"<si><t>{s}</t></si>" for s in strings)
    parts: dict[str, bytes] = {
        "[Content_Types].xml": b"<Types/>",
        "xl/workbook.xml": b'<workbook xmlns:r="r"><sheets><sheet name="a" sheetId="1" r:id="rId1"/></sheets>'
        b"</workbook>",
        "xl/_rels/workbook.xml.rels": b'<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/>'
        b"</Relationships>",
        "xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{cells}</sheetData></worksheet>".encode(),
        "xl/sharedStrings.xml": f"<sst>{shared}</sst>".encode(),
    }
    parts.update(more or {})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, body in parts.items():
            packed.writestr(name, body)
    return out.getvalue()


def text_row(n: int, values: Sequence[str]) -> str:
    """A row of inline texts."""
    cells = "".join(
        f'<c r="{chr(65 + i)}{n}" t="inlineStr"><is><t>{v}</t></is></c>' for i, v in enumerate(values) if v
    )
    return f'<row r="{n}">{cells}</row>'
