"""Who and what there is in the demo province: organisations and products read from `demo/*.yaml`, numbers computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

from yaosu import yamls
from yaosu.codes.identifiers.checksums import mod10_digit
from yaosu.codes.identifiers.uscc import organisation_check_character, uscc_check_character

ORGANISATION_BASE = 99_000_000
"""Organisation numbers from here on are given to nobody."""

NAMED_BUYERS = frozenset({"ephedrine", "narcotic"})
"""Product flags whose sale rules demand a person: such goods leave the ordinary trade only in scenes."""


@dataclass(frozen=True, slots=True)
class DemoOrg:
    """An organisation of the province and its demo account."""

    key: str
    uscc: str
    name: str
    short: str
    type: int
    sub_type: int | None
    region: str
    address: str
    parent: str
    login: str
    role: str
    role_zh: str
    role_en: str
    try_zh: str
    try_en: str


@dataclass(frozen=True, slots=True)
class Staff:
    """A further demo account of an organisation: what takes two people is done by two."""

    login: str
    org: str
    name: str
    role: str
    role_zh: str
    role_en: str
    try_zh: str
    try_en: str


@dataclass(frozen=True, slots=True)
class Lot:
    """A batch that is made: `day` days before today `boxes` smallest packages are activated."""

    day: int
    boxes: int
    batch: str = ""
    """Batch number; empty: made from the day of production."""
    made: date | None = None
    expires: date | None = None
    expired_days: int = 0
    """The batch ended so many days ago; 0: dates follow from `day`."""
    stay: bool = False
    """Activated but not yet taken into stock."""


@dataclass(frozen=True, slots=True)
class DemoLevel:
    """A package level: name, how many of the next smaller one it holds, its 药品标识码 or GTIN."""

    name: str
    contains: int
    identifier: str


@dataclass(frozen=True, slots=True)
class DemoProduct:
    """A product with its batches and the demand for it."""

    key: str
    maker: str
    codes: str
    """own, printed or gs1."""
    fields: Mapping[str, Any]
    """As the API takes them, without parties, ladder and links."""
    links: Mapping[str, str]
    levels: tuple[DemoLevel, ...]
    lots: tuple[Lot, ...]
    weight: Mapping[str, int]
    """Demand at a `store` and at a `hospital`."""
    case: int
    """The package level that is traded by the case."""
    use: int
    """Bill type of use in hospitals: 323, or 322 for vaccines."""

    @property
    def name(self) -> str:
        """Generic name."""
        return str(self.fields["generic_name"])

    @property
    def named_buyers(self) -> bool:
        """Whether it only goes to somebody who shows a document: ephedrine compounds, narcotics (R-C2, R-C4)."""
        return not NAMED_BUYERS.isdisjoint(self.fields.get("flags", ()))

    @property
    def scheme(self) -> str:
        """Code family of all its levels."""
        return "gs1" if self.codes == "gs1" else "cn20"

    @property
    def units_per(self) -> tuple[int, ...]:
        """Smallest packages in a full package of each level."""
        out, held = [], 1
        for level in self.levels:
            held *= level.contains
            out.append(held)
        return tuple(out)


@dataclass(frozen=True, slots=True)
class Cast:
    """The whole province before anything happens."""

    orgs: Mapping[str, DemoOrg]
    products: Mapping[str, DemoProduct]
    calendar: Mapping[str, Any] = field(default_factory=dict)
    staff: tuple[Staff, ...] = ()


def _table(name: str) -> Any:
    return yamls.read((resources.files("yaosu.simulate") / "demo" / f"{name}.yaml").read_text("utf-8"))


def made_up_uscc(number: int, region: str, organ: str = "91") -> str:
    """A 统一社会信用代码 with right check characters over an organisation number given to nobody."""
    organisation = f"{ORGANISATION_BASE + number:08d}"
    body = organ + region + organisation + organisation_check_character(organisation)
    return body + uscc_check_character(body)


def with_check_digit(digits: str, length: int) -> str:
    """`digits` with the GS1 check digit added, unless it is there already."""
    return digits if len(digits) == length else digits + str(mod10_digit(digits))


def org_of(row: dict[str, Any]) -> DemoOrg:
    """An organisation as a row of a data file describes it."""
    # 12 … public institutions, 11 … government, 91 … companies
    organ = {3: "12", 110: "11"}.get(row["type"], "91")
    values = {k: row[k] for k in ("key", "name", "short", "type", "region", "address", "login", "role")}
    texts = {k: row[k] for k in ("role_zh", "role_en", "try_zh", "try_en")}
    return DemoOrg(
        uscc=made_up_uscc(row["number"], row["region"], organ),
        sub_type=row.get("sub_type"),
        parent=row.get("parent", ""),
        **values,
        **texts,
    )


_PLAN_ONLY = ("key", "maker", "codes", "links", "levels", "lots", "store", "hospital", "use", "case")


def product_of(row: dict[str, Any]) -> DemoProduct:
    """A product as a row of a data file describes it."""
    bar = row["links"]["retail_barcode"]
    levels = []
    for name, contains, identifier in row["levels"]:
        text = with_check_digit(f"{identifier}{bar[:12]}", 14) if row["codes"] == "gs1" else identifier
        levels.append(DemoLevel(name, contains, text))
    links = dict(row["links"])
    links["retail_barcode"] = with_check_digit(bar, 13)
    links["bwm"] = with_check_digit(links["bwm"], 14)
    fields = {k: v for k, v in row.items() if k not in _PLAN_ONLY}
    fields.setdefault("shelf_life_unit", 2)
    return DemoProduct(
        key=row["key"],
        maker=row["maker"],
        codes=row["codes"],
        fields=fields,
        links=links,
        levels=tuple(levels),
        lots=tuple(Lot(**lot) for lot in row["lots"]),
        weight={"store": row["store"], "hospital": row["hospital"]},
        case=row.get("case", len(levels)),
        use=row.get("use", 323),
    )


@cache
def cast() -> Cast:
    """The province as its data files describe it."""
    table = _table("orgs")
    orgs = [org_of(row) for row in table["orgs"]]
    staff = tuple(Staff(**row) for row in table["staff"])
    products = [product_of(row) for row in _table("products")["products"]]
    return Cast({o.key: o for o in orgs}, {p.key: p for p in products}, _table("calendar"), staff)
