"""Files that attack their reader: XML, archives, spreadsheets. Each is refused with its reason and changes nothing."""

# ruff: noqa: E501, PLW0108 - the hostile bytes are clearer in one piece
from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from hostile.world import World, counts
from yaosu.registry import imports

XML = "application/xml"
OCTETS = "application/octet-stream"


def _relation(inside: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    return f'{head}<Document License="x"><Events version="3.0"><Event name="WareHouseOut">{inside}</Event></Events></Document>'.encode()


def _entities(kind: str) -> bytes:
    doctypes = {
        "laughs": "".join(
            f'<!ENTITY l{n} "{"&l" + str(n - 1) + ";" if n else "ha"}{("&l" + str(n - 1) + ";") * 9 if n else ""}">'
            for n in range(12)
        ),
        "quadratic": f'<!ENTITY l11 "{"a" * 100_000}">',
        "external": '<!ENTITY l11 SYSTEM "file:///etc/passwd">',
        "network": '<!ENTITY l11 SYSTEM "http://127.0.0.1:9/x">',
        "parameter": '<!ENTITY % p SYSTEM "file:///etc/passwd"> %p; <!ENTITY l11 "x">',
    }
    head = f'<?xml version="1.0"?><!DOCTYPE Document [{doctypes[kind]}]>'
    return _relation("<Relation>" + "&l11;" * (2_000 if kind == "quadratic" else 1) + "</Relation>", head)


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def _bomb_zip() -> bytes:
    return _zip(("a.xml", b"<a>" + b" " * (300 << 20)))


def _bomb_gzip() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(
        [packer.compress(b"<a>"), *(packer.compress(bytes(1 << 20)) for _ in range(300)), packer.flush()]
    )


def _lying_zip() -> bytes:
    """Says it unpacks to ten bytes and does not."""
    data = bytearray(_zip(("a.xml", b" " * (64 << 20))))
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    data[22:26] = (10).to_bytes(4, "little")
    return bytes(data)


GOOD = _relation("")
FILES: dict[str, Callable[[], bytes]] = {
    "billion laughs": lambda: _entities("laughs"),
    "quadratic blow-up": lambda: _entities("quadratic"),
    "external entity": lambda: _entities("external"),
    "entity over the network": lambda: _entities("network"),
    "parameter entity": lambda: _entities("parameter"),
    "empty document type": lambda: b'<?xml version="1.0"?><!DOCTYPE a><a/>',
    "document type in UTF-16": lambda: (
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>'.encode("utf-16")
    ),
    "deep nesting": lambda: b"<a>" * 200_000,
    "a million attributes": lambda: b"<Document " + b" ".join(b'a%d="1"' % n for n in range(200_000)) + b"/>",
    "an attribute twice": lambda: b'<Document a="1" a="2"/>',
    "a name of megabytes": lambda: b"<" + b"a" * (8 << 20) + b"/>",
    "an attribute of megabytes": lambda: b'<Document a="' + b"x" * (8 << 20) + b'"/>',
    "NUL": lambda: b"<Document>\x00</Document>",
    "declared UTF-8, is GB18030 nonsense": lambda: (
        b'<?xml version="1.0" encoding="UTF-8"?><Document a="\xff\xff\xfe"/>'
    ),
    "unknown encoding": lambda: b'<?xml version="1.0" encoding="EBCDIC-CP-US"?><Document/>',
    "UTF-7": lambda: b'<?xml version="1.0" encoding="UTF-7"?>+ADw-Document/+AD4-',
    "declared UTF-16 without": lambda: b'<?xml version="1.0" encoding="UTF-16"?><Document/>',
    "processing instruction": lambda: (
        b'<?xml version="1.0"?><?xml-stylesheet href="http://127.0.0.1:9/"?><Document/>'
    ),
    "include": lambda: (
        b'<Document xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="/etc/passwd" parse="text"/></Document>'
    ),
    "cut off": lambda: GOOD[: len(GOOD) // 2],
    "empty": lambda: b"",
    "blanks": lambda: b" \n" * 1000,
    "an executable": lambda: b"MZ\x90\x00" + bytes(range(256)) * 20,
    "a PDF": lambda: b"%PDF-1.7\n" + bytes(range(128, 256)) * 20,
    "ratio zip bomb": _bomb_zip,
    "ratio gzip bomb": _bomb_gzip,
    "zip that lies about its size": _lying_zip,
    "nested zip": lambda: _zip(("b.zip", _zip(("a.xml", GOOD)))),
    "gzip in gzip": lambda: gzip.compress(gzip.compress(GOOD)),
    "gzip in zip": lambda: _zip(("a.gz", gzip.compress(GOOD))),
    "many files": lambda: _zip(*((f"{n}.xml", GOOD) for n in range(5_000))),
    "name that climbs": lambda: _zip(("../../etc/cron.d/evil", GOOD)),
    "absolute name": lambda: _zip(("/etc/passwd", GOOD)),
    "Windows name": lambda: _zip(("..\\..\\evil.xml", GOOD)),
    "drive": lambda: _zip(("C:evil.xml", GOOD)),
    "folder only": lambda: _zip(("a/", b"")),
    "broken archive": lambda: b"PK\x03\x04" + b"\xff" * 500,
    "archive cut off": lambda: _zip(("a.xml", GOOD * 100))[:200],
    "LZMA archive": lambda: _zip(("a.xml", GOOD), method=zipfile.ZIP_LZMA),
    "JSON too deep": lambda: b"[" * 200_000,
    "JSON with NaN": lambda: b'{"batches": NaN}',
    "JSON with a lone surrogate": lambda: b'{"productCode": "\\ud800"}',
    "JSON cut off": lambda: b'{"batches": [{"batchNo": "1"',
    "CSV of one endless line": lambda: b"a," * (2 << 20),
    "CSV with NUL": lambda: b"code,parent\n83\x00,1\n",
    "SQL": lambda: b"code,parent,batch_no\n'; DROP TABLE unit;--,x,y\n",
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("path", ["/api/v1/relations?dry_run=true", "/api/v1/relations"])
def test_a_hostile_relation_file_is_refused_with_its_reason_and_changes_nothing(
    world: World, kind: str, path: str
) -> None:
    data = FILES[kind]()
    before, peak = counts(world.database), world.memory_peak_mb()
    with world.client("maker") as client:
        answer = client.post(path, content=data, headers={"content-type": OCTETS})
        english = client.post(
            path + ("&" if "?" in path else "?") + "lang=en", content=data, headers={"content-type": OCTETS}
        )
    told = answer.json()
    assert "root:" not in answer.text
    if "dry_run" in path and answer.status_code == 200:
        # a check lists what is wrong instead of refusing
        assert told["ok"] is False, answer.text[:500]
        assert told["findings"], answer.text[:500]
        said, translated = told["findings"][0]["message"], english.json()["findings"][0]["message"]
    else:
        assert 400 <= answer.status_code < 500, answer.text[:500]
        said, translated = told["message"], english.json()["message"]
    assert said and translated and said != translated
    assert counts(world.database) == before
    assert world.memory_peak_mb() - peak < 250
    assert world.incidents() == []


def _workbook(*rows: list[Any]) -> Workbook:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    return book


def _bytes(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _headings(kind: str) -> list[str]:
    sheet = load_workbook(io.BytesIO(imports.template(kind))).worksheets[0]
    return [str(cell.value) for cell in sheet[1] if cell.value]


def _with_part(data: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            body = old.read(part)
            new.writestr(part.filename, change(body) if part.filename == name else body)
        if name not in old.namelist():
            new.writestr(name, change(b""))
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def _plain_orgs() -> bytes:
    return _bytes(_workbook(_headings("orgs"), ["某公司"]))


SHEETS: dict[str, Callable[[], bytes]] = {
    "formula cells": lambda: _bytes(
        _workbook(_headings("orgs"), ['=cmd|"/C calc"!A1', '=HYPERLINK("http://127.0.0.1:9")'])
    ),
    "external link": lambda: _with_part(
        _bytes(_workbook(_headings("orgs"), ["='[http://127.0.0.1:9/x.xlsx]S'!A1"])),
        "xl/externalLinks/externalLink1.xml",
        lambda _: (
            b'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]><externalLink>&x;</externalLink>'
        ),
    ),
    "entities in the sheet": lambda: _with_part(
        _plain_orgs(), SHEET, lambda b: b.replace(b"<worksheet", BOMB + b"<worksheet", 1)
    ),
    "entities after a long comment": lambda: _with_part(
        _plain_orgs(),
        SHEET,
        lambda b: b.replace(b"<worksheet", b"<!--" + b" " * 9000 + b"-->" + BOMB + b"<worksheet", 1),
    ),
    "a sheet of a gigabyte": lambda: _with_part(_plain_orgs(), SHEET, lambda b: b + b" " * (300 << 20)),
    "a million columns": lambda: _bytes(_workbook(["x"] * 5_000)),
    "broken sheet": lambda: _with_part(_plain_orgs(), SHEET, lambda b: b[: len(b) // 2]),
    "sheet missing": lambda: _zip(("[Content_Types].xml", b"<Types/>")),
    "archive of nothing": lambda: _zip(("x", b"")),
    "cut off": lambda: _plain_orgs()[:1000],
    "many parts": lambda: _zip(*((f"xl/{n}.xml", b"<a/>") for n in range(2_000))),
    "old XLS": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5000),
    "wrong headings": lambda: _bytes(_workbook(["a", "b"], ["1", "2"])),
    "CSV, neither UTF-8 nor GB18030": lambda: b"\xff\xff\xff\xff\n",
    "CSV with NUL": lambda: b"a\x00b\n",
    "CSV of one huge cell": lambda: b'"' + b"x" * (5 << 20) + b'"\n',
    "CSV with an open quote": lambda: ",".join(_headings("orgs")).encode() + b'\n"abc\n' * 3,
    "UTF-16 CSV": lambda: "名称,类型\n某公司,1\n".encode("utf-16"),
    "empty": lambda: b"",
    "SQL and HTML": lambda: (
        ",".join(_headings("orgs")) + "\n'; DROP TABLE org;--,<script>alert(1)</script>\n"
    ).encode(),
}


@pytest.mark.parametrize("kind", SHEETS)
def test_a_hostile_spreadsheet_is_refused_or_its_cells_are_and_nothing_is_registered(
    world: World, kind: str
) -> None:
    data = SHEETS[kind]()
    before, peak = counts(world.database), world.memory_peak_mb()
    with world.client("operator") as client:
        answer = client.post("/api/v1/imports/orgs", files={"file": ("../../evil\r\nname.xlsx", data)})
    assert "root:" not in answer.text
    assert world.incidents() == []
    told = answer.json()
    if answer.status_code == 201:
        assert told["error_count"] > 0 and told["errors"], told
        assert all(e["message"] for e in told["errors"])
        assert all(e.get("row") for e in told["errors"]), told["errors"][0]
    else:
        assert 400 <= answer.status_code < 500, answer.text[:500]
        assert told["message"]
    after = counts(world.database)
    # a preview is kept for an hour so that it can be confirmed; a refused file leaves nothing
    changed = {t for t in after if after[t] != before[t]}
    assert changed <= ({"import_preview", "audit"} if answer.status_code == 201 else set())
    assert world.memory_peak_mb() - peak < 300


def test_no_file_was_left_behind(world: World) -> None:
    left = [p for p in (Path(world.log.parent) / "data").rglob("*") if p.is_file() and "incoming" in str(p)]
    assert left == []
