"""What a picture of a case or a shelf says: every code in it, of every family, and what each means to the reader."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from yaosu.capture.decode import Symbol, decode
from yaosu.codes import NotACode, parse
from yaosu.db.engine import Connection
from yaosu.edge.pictures import opened
from yaosu.errors import Finding, YaosuError
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject
from yaosu.trace.service import verify_codes

BYTES_MAX = 20 * 1024 * 1024
"""Largest picture; a telephone's photo has 3 to 8 MB."""
SHOWN_EDGE = 2000
"""Longest edge of the marked picture that is given back."""
AT_ONCE = 2
"""Pictures decoded at a time: each takes a core for up to a second or two and some hundred MB."""

_HEIF = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"}
"""Brands of HEIC and AVIF files: what telephones save when nobody asked for JPEG (ISO/IEC 23008-12)."""

_room = asyncio.Semaphore(AT_ONCE)

GREEN, AMBER, GREY, RED = (22, 128, 61), (180, 83, 9), (100, 116, 139), (185, 28, 28)


@dataclass(slots=True)
class Read:
    """One symbol in the picture. `kind`: trace (a trace code), logistics (SSCC), retail (商品条码), other.

    `code` is canonical for trace codes; `repeat` marks a symbol whose code stands in the picture before it.
    """

    n: int
    symbol: Symbol
    kind: str
    code: str = ""
    scheme: str = ""
    drug_ids: tuple[int, ...] = ()
    finding: Finding | None = None
    repeat: bool = False
    verdict: dict[str, object] | None = None


@dataclass(slots=True)
class Capture:
    """All symbols of one picture, in reading order."""

    width: int
    height: int
    reads: list[Read]
    picture: Image.Image | None = field(default=None, repr=False)

    @property
    def codes(self) -> list[str]:
        """Trace codes and logistics codes, each once, in reading order."""
        return [r.code for r in self.reads if r.code and not r.repeat]

    @property
    def copies(self) -> dict[str, list[int]]:
        """Trace codes that stand at several places in one symbology, with the numbers of those symbols.

        A box may carry its code as a linear and as a 2-D symbol: those are two symbologies, and no copies.
        """
        places: dict[tuple[str, str], list[int]] = {}
        for one in self.reads:
            if one.kind == "trace":
                places.setdefault((one.code, one.symbol.format), []).append(one.n)
        out: dict[str, list[int]] = {}
        for (code, _), numbers in places.items():
            if len(numbers) > max(1, len(out.get(code, ()))):
                out[code] = numbers
        return out


async def capture(registry: Registry, subject: Subject, content: bytes) -> Capture:
    """Read a picture (`trace.read`).

    Refused: `photo_too_large`, `photo_unreadable`, `photo_heic`, `capture_busy`, `capture_nothing`.
    """
    subject.require("trace.read")
    if _room.locked():
        # a queue of pictures would hold up everybody; the caller tries again
        raise YaosuError("capture_busy")
    async with _room:
        picture, symbols = await asyncio.to_thread(_work, content)
    if not symbols:
        raise YaosuError("capture_nothing")
    return Capture(picture.width, picture.height, classify(registry, symbols), picture)


def _work(content: bytes) -> tuple[Image.Image, list[Symbol]]:
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        raise YaosuError("photo_heic")
    picture, _ = opened(content, BYTES_MAX)
    plain = picture
    if "A" in picture.getbands():
        # nothing behind a label is paper
        plain = Image.new("RGB", picture.size, "white")
        plain.paste(picture, mask=picture.getchannel("A"))
    return plain.convert("RGB"), decode(plain)


def classify(registry: Registry, symbols: Sequence[Symbol]) -> list[Read]:
    """What each symbol is; the same parser as for every scan (D7)."""
    reads, seen = [], set()
    for n, symbol in enumerate(symbols, 1):
        found = parse(symbol.text, registry.customs)
        if isinstance(found, NotACode):
            linked = registry.linked(symbol.text)
            kind = "retail" if linked or found.code == "code_is_retail_barcode" else "other"
            one = Read(n, symbol, kind, drug_ids=linked, finding=Finding(found.code, found.params))
        else:
            resolved = registry.resolve(found)
            kind = "logistics" if found.scheme.value == "sscc" else "trace"
            drugs = (resolved.drug_id,) if resolved.drug_id is not None else ()
            one = Read(n, symbol, kind, found.text, found.scheme.value, drugs)
            one.repeat = found.text in seen
            seen.add(found.text)
        reads.append(one)
    return reads


async def explain(
    conn: Connection, registry: Registry, subject: Subject, found: Capture, lang: str
) -> Capture:
    """Add to each code what verifying it says (R-A5)."""
    verdicts = await verify_codes(conn, registry, subject, found.codes, lang)
    by_code = dict(zip(found.codes, verdicts, strict=True))
    for one in found.reads:
        one.verdict = by_code.get(one.code)
    return found


def as_json(registry: Registry, found: Capture, lang: str) -> dict[str, object]:
    """The answer of API and command line."""
    return {
        "width": found.width,
        "height": found.height,
        "codes": found.codes,
        "copies": [
            {
                "code": code,
                "symbols": numbers,
                **Finding("capture_code_copied", {"code": code, "places": len(numbers)}).as_json(lang),
            }
            for code, numbers in found.copies.items()
        ],
        "symbols": [_read_json(registry, one, lang) for one in found.reads],
    }


def _read_json(registry: Registry, one: Read, lang: str) -> dict[str, object]:
    products = [registry.product(d) for d in one.drug_ids]
    return {
        "n": one.n,
        "kind": one.kind,
        "raw": one.symbol.text,
        "symbology": one.symbol.format,
        "corners": [[round(x), round(y)] for x, y in one.symbol.corners],
        "code": one.code or None,
        "scheme": one.scheme or None,
        "repeat": one.repeat,
        "products": [{"drug_id": p.id, "name": p.generic_name} for p in products if p is not None],
        "message": one.finding.text(lang) if one.finding is not None else None,
        "verdict": one.verdict,
    }


def marked(found: Capture) -> bytes:
    """The picture as JPEG with every symbol framed and numbered: green trace codes, amber other barcodes, grey
    repeats, red codes that stand at several places.

    Takes CPU: in a thread.
    """
    assert found.picture is not None
    picture = found.picture.copy()
    pen = ImageDraw.Draw(picture)
    width = max(3, round(max(picture.size) / 400))
    copied = {n for numbers in found.copies.values() for n in numbers}
    for one in found.reads:
        colour = RED if one.n in copied else GREY if one.repeat else GREEN if one.code else AMBER
        corners = list(one.symbol.corners)
        pen.line([*corners, corners[0]], fill=colour, width=width, joint="curve")
        x, y = min(corners, key=lambda c: c[0] + c[1])
        box = pen.textbbox((x, y), str(one.n), font_size=width * 8, anchor="lb")
        pen.rectangle((box[0] - width, box[1] - width, box[2] + width, box[3] + width), fill=colour)
        pen.text((x, y), str(one.n), fill="white", font_size=width * 8, anchor="lb")
    picture.thumbnail((SHOWN_EDGE, SHOWN_EDGE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=82)
    return out.getvalue()
