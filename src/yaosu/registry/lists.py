"""Code lists: every list of the field as versioned data with a source, region and validity (D11).

The delivered lists are `registry/lists/*.yaml`; the operator's own versions of single items lie over them
(`CodeLists.over`). A file has a head (`list`, `zh`, `en`, `source`, `version`) and `items`; an item has
`code`, `zh`, `en` and may have `source`, `region`, `valid_from`, `valid_to`; further keys are columns of the list.
Loading refuses a list with a doubled item, a wrong date or a missing source: a defect of the package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from yaosu import yamls
from yaosu.registry.model import Item

_KNOWN = {"code", "zh", "en", "source", "region", "valid_from", "valid_to"}
START = date(1949, 10, 1)
"""Validity of items that were always so."""


class ListError(ValueError):
    """A delivered list is not well-formed; the text names file and item."""


@dataclass(frozen=True, slots=True)
class CodeList:
    """One list: its titles and all items of all regions and times."""

    name: str
    zh: str
    en: str
    source: str
    version: int
    items: tuple[Item, ...]


class CodeLists:
    """All lists. `get` and `item` choose what is valid at a date in a region; the closest region wins."""

    def __init__(self, lists: Mapping[str, CodeList]) -> None:
        self._lists = dict(lists)
        self._by_code: dict[str, dict[str, list[Item]]] = {}
        for name, one in self._lists.items():
            codes: dict[str, list[Item]] = {}
            for item in one.items:
                codes.setdefault(item.code, []).append(item)
            for same in codes.values():
                # the most specific region first, then what began last
                same.sort(key=lambda i: (len(i.region), i.valid_from), reverse=True)
            self._by_code[name] = codes

    def names(self) -> list[str]:
        """Names of all lists, sorted."""
        return sorted(self._lists)

    def whole(self, name: str) -> CodeList:
        """The whole list; KeyError for a name that is none."""
        return self._lists[name]

    def item(self, name: str, code: str | int, at: date | None = None, region: str = "") -> Item | None:
        """The entry `code` of list `name` valid at `at` (today) in `region` (GB/T 2260), or None."""
        day = at or date.today()  # noqa: DTZ011 — lists are valid by calendar day where the server runs
        for item in self._by_code[name].get(str(code), ()):
            if _holds(item, day, region):
                return item
        return None

    def get(self, name: str, at: date | None = None, region: str = "") -> list[Item]:
        """The entries of list `name` valid at `at` (today) in `region`, one per code, in the list's order."""
        found = (self.item(name, code, at, region) for code in self._by_code[name])
        return [item for item in found if item is not None]

    def text(self, name: str, code: str | int | None, lang: str = "zh") -> str:
        """The label of an entry whatever its validity, for display; the code itself when there is none."""
        if code is None:
            return ""
        found = self._by_code[name].get(str(code))
        if not found:
            return str(code)
        return found[0].zh if lang == "zh" else found[0].en

    def over(self, changed: Iterable[tuple[str, Item]]) -> CodeLists:
        """These lists with the operator's items over them; same code, region and start replace."""
        fresh: dict[str, dict[tuple[str, str, date], Item]] = {}
        for name, item in changed:
            if name in self._lists:
                fresh.setdefault(name, {})[item.code, item.region, item.valid_from] = item
        if not fresh:
            return self
        made = dict(self._lists)
        for name, items in fresh.items():
            old = self._lists[name]
            merged = {(i.code, i.region, i.valid_from): i for i in old.items} | items
            made[name] = CodeList(old.name, old.zh, old.en, old.source, old.version, tuple(merged.values()))
        return CodeLists(made)


def _holds(item: Item, day: date, region: str) -> bool:
    return (
        region.startswith(item.region)
        and item.valid_from <= day
        and (item.valid_to is None or day <= item.valid_to)
    )


def _day(value: object, where: str, otherwise: date | None) -> date | None:
    if value is None:
        return otherwise
    if not isinstance(value, date):
        raise ListError(f"{where}: {value!r} is not a date")
    return value


def parse(text: str, where: str) -> CodeList:
    """The list in a YAML text. Raises ListError naming `where` and the item that is wrong."""
    head: dict[str, Any] = yamls.read(text)
    for key in ("list", "zh", "en", "source", "version", "items"):
        if not head.get(key):
            raise ListError(f"{where}: the head lacks {key}")
    items: list[Item] = []
    seen: set[tuple[str, str, date]] = set()
    for number, row in enumerate(head["items"], 1):
        at = f"{where} item {number} ({row.get('code')!r})"
        if not isinstance(row.get("code"), str) or not row["code"]:
            raise ListError(f"{at}: code must be text")
        if not row.get("zh") or not row.get("en"):
            raise ListError(f"{at}: both names are needed")
        begin = _day(row.get("valid_from"), at, START)
        end = _day(row.get("valid_to"), at, None)
        assert begin is not None
        if end is not None and end < begin:
            raise ListError(f"{at}: ends before it begins")
        region = row.get("region", "")
        if not isinstance(region, str) or not (
            region == "" or (region.isdigit() and len(region) in (2, 4, 6))
        ):
            raise ListError(f"{at}: region must be 2, 4 or 6 digits in quotes")
        identity = (row["code"], region, begin)
        if identity in seen:
            raise ListError(f"{at}: stands twice")
        seen.add(identity)
        attrs = {k: v for k, v in row.items() if k not in _KNOWN}
        source = row.get("source", head["source"])
        items.append(Item(row["code"], row["zh"], row["en"], source, region, begin, end, attrs))
    return CodeList(head["list"], head["zh"], head["en"], head["source"], head["version"], tuple(items))


@cache
def delivered() -> CodeLists:
    """The lists of the package, read once."""
    found: dict[str, CodeList] = {}
    for entry in (resources.files("yaosu.registry") / "lists").iterdir():
        if entry.name.endswith(".yaml"):
            one = parse(entry.read_text("utf-8"), entry.name)
            if one.name in found:
                raise ListError(f"{entry.name}: list {one.name!r} stands in two files")
            found[one.name] = one
    return CodeLists(found)


def get(name: str, at: date | None = None, region: str = "") -> list[Item]:
    """`CodeLists.get` on the delivered lists, for places without a registry at hand."""
    return delivered().get(name, at, region)


def is_region(code: str) -> bool:
    """Whether `code` is a GB/T 2260 code we can place: six digits whose first four (or two, 00) are known.

    County codes change every year; an unknown county in a known city is accepted.
    """
    if len(code) != 6 or not code.isdigit():
        return False
    lists = delivered()
    if code.endswith("0000"):
        return lists.item("region", code) is not None
    return lists.item("region", code[:4] + "00") is not None


def region_path(code: str, lang: str = "zh") -> str:
    """Province, city and county of a GB/T 2260 code as far as known, e.g. 山东省 济南市."""
    lists = delivered()
    parts = []
    for key in dict.fromkeys((code[:2] + "0000", code[:4] + "00", code)):
        item = lists.item("region", key)
        if item is not None and not item.attrs.get("hidden"):
            parts.append(item.zh if lang == "zh" else item.en)
    return " ".join(parts)
