"""What a bill gives 医保: one row for each product and batch, by the mapping of list `yibao_route`. Pure.

Codes are those of smallest sales packages: a scanned case stands for the boxes inside it. A row carries at most the
profile's number of codes; more boxes make more rows. Opened boxes (拆零) have a row each, with `trdn_flag` 1, the code
of the box and the preparation units of this patient. Goods without codes (无码库) have rows without codes whose memo
says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from yaosu.edge.pages import CHINA
from yaosu.exchange.outbox.model import RoutedBill
from yaosu.exchange.yibao.model import Row, Skipped, Standing
from yaosu.insurance.fields import tables
from yaosu.insurance.profiles import Profile
from yaosu.registry.lists import CodeLists

ROUTES = "yibao_route"
OPPOSITE = {"3503": "3504", "3504": "3503", "3505": "3506", "3506": "3505", "3502": "3502"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a bill does not say itself. `inside`: smallest packages of scanned containers. `origins`: the standing row
    under which a code was last sold or bought. `dates`: (produced, expires) of batches without codes. `exempt`:
    products that need no scan before settlement (R-A6), and the list's word why.
    """

    inside: Mapping[str, Sequence[str]] = field(default_factory=dict)
    origins: Mapping[str, Standing] = field(default_factory=dict)
    dates: Mapping[tuple[int, str], tuple[str, str]] = field(default_factory=dict)
    exempt: Mapping[int, str] = field(default_factory=dict)
    inner: bool = False
    """Sender and receiver are places of one institution."""


def header_facts(bill: RoutedBill, infno: str) -> dict[str, str]:
    """Fields of the transaction that the bill's header knows, with what stands in for them where it does not."""

    def text(name: str) -> str:
        value = bill.header.get(name)
        return "" if value is None else str(value).strip()

    facts: dict[str, str] = {}
    if infno in ("3505", "3506"):
        settled = text("settlement_id")
        facts = {
            "setl_id": settled,
            "mdtrt_sn": text("visit_no") or _number(bill),
            "mdtrt_setl_type": "1" if settled else "2",
        }
    if infno == "3505":
        facts |= {
            "hi_feesetl_type": text("settle_kind") or ("1" if settled else "0"),
            "rtal_docno": text("receipt_no") or _number(bill, 40),
            "rxno": text("prescription_no"),
            "rx_circ_flag": "1" if text("outside_prescription") in ("1", "true", "True", "是") else "0",
            "stoout_no": _number(bill, 40),
        }
    if infno in ("3503", "3504"):
        facts = {"purc_invo_no": text("invoice_no"), "purc_invo_codg": text("invoice_code")}
    if infno == "3503":
        facts |= {"dynt_no": text("delivery_note"), "prod_geay_flag": "0"}
    return {name: value for name, value in facts.items() if value}


def _number(bill: RoutedBill, most: int = 30) -> str:
    return bill.bill_no if len(bill.bill_no) <= most else f"Y{bill.id}"


def price_of(bill: RoutedBill, drug_id: int) -> str:
    """Unit price of a product: header `unit_price.<drug_id>`, or `unit_price` for the whole bill."""
    value = bill.header.get(f"unit_price.{drug_id}", bill.header.get("unit_price"))
    return "" if value is None else str(value).strip()


def rows_of(
    bill: RoutedBill, lists: CodeLists, profile: Profile, around: Surroundings
) -> tuple[list[Row], list[Skipped]]:
    """The rows that stand after this bill, and what of it is not reported. A void has none."""
    if bill.void:
        return [], []
    route = lists.item(ROUTES, bill.type)
    if route is None:
        return [], [Skipped("yibao_not_reported", {"type": bill.type, "why": "该单据类型不上报医保"})]
    infno = str(route.attrs.get("infno") or "")
    if not infno:
        return [], [
            Skipped("yibao_not_reported", {"type": bill.type, "why": str(route.attrs.get("why", ""))})
        ]
    if around.inner:
        return [], [Skipped("yibao_not_reported", {"type": bill.type, "why": "机构内部调拨，不改变机构库存"})]
    facts = header_facts(bill, infno)
    if infno == "3505" and profile.settle == "2207" and facts.get("setl_id"):
        return [], [Skipped("yibao_with_settlement", {"setl_id": facts["setl_id"]})]
    partner = bill.from_org if infno == "3503" else bill.to_org if infno == "3504" else None
    chg = str(route.attrs.get("chg") or "")
    at = bill.happened_at.astimezone(CHINA).replace(tzinfo=None)

    def made(drug_id: int, batch_no: str, dates: tuple[str, str], count: Decimal, **more: object) -> Row:
        own = dict(facts)
        price = price_of(bill, drug_id)
        if price:
            own["pric" if infno == "3502" else "finl_trns_pric"] = price
        base = Row(infno, drug_id, batch_no, *dates, count, at, chg=chg, partner=partner, facts=own)
        return replace(base, **more)  # type: ignore[arg-type]

    rows = list(_coded(bill, infno, profile, around, made))
    skipped = []
    for drug_id, batch_no, qty in bill.quantities:
        if bill.type == 24:
            continue
        if profile.uncoded == "leave" and drug_id not in around.exempt:
            skipped.append(
                Skipped("yibao_uncoded_left", {"drug_id": drug_id, "batch_no": batch_no, "qty": qty})
            )
            continue
        memo = (
            profile.exempt_memo + "：" + around.exempt[drug_id]
            if drug_id in around.exempt
            else profile.uncoded_memo
        )
        dates = around.dates.get((drug_id, batch_no), ("", ""))
        rows.append(made(drug_id, batch_no, dates, Decimal(qty), memo=memo))
    return rows, skipped


