"""What files call the kinds of bills: names of scan bills, letters of terminals, numbers, Chinese names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib import resources

from yaosu import yamls
from yaosu.rules.bill_types import submittable

_NUMBER = re.compile(r"(?<![0-9])([0-9]{1,3})(?![0-9])")


@cache
def _rows() -> Mapping[int, Mapping[str, list[str]]]:
    text = (resources.files("yaosu.exchange.files") / "bill_names.yaml").read_text("utf-8")
    return {int(code): row for code, row in yamls.read(text)["types"].items()}


@cache
def _known() -> Mapping[str, int]:
    known: dict[str, int] = {}
    for code, kind in submittable().items():
        for name in (kind.zh, kind.en, str(code)):
            known.setdefault(_plain(name), code)
    for code, row in _rows().items():
        if code in submittable():
            for name in (*row.get("xml", ()), *row.get("also", ())):
                known[_plain(name)] = code
    return known


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in folded if unicodedata.category(c)[0] not in "ZC")


def type_of(text: str) -> int:
    """The bill type that a file means by `text`; 0 when it is none that may be submitted.

    `201`, `OA`, `SalesWareHouseOut`, `销售出库`, `201 销售出库` and `销售出库（201）` are all 201.
    """
    plain = _plain(text)
    if not plain:
        return 0
    found = _known().get(plain)
    if found is not None:
        return found
    for given in _NUMBER.findall(plain):
        number = int(given)
        words = plain.replace(given, "", 1).strip("()[]-_:./、")
        named = _known().get(words)
        # a number beside a name counts when the two agree, or the name is none we know
        if number in submittable() and (named == number or (named is None and not _NUMBER.search(words))):
            return number
    return 0


def xml_name(code: int) -> str:
    """The name of a bill type in a scan bill; the number where the field has none."""
    names = _rows().get(code, {}).get("xml", ())
    return names[0] if names else str(code)


def main_action(code: int) -> str:
    """`WareHouseIn` or `WareHouseOut`."""
    return "WareHouseIn" if submittable()[code].direction == "in" else "WareHouseOut"
