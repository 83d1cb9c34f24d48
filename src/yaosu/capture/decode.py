"""All barcodes in one picture, with where they are (R-I2).

Several looks at the same picture, because a shelf is not a till: as it is, in overlapping quarters enlarged (small
symbols of single boxes), turned (labels glued on askew: a line of a 1-D symbol has to run through all its bars), and
with another threshold (shadows).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, hypot, radians, sin

from PIL import Image, ImageOps

FORMATS = "Code128,DataMatrix,QRCode,EAN13,EAN8,UPCA,ITF,Code39,DataBar"
"""What stands on packages of medicine: trace codes (1-D and 2-D), retail barcodes, logistics labels."""
CODES_MAX = 500
"""Symbols taken from one picture."""
EDGE_MAX = 4000
"""Longest edge that is searched, in pixels."""
ANGLES = (15, 30, 45, 60, 75)
"""Turns, in degrees, after one of which a symbol lies at most 7.5° askew; the decoder looks along and across."""
APART = 0.75
"""How far apart, in lengths of the symbol, the same text is another label. Nearer is not told apart."""
TURNED_ENLARGED = 1.6
TURNED_EDGE_MAX = 2800
"""Longest edge that is turned: a turn of more pixels takes longer than all other looks."""
_GS1_PREFIX = {"]d": "]d2", "]C": "]C1", "]Q": "]Q3", "]e": "]e0"}
"""Symbology identifiers of GS1 content, whatever variant of the symbol carried it."""

THIN = 8
"""A reading of so much less area than the symbol it lies in is a line of it."""
_MATRIX = frozenset({"DataMatrix", "QRCode"})

Corner = tuple[float, float]
Corners = tuple[Corner, Corner, Corner, Corner]


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol as read. `text` begins with the symbology identifier (ISO/IEC 15424) where its content is GS1's, so
    that separators keep their meaning; `corners` are pixels of the picture, clockwise from its own upper left."""

    text: str
    format: str
    corners: Corners

    @property
    def middle(self) -> Corner:
        """Its middle."""
        return sum(c[0] for c in self.corners) / 4, sum(c[1] for c in self.corners) / 4

    @property
    def area(self) -> float:
        """Of its quadrilateral, in pixels."""
        (a, b), (c, d), (e, f), (g, h) = self.corners
        return abs((e - a) * (h - d) - (g - c) * (f - b)) / 2

    @property
    def size(self) -> float:
        """Its longer diagonal in pixels."""
        a, b, c, d = self.corners
        return max(hypot(a[0] - c[0], a[1] - c[1]), hypot(b[0] - d[0], b[1] - d[1]))


def decode(picture: Image.Image) -> list[Symbol]:
    """The symbols in `picture`, in reading order. Takes CPU (about 0.1 to 1 s for a telephone's photo): in a thread."""
    grey = picture.convert("L")
    scale = min(1.0, EDGE_MAX / max(grey.size))
    if scale < 1:
        grey = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.LANCZOS)
    # looks overlap and see the same label again; the same text far from there is another label
    found: dict[tuple[str, str], list[Symbol]] = {}
    count = 0
    for look in _looks(grey):
        for symbol in look:
            places = found.setdefault((symbol.text, symbol.format), [])
            if count < CODES_MAX and not any(_same_label(symbol, other) for other in places):
                places.append(symbol)
                count += 1
        if count >= CODES_MAX:
            break
    if not found:
        # bright on dark, as on some films and boxes
        for symbol in _read(ImageOps.invert(grey)):
            found.setdefault((symbol.text, symbol.format), [symbol])
    placed = [
        Symbol(s.text, s.format, _scaled(s.corners, 1 / scale)) for places in found.values() for s in places
    ]
    return _reading_order([one for one in placed if not any(_misread(one, other) for other in placed)])


def _same_label(one: Symbol, other: Symbol) -> bool:
    """Whether two readings of one text are of one label: no further apart than it is long. A part of a linear symbol
    may have been read, so the longer reading counts.
    """
    (x, y), (u, v) = one.middle, other.middle
    return hypot(x - u, y - v) < APART * max(one.size, other.size)


def _misread(one: Symbol, other: Symbol) -> bool:
    """Whether `one` is a single line read wrongly across the bars of `other`: a thin trace inside a linear symbol of
    the same kind that says something else. A single digit protects a retail barcode against it.
    """
    return (
        one.format == other.format
        and one.text != other.text
        and one.format not in _MATRIX
        and one.area * THIN < other.area
        and _inside(one.middle, other.corners)
    )