def _coded(
    bill: RoutedBill, infno: str, profile: Profile, around: Surroundings, made: Callable[..., Row]
) -> Iterator[Row]:
    """Split boxes and containers nobody could look into have a row each; all other boxes go by product and batch."""
    returned = infno in ("3504", "3506")

    def origin(code: str) -> str:
        first = around.origins.get(code) if returned else None
        return first.bchno if first is not None else ""

    groups: dict[tuple[int, str, str, str, str], list[str]] = {}
    for line in bill.lines:
        dates = (line.produced_on, line.expires_on)
        inside = around.inside.get(line.code, ())
        if line.parts is not None:
            count, split = Decimal(line.parts), True
        elif line.qty == 1 or len(inside) == line.qty:
            for code in inside or (line.code,):
                groups.setdefault((line.drug_id, line.batch_no, *dates, origin(code)), []).append(code)
            continue
        else:
            count, split = Decimal(line.qty), False
        more = {"codes": (line.code,), "split": split, "origin": origin(line.code)}
        yield made(line.drug_id, line.batch_no, dates, count, **more)
    for (drug_id, batch_no, produced, expires, first), codes in groups.items():
        for start in range(0, len(codes), profile.codes_most):
            part = tuple(codes[start : start + profile.codes_most])
            yield made(drug_id, batch_no, (produced, expires), Decimal(len(part)), codes=part, origin=first)


def opposite(row: Standing, lists: CodeLists, bill_type: int, at: datetime) -> Row | None:
    """The row that takes a standing one back where the profile corrects by return; None where there is none."""
    infno = OPPOSITE.get(row.infno)
    if infno is None:
        return None
    chg = ""
    if infno == "3502":
        route = lists.item(ROUTES, bill_type)
        chg = str(route.attrs.get("back") or "") if route is not None else ""
    names = set(tables().transactions[infno].names)
    facts = {k: v for k, v in row.facts.items() if k in names or k.startswith("_")}
    return Row(
        infno, row.drug_id, row.batch_no, row.facts.get("_made", ""), row.facts.get("_expires", ""), row.count, at,
        row.codes, row.split, chg, _partner(row), row.bchno, "更正", facts,
    )  # fmt: skip


def _partner(row: Standing) -> int | None:
    text = row.facts.get("_partner", "")
    return int(text) if text else None


def fields_of(row: Row, bchno: str) -> dict[str, object]:
    """The row under the table's names, as far as the bill knows it; the rest is filled in when it is sent."""
    one = tables().transactions[row.infno]
    day, time = f"{row.at:%Y-%m-%d}", f"{row.at:%Y-%m-%d %H:%M:%S}"
    count = int(row.count) if row.count == row.count.to_integral_value() else float(row.count)
    made: dict[str, object] = {
        "fixmedins_bchno": bchno,
        "manu_lotnum": row.batch_no,
        "manu_date": row.produced_on,
        "expy_end": row.expires_on,
        "trdn_flag": "1" if row.split else "0",
        "inv_chg_type": row.chg,
        "memo": row.memo,
        **{k: v for k, v in row.facts.items() if not k.startswith("_")},
        one.time: day if one.time == "invdate" else time,
        one.count: count,
    }
    if row.origin:
        made["medins_prod_sel_no" if row.infno in ("3505", "3506") else "medins_prod_purc_no"] = row.origin
    for name in ("pric", "finl_trns_pric"):
        if name in made:
            made[name] = _price(str(made[name]))
    kept = {k: v for k, v in made.items() if k in one.names and v not in ("", None)}
    if row.codes:
        kept[one.codes_node] = [{"drug_trac_codg": code} for code in row.codes]
    return kept


def _price(text: str) -> object:
    try:
        number = Decimal(text)
        return float(number) if number.is_finite() else text
    except ArithmeticError:
        return text
