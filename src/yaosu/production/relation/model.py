"""Values of a relation file. Codes are columns of 64-bit keys (see `keys`), so ten million fit in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from yaosu.production.relation.findings import Findings
from yaosu.production.relation.keys import KeySpace

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]
U8 = npt.NDArray[np.uint8]

FLAG_FULL, FLAG_PARTIAL, FLAG_NONE = 0, 2, 255
"""`flag` of a package: 0 full, 2 not full (零箱), 255 not given."""
LAYER_NONE = 0
"""`packLayer` not given or unreadable; reported where it was read."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost. Defaults hold the whole pipeline under 1 GB resident."""

    file_bytes: int = 2 << 30
    """Size as received."""
    text_bytes: int = 2 << 30
    """Size after decompression."""
    ratio: int = 200
    """Decompressed over compressed bytes, looked at after the first 16 MB."""
    codes: int = 8_000_000
    """Codes in one file."""
    texts: int = 2_000_000
    """Of them, codes that are not 20 digits (they are kept as text)."""
    parts: int = 2_000
    """Batch elements in one file."""
    prefixes: int = 4_000
    """Different 药品标识码 in one file."""
    depth: int = 12
    """Nesting of XML elements."""
    attributes: int = 40
    """Attributes of one XML element."""
    value_chars: int = 1_000
    """Characters of one value."""
    json_bytes: int = 48 << 20
    """Size of a JSON file; larger ones come as XML or CSV, which are streamed."""


@dataclass(slots=True)
class RelationHead:
    """One `Relation` element: the product as the production line names it."""

    product_code: str = ""
    """`productCode`: the product's code, not a prefix of its trace codes."""
    sub_type_no: str = ""
    cascade: str = ""
    """包装比例 as registered, cumulative from the top, for example 1:5:2500."""
    package_spec: str = ""
    comment: str = ""
    line: int = 0


@dataclass(slots=True)
class BatchPart:
    """One `Batch` element: a run of codes (`start` … `end`, exclusive) of one production batch."""

    head: RelationHead
    batch_no: str = ""
    """生产批号."""
    made_text: str = ""
    expires_text: str = ""
    made_on: date | None = None
    """生产日期; None when missing or unreadable, which is a finding."""
    expires_on: date | None = None
    """有效期至; a month without day means its last day."""
    workshop: str = ""
    line_name: str = ""
    line_manager: str = ""
    line: int = 0
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Logistics:
    """A logistics unit (SSCC) that the file puts packages into."""

    label: str
    codes: list[str]
    """Packages and other logistics units directly in it."""
    where: str
    """Where the file tells it first."""


@dataclass(slots=True)
class RelationFile:
    """A relation file as read. The five columns have one entry per readable code, in the order of the file."""

    format: str
    """xml, json or csv."""
    encoding: str
    sha256: bytes
    """Of the bytes as received."""
    size: int
    """Bytes as received."""
    place: str
    """What `line` counts: "line" of the text, or "item" of a JSON list."""
    parts: list[BatchPart]
    key: U64
    parent: U64
    layer: U8
    flag: U8
    line: U32
    space: KeySpace
    problems: Findings = field(default_factory=Findings)
    """What could not be read; any makes the file unusable for activation."""
    logistics: list[Logistics] = field(default_factory=list)
    """Pallets and cartons around the packages, the innermost first; they stand in no column (see `logistics`)."""
    notes: Findings = field(default_factory=Findings)
    """What was repaired or ignored; none of it stops anything."""

    def __len__(self) -> int:
        return len(self.key)

    def where(self, index: int) -> str:
        """The place of a code, for a finding."""
        return f"{self.place} {int(self.line[index])}"

    def text(self, index: int) -> str:
        """The canonical code at an index."""
        return self.space.text(int(self.key[index]))
