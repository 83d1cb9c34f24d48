"""Files as others read them, byte for byte: scan-bill XML 3.0, client TXT, tables, relation XML 3.0.

Shapes: domain/standards.md §5.3, §5.5, domain/interfaces.md §2.11. XML is UTF-8 without mark, with line feeds and
exactly one at the end; attributes stand in the order the field knows them in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from yaosu.exchange.files import results
from yaosu.exchange.files.columns import COLUMNS
from yaosu.exchange.files.formats.cells import CHINA
from yaosu.exchange.files.names import main_action, xml_name
from yaosu.registry.model import Product
from yaosu.rules.bill_types import submittable

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


@dataclass(frozen=True, slots=True)
class OutLine:
    """A code, or goods without one."""

    code: str
    product: str
    product_code: str
    batch_no: str
    produced_on: date | None
    expires_on: date | None
    parts: int = 0
    qty: int = 0


@dataclass(frozen=True, slots=True)
class OutBill:
    """A bill with everything by the name others know it by."""

    number: str
    type: int
    at: datetime
    sender: str
    receiver: str
    supplier: str
    principal: str
    carrier: str
    direct: str
    owner: str
    notice: str
    header: Mapping[str, str] = field(default_factory=dict)
    lines: Sequence[OutLine] = ()

    @property
    def stamp(self) -> str:
        """Its time as files write it."""
        return f"{self.at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"

    @property
    def partner(self) -> str:
        """The other side."""
        return self.sender if submittable()[self.type].direction == "in" else self.receiver


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a relation file."""

    code: str
    parent: str
    level: int
    full: bool
    product: Product
    batch: Mapping[str, Any]


def attribute(value: object) -> str:
    """A value in quotation marks, always double ones, line breaks as references."""
    text = "".join(c for c in str(value) if c in "\t\n\r" or c >= " ")
    quoted = quoteattr(text)
    return quoted if quoted[0] == '"' else '"' + quoted[1:-1].replace('"', "&quot;") + '"'


def _element(name: str, pairs: Iterable[tuple[str, object]], end: str = "/>") -> str:
    return f"<{name} " + " ".join(f"{k}={attribute(v)}" for k, v in pairs) + end


def _sayable(bills: Sequence[OutBill]) -> tuple[list[OutBill], int]:
    """Bills that a list of codes can say, and how many it cannot: goods without codes, opened boxes."""
    good = [b for b in bills if all(x.code and not x.parts for x in b.lines)]
    return good, len(bills) - len(good)


def scan_xml(bills: Sequence[OutBill], older: bool = False) -> bytes:
    """扫码单据 XML 3.0; `older` puts Name and MainAction on Events, one document element per kind all the same."""
    good, left = _sayable(bills)
    by_type: dict[int, list[OutBill]] = defaultdict(list)
    for bill in good:
        by_type[bill.type].append(bill)
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<Document {XSI} xsi:noNamespaceSchemaLocation="终端接口XML Schema-3.0.xsd" SN="" Version="3.0" License="">',
    ]
    if left:
        out.append(f"<!-- {left} bills cannot be written in this format: use xlsx or csv -->")
    if not older:
        out.append("<Events>")
    for code, own in by_type.items():
        named = (("Name", xml_name(code)), ("MainAction", main_action(code)))
        if older:
            out += [_element("Events", named, ">"), "<Event>"]
        else:
            out.append(_element("Event", named, ">"))
        out.append("<DataField>")
        for bill in own:
            incoming = submittable()[code].direction == "in"
            side = ("FromCorpID", bill.sender) if incoming else ("ToCorpID", bill.receiver)
            for line in bill.lines:
                made = line.produced_on.isoformat() if line.produced_on else ""
                pairs = [
                    ("Code", line.code),
                    ("CorpOrderID", bill.number),
                    ("Actor", bill.header.get("oper_name", "")),
                    ("ActDate", bill.stamp),
                    side,
                    *((("AssCorpID", bill.principal),) if bill.principal else ()),
                    ("CorpProductID", line.product_code),
                    ("CorpBatchNo", line.batch_no),
                    ("ProduceDate", made),
                ]
                out.append(_element("Data", pairs))
        out.append("</DataField>")
        out += ["</Event>", "</Events>"] if older else ["</Event>"]
    if not older:
        out.append("</Events>")
    out.append("</Document>")
    return ("\n".join(out) + "\n").encode()


def _field(text: str) -> str:
    return " ".join(text.replace(",", "，").split())


