"""A delivery's rows completed when they are sent: catalogue numbers, firms, pharmacist, and the person (design §6).

What a delivery keeps are facts of the bill without personal data. Names, document numbers and the doctor are read at
the moment of sending, for this one request, with an audit record, and kept nowhere. Missing catalogue numbers are a
finding that says what to do; once they are entered, the same delivery goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yaosu.db.engine import Connection
from yaosu.errors import Finding
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.yibao import store
from yaosu.exchange.yibao.settings import text
from yaosu.insurance.fields import check_row, tables, transaction
from yaosu.insurance.profiles import Profile
from yaosu.people.keeper import Keeper
from yaosu.people.model import Open
from yaosu.people.service import for_delivery
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry

CERT_TYPES = "yibao_cert_type"


@dataclass(frozen=True, slots=True, repr=False)
class Context:
    """What completes the rows of one delivery. Never printed: it may hold a person."""

    registry: Registry
    link: Link
    profile: Profile
    mapped: Mapping[int, tuple[str, Mapping[str, Any]]]
    header: Mapping[str, Any] = field(default_factory=dict)
    licences: Mapping[int, str] = field(default_factory=dict)
    person: Open | None = None

    def __repr__(self) -> str:
        return "Context(…)"

    def head(self, name: str) -> str:
        """A header field of the bill as text."""
        value = self.header.get(name)
        return "" if value is None else str(value).strip()


async def context(
    conn: Connection,
    registry: Registry,
    keeper: Keeper | None,
    link: Link,
    profile: Profile,
    rows: Sequence[Mapping[str, Any]],
    infno: str,
    bill_id: int,
) -> Context:
    """Everything the rows need. With a `keeper` the person of the bill is opened and that is recorded."""
    drugs = sorted({int(r["drug"]) for r in rows if r.get("drug")})
    mapped = {r["ours"]: (r["theirs"], r["more"]) for r in await conn.fetch(store.MAPPED, link.id, drugs)}
    bill = await conn.fetchrow(store.BILL, bill_id)
    header = (bill["header"] or {}) if bill is not None else {}
    licences = {}
    for org in sorted({int(r["partner"]) for r in rows if r.get("partner")}):
        licences[org] = await conn.fetchval(store.LICENCE, org) or ""
    person = None
    one = transaction(infno)
    if keeper is not None and one is not None and one.infno in ("3505", "3506"):
        found = await conn.fetchrow(store.PERSON, bill_id)
        if found is not None:
            details = {"connection": link.id, "bill": bill_id}
            person = await for_delivery(conn, keeper, found["org"], found["person"], "yibao", details)
    return Context(registry, link, profile, mapped, header, licences, person)


def complete(at: Context, infno: str, row: Mapping[str, Any]) -> tuple[dict[str, Any], list[Finding]]:
    """One row as it goes out, and what is still wrong with it."""
    one = transaction(infno)
    assert one is not None
    made: dict[str, Any] = dict(row["fields"])
    findings: list[Finding] = []
    product = at.registry.product(int(row["drug"])) if row.get("drug") else None
    if row.get("drug"):
        more, findings = _goods(at, int(row["drug"]), product)
        made = {**more, **made}
    if one.infno in ("3503", "3504"):
        made = {**_purchase(at, row, product), **made}
    if one.infno in ("3505", "3506"):
        made = {**_sale(at), **made}
    if one.infno == "3502":
        made.setdefault("inv_chg_opter_name", at.head("operator") or text(at.link, "opter_name"))
    kept = {
        k: v
        for k, v in made.items()
        if (k in one.names or k == one.codes_node or k in at.profile.also) and v != ""
    }
    place = {name: n for n, name in enumerate(one.names)}
    kept = dict(sorted(kept.items(), key=lambda entry: place.get(entry[0], len(place))))
    where = f"input.{one.batch_node or one.node}[{kept.get('fixmedins_bchno', '')}]"
    told = {f.where for f in findings}
    findings += [
        f for f in check_row(infno, kept, at.profile, where) if f"field {f.params.get('field')}" not in told
    ]
    return {at.profile.rename.get(k, k): v for k, v in kept.items()}, findings


def _goods(at: Context, drug_id: int, product: Product | None) -> tuple[dict[str, Any], list[Finding]]:
    theirs, more = at.mapped.get(drug_id, ("", {}))
    linked = sorted({v for kind, v, _ in product.links if kind == "yibao"}) if product is not None else []
    national = str(more.get("med_list_codg") or "") or (linked[0] if len(linked) == 1 else "")
    if not theirs and text(at.link, "catalogue") == "own":
        theirs = str(drug_id)
    name = product.generic_name if product is not None else f"#{drug_id}"
    findings = []
    if not national:
        what = "唯一的医保药品编码" if linked else "医保药品编码（医疗目录编码）"
        params = {"product": name, "what": what}
        findings.append(Finding("yibao_mapping_missing", params, "field med_list_codg"))
    if not theirs:
        params = {"product": name, "what": "机构目录编号"}
        findings.append(Finding("yibao_mapping_missing", params, "field fixmedins_hilist_id"))
    made: dict[str, Any] = {
        "med_list_codg": national,
        "fixmedins_hilist_id": theirs,
        "fixmedins_hilist_name": str(more.get("name") or name)[:200],
        "rx_flag": "1" if product is not None and product.prescription == "rx" else "0",
    }
    if product is not None:
        made["aprvno"] = product.approval_no or product.import_cert_no
        maker = at.registry.org(product.manufacturer_id)
        made["prodentp_name"] = maker.name if maker is not None else ""
        barcodes = [v for kind, v, level in product.links if kind == "retail_barcode" and level in (None, 1)]
        made["drug_prod_barc"] = barcodes[0][:30] if barcodes else ""
    price = more.get("price")
    if price not in (None, ""):
        made |= {"pric": price, "finl_trns_pric": price}
    return {k: v for k, v in made.items() if v != ""}, findings


def _purchase(at: Context, row: Mapping[str, Any], product: Product | None) -> dict[str, Any]:
    partner = row.get("partner")
    supplier = at.registry.org(int(partner)) if partner else None
    return {
        "spler_name": supplier.name if supplier is not None else at.head("supplier"),
        "spler_pmtno": at.licences.get(int(partner), "") if partner else "",
        "purc_retn_opter_name": at.head("operator") or text(at.link, "opter_name"),
        "purc_invo_no": at.head("invoice_no") or text(at.link, "invoice_default"),
    }


def _sale(at: Context) -> dict[str, Any]:
    kind, number, name = "", "", ""
    made: dict[str, Any] = {}
    if at.person is not None:
        item = at.registry.lists.item(CERT_TYPES, at.person.kind)
        kind = str(item.attrs.get("theirs", "")) if item is not None else "99"
        number, name = at.person.number, at.person.name
        if item is not None and item.attrs.get("personal_number"):
            made["psn_no"] = number[:30]
    return made | {
        "psn_cert_type": kind or text(at.link, "psn_cert_default") or "99",
        "certno": number,
        "psn_name": name,
        "prsc_dr_name": at.head("doctor") or text(at.link, "prsc_dr_name") or "无",
        "phar_name": at.head("pharmacist") or text(at.link, "phar_name"),
        "phar_prac_cert_no": at.head("pharmacist_no") or text(at.link, "phar_prac_cert_no"),
        "sel_retn_opter_name": at.head("operator") or text(at.link, "opter_name"),
    }


def mask(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with every person's field replaced by asterisks, for pages and exports."""
    known = tables().fields
    return {k: ("＊" if k in known and known[k].person and v else v) for k, v in row.items()}
