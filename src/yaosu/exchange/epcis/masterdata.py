"""Master data of a capture document: who a GLN is, what lies below a place, and the sender's own products (R-A1, R-A2).

Everything is kept as the sender's word. Beyond that, a class whose attributes describe a product of the sender's own
files its prefix and registers or updates the product, through the registry's services and with the sender's rights
(`product.write`); a location or party that names its 统一社会信用代码 says whose GLN it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.identifiers import GS1, to_goods
from yaosu.exchange.epcis.lots import read_date
from yaosu.exchange.epcis.model import Entry, Problem
from yaosu.exchange.epcis.parties import gln_key, inner_of, put_party
from yaosu.registry import service
from yaosu.registry.drafts import FilingDraft, LevelDraft, ProductDraft
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry, load_registry
from yaosu.registry.service_products import draft_of
from yaosu.subject import Subject

ENTRIES_MAX = 10_000
VTYPE = "urn:epcglobal:epcis:vtype:"
PLACES = frozenset(
    VTYPE + name for name in ("BusinessLocation", "ReadPoint", "Location", "Party", "SourceDest")
)
CLASS = VTYPE + "EPCClass"
_CBV = (
    "urn:epcglobal:cbv:mda#",
    "urn:epcglobal:cbv:mda:",
    "https://gs1.org/voc/",
    "https://ref.gs1.org/cbv/",
)
_OURS = ("https://yaosu.org/ns/epcis#", "urn:yaosu:mda:", "urn:yaosu:mda#")
_TEXTS = {
    "generic_name": ("genericName", "regulatedProductName", "descriptionShort"),
    "english_name": ("englishName", "regulatedProductNameEnglish"),
    "trade_name": ("tradeName", "brandName", "functionalName"),
    "dosage_form": ("dosageForm", "dosageFormType"),
    "strength": ("strength", "strengthDescription"),
    "package_size": ("packageSize", "netContentDescription"),
    "prep_unit": ("prepUnit",),
    "registration_class": ("registrationClass",),
    "prescription": ("prescription",),
    "approval_no": ("approvalNo",),
    "import_cert_no": ("importCertNo",),
    "import_permit_no": ("importPermitNo",),
    "expiry_rule": ("expiryRule",),
}
_NUMBERS = {"shelf_life": "shelfLife", "prep_units_per": "prepUnitsPer"}
_DATES = {
    "approval_expires": "approvalExpires",
    "import_cert_expires": "importCertExpires",
    "import_permit_expires": "importPermitExpires",
}
_NEEDED = ("generic_name", "dosage_form", "strength", "package_size", "shelf_life", "registration_class")
_UNITS = {"D": 1, "DAY": 1, "1": 1, "M": 2, "MON": 2, "MONTH": 2, "2": 2, "Y": 3, "ANN": 3, "YEAR": 3, "3": 3}


@dataclass(slots=True)
class _Class:
    """A class of the document: one package level of a product."""

    entry: Entry
    inner: str
    prefix: str
    values: dict[str, str]

    @property
    def inside(self) -> str:
        """The class that one of this holds, in inner form; empty at the smallest package."""
        return inner_of(self.values["containedClass"]) if "containedClass" in self.values else ""


def _local(entry: Entry) -> dict[str, str]:
    """Attributes under their local names; ours win over those of the standard."""
    found: dict[str, str] = {}
    for spaces in (_CBV, _OURS):
        for name, value in entry.attributes:
            for space in spaces:
                if name.startswith(space):
                    found[name[len(space) :]] = value.strip()
    return found


def instance(entry: Entry, name: str = "") -> str:
    """The place of an entry in the document."""
    return f"/epcisHeader/epcisMasterData/{entry.kind.rpartition(':')[2]}/{entry.id}" + (
        f"/{name}" if name else ""
    )


class MasterData:
    """Takes in the master data of one document."""

    def __init__(self, conn: Connection, subject: Subject, registry: Registry) -> None:
        self.conn, self.subject, self.registry = conn, subject, registry
        self.problems: list[Problem] = []
        self.changed = False
        """Whether products or filings were written, so that the registry must be read anew."""

    async def take(self, entries: Sequence[Entry]) -> None:
        """Keep all entries and act on those that say something of ours; what is refused goes into `problems`."""
        if len(entries) > ENTRIES_MAX:
            raise YaosuError("epcis_too_many_epcs", {"count": len(entries), "limit": ENTRIES_MAX})
        classes = []
        for entry in entries:
            inner = inner_of(entry.id)
            try:
                async with self.conn.transaction():
                    await self.conn.execute(
                        store.PUT_ENTRY,
                        *(self.subject.org, entry.kind, inner[:500], dict(entry.attributes)),
                        [inner_of(c) for c in entry.children],
                    )
                    if entry.kind in PLACES:
                        await self._place(entry, inner)
            except YaosuError as error:
                self._say(entry, error)
                continue
            goods = to_goods(inner) if entry.kind == CLASS else None
            if goods is not None and not goods.batch_no:
                classes.append(_Class(entry, inner, goods.prefix, _local(entry)))
        await self._products(classes)
        if self.changed:
            self.registry = await load_registry(self.conn)

    def _say(self, entry: Entry, error: YaosuError) -> None:
        for one in error.findings or (Finding(error.code, error.params),):
            shown = Finding(
                "epcis_master_refused",
                {"id": entry.id[:100], "reason": one.text(self.subject.lang)},
                one.where,
            )
            self.problems.append(Problem(instance(entry, one.where), shown))

    async def _place(self, entry: Entry, inner: str) -> None:
        """A GLN with the identity of an organisation of ours says whose it is."""
        if not gln_key(inner):
            return
        values = _local(entry)
        uscc = values.get("uscc", values.get("unifiedSocialCreditCode", "")).upper()
        card = self.registry.org_by_uscc(uscc) if uscc else None
        if uscc and card is None:
            raise YaosuError("epcis_party_unknown", {"field": "uscc", "given": uscc[:40]})
        party = card.id if card is not None else None
        if party is None and values.get("self", "").lower() in ("true", "1"):
            party = self.subject.org
        if party is not None:
            await put_party(self.conn, self.subject, self.registry, inner, party)

    # -- products ------------------------------------------------------------------------------------------

    async def _products(self, classes: Sequence[_Class]) -> None:
        by_inner = {c.inner: c for c in classes}
        above = {c.inside: c for c in classes if c.inside}
        for one in classes:
            if one.inside in by_inner:
                continue  # an outer package; its product is told at the smallest one
            ladder, top = [one], one
            while top.inner in above and len(ladder) < 9:
                top = above[top.inner]
                ladder.append(top)
            known = self.registry.resolve_prefix(one.prefix)
            try:
                async with self.conn.transaction():
                    if known.kind == "unknown":
                        await self._register(ladder)
                    elif known.drug_id is not None:
                        await self._update(known.drug_id, one)
            except YaosuError as error:
                self._say(one.entry, error)

    async def _register(self, ladder: Sequence[_Class]) -> None:
        """File the prefixes and register the product; nothing happens for a class without any product data."""
        values = ladder[0].values
        if not {"shelfLife", "dosageForm", "dosageFormType", "registrationClass"} & set(values):
            return
        mah = self._holder(values, "mah")
        fields = self._fields(values)
        missing = [name for name in _NEEDED if name not in fields]
        if missing:
            found = [Finding("epcis_master_field", {"field": name}, name) for name in missing]
            raise YaosuError("invalid_request", {"count": len(found)}, found)
        levels = []
        scheme = "gs1" if ladder[0].inner.startswith(GS1) else "cn20"
        for number, one in enumerate(ladder, 1):
            contains = int(one.values["contains"]) if one.values.get("contains", "").isdigit() else 0
            if number > 1 and contains < 1:
                wrong = [Finding("epcis_master_field", {"field": "contains"}, "contains")]
                raise YaosuError("invalid_request", {"count": 1}, wrong)
            levels.append(
                LevelDraft(number, contains or 1, one.prefix, scheme, one.values.get("levelName", ""))
            )
        draft = ProductDraft(
            **fields,
            shelf_life_unit=_UNITS.get(values.get("shelfLifeUnit", "M").upper(), 2),
            mah_id=mah,
            manufacturer_id=self._holder(values, "manufacturer", mah),
            levels=tuple(levels),
            flags=frozenset(filter(None, values.get("flags", "").replace(",", " ").split())),
        )
        own = next((s.id for s in self.registry.systems if s.own), 1)
        filing = FilingDraft(
            org_id=mah,
            scheme=scheme,
            rule_text=values.get("codeRule", "GS1 GTIN + serial number; filed by EPCIS master data"),
            filed_on=datetime.now(UTC).date(),
            prefixes=tuple(level.identifier for level in levels),
            system_id=own,
        )
        await service.file_rule(self.conn, self.subject, filing)
        await service.create_product(self.conn, self.subject, draft)
        self.changed = True

    def _holder(self, values: dict[str, str], name: str, otherwise: int | None = None) -> int:
        """MAH or manufacturer named by 统一社会信用代码; else the sender."""
        uscc = values.get(f"{name}Uscc", "").upper()
        if not uscc:
            return otherwise if otherwise is not None else self.subject.org
        card = self.registry.org_by_uscc(uscc)
        if card is None:
            raise YaosuError("epcis_party_unknown", {"field": f"{name}Uscc", "given": uscc[:40]})
        return card.id

    def _fields(self, values: dict[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field, names in _TEXTS.items():
            given = next((values[n] for n in names if values.get(n)), "")
            if given:
                found[field] = given[:400]
        for field, name in _NUMBERS.items():
            if values.get(name, "").isdigit():
                found[field] = int(values[name])
        for field, name in _DATES.items():
            day: date | None = read_date(values[name]) if name in values else None
            if day is not None:
                found[field] = day
        return found

    async def _update(self, drug_id: int, one: _Class) -> None:
        """Names and papers of an own product as the sender now says them; other products are left alone."""
        product: Product | None = self.registry.product(drug_id)
        if product is None or not product.owned_by(self.subject.org):
            return
        fields = self._fields(one.values)
        before = draft_of(product)
        changed = {k: v for k, v in fields.items() if getattr(before, k) != v and k in _UPDATED}
        if changed:
            await service.update_product(
                self.conn, self.subject, drug_id, replace(before, **changed), product.version
            )
            self.changed = True


_UPDATED = frozenset(
    [
        "english_name",
        "trade_name",
        "package_size",
        "approval_no",
        "import_cert_no",
        "import_permit_no",
        *_DATES,
    ]
)
"""What a later document may change; what a product is, its ladder and its shelf life are changed by people."""