def _inside(point: Corner, corners: Corners) -> bool:
    """Whether a point lies in a convex quadrilateral, whichever way round its corners are."""
    x, y = point
    sides = [
        (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
        for a, b in zip(corners, (*corners[1:], corners[0]), strict=True)
    ]
    return all(s >= 0 for s in sides) or all(s <= 0 for s in sides)


def _looks(grey: Image.Image) -> Iterator[list[Symbol]]:
    yield _read(grey)
    yield from ([s for tile in _tiles(grey) for s in tile],)
    yield _read(grey, shadows=True)
    # turning blurs fine bars, so a small picture is enlarged for it
    scale = min(TURNED_ENLARGED, TURNED_EDGE_MAX / max(grey.size))
    other = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BICUBIC)
    for angle in ANGLES:
        yield [Symbol(s.text, s.format, _scaled(s.corners, 1 / scale)) for s in _turned(other, angle)]


def _read(grey: Image.Image, *, shadows: bool = False) -> list[Symbol]:
    # loaded where a picture is read: a process that reads none ends without the library's words about what it held
    import zxingcpp

    binarizer = zxingcpp.Binarizer.GlobalHistogram if shadows else zxingcpp.Binarizer.LocalAverage
    formats = zxingcpp.barcode_formats_from_str(FORMATS)
    symbols = []
    for one in zxingcpp.read_barcodes(
        grey, formats=formats, text_mode=zxingcpp.TextMode.Plain, binarizer=binarizer
    ):
        gs1 = one.content_type == zxingcpp.ContentType.GS1
        prefix = _GS1_PREFIX.get(one.symbology_identifier[:2], "") if gs1 else ""
        at = one.position
        corners = tuple(
            (float(p.x), float(p.y)) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
        )
        assert len(corners) == 4
        symbols.append(Symbol(prefix + one.text, str(one.format).replace(" ", ""), corners))
    return symbols


def _tiles(grey: Image.Image) -> Iterator[list[Symbol]]:
    """Overlapping quarters, enlarged."""
    width, height = grey.size
    for left in (0.0, 0.4):
        for top in (0.0, 0.4):
            box = tuple(
                round(v) for v in (left * width, top * height, (left + 0.6) * width, (top + 0.6) * height)
            )
            tile = grey.crop((box[0], box[1], box[2], box[3]))
            factor = 2.0 if max(tile.size) < 1800 else 1.3
            larger = tile.resize(
                (round(tile.width * factor), round(tile.height * factor)), Image.Resampling.BICUBIC
            )
            yield [
                Symbol(s.text, s.format, _moved(_scaled(s.corners, 1 / factor), box[0], box[1]))
                for s in _read(larger)
            ]


def _turned(grey: Image.Image, angle: int) -> list[Symbol]:
    turned = grey.rotate(angle, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    # back: about the middle of the turned picture, then from the middle of the upright one
    a, (cx, cy) = radians(angle), (turned.width / 2, turned.height / 2)

    def back(point: Corner) -> Corner:
        x, y = point[0] - cx, point[1] - cy
        return x * cos(a) - y * sin(a) + grey.width / 2, x * sin(a) + y * cos(a) + grey.height / 2

    return [
        Symbol(
            s.text,
            s.format,
            (back(s.corners[0]), back(s.corners[1]), back(s.corners[2]), back(s.corners[3])),
        )
        for s in _read(turned)
    ]


def _scaled(corners: Corners, by: float) -> Corners:
    a, b, c, d = ((x * by, y * by) for x, y in corners)
    return a, b, c, d


def _moved(corners: Corners, dx: float, dy: float) -> Corners:
    a, b, c, d = ((x + dx, y + dy) for x, y in corners)
    return a, b, c, d


def _reading_order(symbols: list[Symbol]) -> list[Symbol]:
    """Rows from above, each from the left; symbols whose middles differ by less than half a symbol share a row."""
    rows: list[list[Symbol]] = []
    for one in sorted(symbols, key=lambda s: s.middle[1]):
        if rows and abs(one.middle[1] - rows[-1][0].middle[1]) < 0.35 * max(one.size, rows[-1][0].size):
            rows[-1].append(one)
        else:
            rows.append([one])
    return [one for row in rows for one in sorted(row, key=lambda s: s.middle[0])]
