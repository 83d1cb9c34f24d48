"""Commissioning: lot and dates out of `ilmd`, and commissioned packages as rows of a relation file (R-A5).

A package above the smallest is activated with what is inside it, so the packing events of the same document that tell
its content are taken together with its commissioning; one whose content comes in a later document waits until then.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from yaosu.codes import NotACode, parse
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis.fields import Item, local_values
from yaosu.exchange.epcis.identifiers import to_code
from yaosu.exchange.epcis.model import Problem
from yaosu.exchange.epcis.parties import inner_of
from yaosu.exchange.epcis.vocabulary import YAOSU
from yaosu.registry.resolver import Registry

_SPACES = frozenset(
    [
        "urn:epcglobal:cbv:mda",
        "https://ref.gs1.org/cbv",
        "https://gs1.org/voc",
        "https://www.gs1.org/voc",
        "http://gs1.org/voc",
        "https://ns.gs1.org/cbv",
        YAOSU.rstrip("#"),
    ]
)
_NAMES = {
    "lot": ("lotNumber", "hasBatchLotNumber", "batchLotNumber", "batch", "lot"),
    "expires": ("itemExpirationDate", "expirationDate", "lotExpirationDate", "expiryDate", "bestBeforeDate"),
    "made": ("productionDate", "manufacturingDate", "dateOfManufacture", "productionDateTime"),
}
_WORDS = {
    "lot": "ilmd/cbvmda:lotNumber",
    "expires": "ilmd/cbvmda:itemExpirationDate",
    "made": "ilmd/yaosu:productionDate",
}


@dataclass(frozen=True, slots=True)
class Lot:
    """Batch and dates that an event of commissioning states."""

    batch_no: str
    made_on: date | None
    expires_on: date | None
    wrong: tuple[Finding, ...] = ()


def read_date(text: str) -> date | None:
    """A date as ISO, as `YYMMDD` or `YYYYMMDD` (day 00 the last of the month); time and zone are cut off."""
    text = text.strip()
    found = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)(?:T.*|Z|[+-]\d\d:\d\d)?", text)
    if found is None and re.fullmatch(r"\d{8}", text):
        found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", text)
    if found is None and re.fullmatch(r"\d{6}", text):
        found = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", "20" + text)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    try:
        if day == 0:
            return (date(year, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        return date(year, month, day)
    except ValueError:
        return None


def lot_of(item: Item) -> Lot:
    """What `ilmd` says of the batch, under the names of CBV, of the GS1 vocabulary, or ours."""
    values = {
        name: value
        for (space, name), value in local_values(item.body.get("ilmd") or {}, item.prefixes).items()
        if space in _SPACES
    }
    found: dict[str, Any] = {}
    wrong = []
    for key, names in _NAMES.items():
        given = next((values[n] for n in names if n in values), None)
        if isinstance(given, dict):
            given = given.get("#text", given.get("@value"))
        if given in (None, ""):
            wrong.append(Finding("epcis_lot_missing", {"field": _WORDS[key].partition(":")[2]}, _WORDS[key]))
        elif key == "lot":
            found[key] = str(given).strip()
        else:
            found[key] = read_date(str(given))
            if found[key] is None:
                wrong.append(Finding("epcis_lot_date", {"given": str(given)[:40]}, _WORDS[key]))
    return Lot(found.get("lot", ""), found.get("made"), found.get("expires"), tuple(wrong))


class Rows:
    """Rows of a relation file, with the event that each comes from."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.lot: dict[str, Lot] = {}
        """Commissioned code → its batch, in order."""
        self.level: dict[str, int] = {}
        self.full: dict[str, int] = {}
        """Of a package above the smallest, how many a full one holds."""
        self.origin: dict[str, tuple[Item, int]] = {}
        self.parent: dict[str, str] = {}
        self.held: dict[str, int] = {}
        self.wrong: list[Problem] = []
        self._order: list[str] = []

    def commissioned(self, item: Item, lot: Lot, codes: Sequence[str]) -> None:
        """Take one event of commissioning."""
        mine = 0
        for n, code in enumerate(codes):
            where = f"{item.path}/epcList/{n}"
            if code.startswith("(00)"):
                continue
            if code.startswith("(01)"):
                # checked when the identifier was read; a thousand of them are not parsed once more
                text, prefix = code, code[4:18]
            else:
                read = parse(code, self._registry.customs)
                if isinstance(read, NotACode):
                    self.wrong.append(Problem(where, Finding(read.code, read.params)))
                    continue
                text, prefix = read.text, read.prefix
            found = self._registry.resolve_prefix(prefix)
            product = self._registry.product(found.drug_id) if found.drug_id is not None else None
            if product is None or found.level is None:
                shown = Finding("epcis_level_unknown", {"given": str(item.body["epcList"][n])[:100]})
                self.wrong.append(Problem(where, shown))
                continue
            mine += 1
            step = product.level(found.level)
            self.lot[text], self.level[text] = lot, found.level
            self.full[text] = step.contains if step is not None and found.level > 1 else 0
            self.origin.setdefault(text, (item, n))
        if mine:
            self.wrong += [Problem(f"{item.path}/{f.where}", f) for f in lot.wrong]

    def packed(self, item: Item) -> bool:
        """Take an event of packing, when all it names is commissioned here and nothing stands against it."""
        if item.body.get("action") != "ADD":
            return False
        parent = to_code(inner_of(str(item.body.get("parentID", ""))))
        children = [to_code(e) for e in item.epcs("childEPCs")]
        if (
            parent not in self.lot
            or not children
            or any(c not in self.lot or c in self.parent for c in children)
        ):
            return False
        for child in children:
            assert child is not None and parent is not None
            self.parent[child] = parent
        self.held[parent] = self.held.get(parent, 0) + len(children)
        return True

    def waiting(self) -> list[Item]:
        """Leave out packages above the smallest that hold nothing yet; the events that commissioned them."""
        empty = [c for c, level in self.level.items() if level > 1 and not self.held.get(c)]
        items = {id(self.origin[c][0]): self.origin[c][0] for c in empty}
        for code in empty:
            del self.lot[code], self.level[code]
            above = self.parent.pop(code, None)
            if above is not None:
                self.held[above] -= 1
        return list(items.values())

    def items(self) -> list[Item]:
        """The events of which something is activated."""
        return list({id(self.origin[c][0]): self.origin[c][0] for c in self.lot}.values())

    def write(self, path: Path) -> None:
        """The file, a row per code, batch by batch."""
        self._order = sorted(self.lot, key=lambda c: (self.lot[c].batch_no, str(self.lot[c].made_on)))
        with path.open("w", encoding="utf-8", newline="") as out:
            rows = csv.writer(out, lineterminator="\n")
            rows.writerow(("code", "level", "parent", "flag", "batch_no", "made_on", "expires_on"))
            for code in self._order:
                lot = self.lot[code]
                flag = "" if not self.full[code] else "0" if self.held[code] == self.full[code] else "2"
                rows.writerow(
                    (
                        code,
                        self.level[code],
                        self.parent.get(code, ""),
                        flag,
                        lot.batch_no,
                        lot.made_on,
                        lot.expires_on,
                    )
                )

    def problems(self, item: Item, error: YaosuError) -> list[Problem]:
        """What activation refused, at the identifiers of the events."""
        made = []
        for one in error.findings or (Finding(error.code, error.params),):
            line = re.fullmatch(r"line (\d+)", one.where)
            n = int(line[1]) - 2 if line else -1
            if 0 <= n < len(self._order):
                origin, place = self.origin[self._order[n]]
                made.append(Problem(f"{origin.path}/epcList/{place}", one))
            else:
                made.append(Problem(item.path, one))
        return made