def client_txt(bills: Sequence[OutBill]) -> bytes:
    """`$供应商,单号`, the codes, `#` and their number. It tells no kind and no time: it is for the receiver."""
    good, left = _sayable(bills)
    out = [f"# {left} bills cannot be written in this format"] if left else []
    for bill in good:
        out.append(f"${_field(bill.supplier)},{_field(bill.number)}")
        for line in bill.lines:
            made = line.produced_on.isoformat() if line.produced_on else ""
            out.append(",".join((line.code, _field(line.product), _field(line.batch_no), made)))
        out.append(f"#{len(bill.lines)}")
    return ("\r\n".join(out) + "\r\n").encode("utf-8-sig")


def _cells(bill: OutBill, line: OutLine) -> list[str]:
    kind = submittable()[bill.type]
    day = {"produced_on": line.produced_on, "expires_on": line.expires_on}
    values: dict[str, str] = {
        "bill_no": bill.number,
        "type": f"{bill.type} {kind.zh}",
        "at": bill.stamp,
        "partner": bill.partner,
        "code": line.code,
        "parts": str(line.parts) if line.parts else "",
        "notice": bill.notice,
        "owner": bill.owner,
        "principal": bill.principal,
        "carrier": bill.carrier,
        "direct": bill.direct,
    }
    if not line.code:
        values |= {"drug": line.product_code, "batch_no": line.batch_no, "qty": str(line.qty)}
        values |= {k: v.isoformat() for k, v in day.items() if v is not None}
    return [values.get(c.key, "") or (bill.header.get(c.header, "") if c.header else "") for c in COLUMNS]


def _rows(bills: Sequence[OutBill]) -> Iterable[list[str]]:
    for bill in bills:
        for line in bill.lines:
            yield _cells(bill, line)


def table_csv(bills: Sequence[OutBill]) -> bytes:
    """Our template as CSV."""
    return b"\xef\xbb\xbf" + results.csv_text([[c.zh for c in COLUMNS], *_rows(bills)]).encode()


def table_xlsx(bills: Sequence[OutBill]) -> bytes:
    """Our template as XLSX."""
    return results.book([("单据", [c.zh for c in COLUMNS], _rows(bills))])


def older_xml(bills: Sequence[OutBill]) -> bytes:
    """The variant with the names on Events."""
    return scan_xml(bills, older=True)


@dataclass(frozen=True, slots=True)
class Form:
    """A format of exports."""

    ending: str
    media: str
    write: Callable[[Sequence[OutBill]], bytes]


FORMS: Mapping[str, Form] = {
    "xml": Form("xml", "application/xml", scan_xml),
    "xml-events": Form("xml", "application/xml", older_xml),
    "txt": Form("txt", "text/plain; charset=utf-8", client_txt),
    "csv": Form("csv", results.CSV, table_csv),
    "xlsx": Form("xlsx", results.XLSX, table_xlsx),
}


def relation(packages: Sequence[Package]) -> bytes:
    """关联关系 XML 3.0 by the rules of standards §5.3: declaration and root on one line, a `Code` per line without
    indentation, parents before their content, the outermost without `parentCode`, flag 0 full and 2 not full.
    """
    here = {p.code for p in packages}
    below: dict[str, list[Package]] = defaultdict(list)
    tops: dict[tuple[int, int], list[Package]] = defaultdict(list)
    for one in packages:
        if one.parent in here:
            below[one.parent].append(one)
        else:
            tops[one.product.id, one.batch["batch_id"]].append(one)
    out = [
        f'<?xml version="1.0" encoding="UTF-8"?><Document {XSI} '
        'xsi:noNamespaceSchemaLocation="关联关系XML Schema-3.0.xsd" License="">',
        '<Events Version="3.0"><Event Name="RelationCreate">',
    ]
    for key in sorted(tops):
        first = tops[key][0]
        product, batch = first.product, first.batch
        held = [lv.units_per for lv in product.levels]
        head = (
            ("productCode", product.levels[0].identifier),
            ("subTypeNo", ""),
            ("cascade", ":".join(str(held[-1] // n) for n in reversed(held))),
            ("packageSpec", product.package_size),
            ("comment", ""),
        )
        out.append(_element("Relation", head, ">"))
        run = (
            ("batchNo", batch["batch_no"]),
            ("madeDate", batch["produced_on"]),
            ("validateDate", batch["expires_on"]),
            ("workshop", ""),
            ("lineName", ""),
            ("lineManager", ""),
        )
        out.append(_element("Batch", run, ">"))
        waiting = list(reversed(tops[key]))
        while waiting:
            one = waiting.pop()
            parent = (("parentCode", one.parent),) if one.parent in here else ()
            pairs = (("curCode", one.code), ("packLayer", one.level), *parent, ("flag", 0 if one.full else 2))
            out.append(_element("Code", pairs))
            waiting.extend(reversed(below[one.code]))
        out += ["</Batch>", "</Relation>"]
    out += ["</Event></Events>", "</Document>"]
    return ("\n".join(out) + "\n").encode()
