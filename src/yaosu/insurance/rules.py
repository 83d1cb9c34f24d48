"""The rules of the settlement check (R-C7; standards §8.5). Pure: they say what is found, lists say what follows.

A code is looked at in the order a person would: is it a code, is it ours, has it been in circulation, may it be sold,
has it been settled, is it what was billed, was it here. All that is found is said; the weightiest stands first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal

from yaosu.insurance.model import CHINA, COARSE, FINE, Claim, Known, Limits, Line, Said, Settled

Relation = Literal["same", "other", "open"]

SELLABLE = frozenset("AIDSO")
"""Activated, in stock, opened, sold (in the same act), on its way: what of these it means is said by `held`."""


def relation(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Relation:
    """Whether two sets of numbers name the same line of the same act of one institution.

    The number of a line decides where both have one of the same kind; else those of the act, whatever each side calls
    it (a 就诊ID may come as 就医流水号). "open": nothing to compare, so time and channel have to decide.
    """
    for kind in FINE:
        if kind in mine and kind in theirs:
            return "same" if mine[kind] == theirs[kind] else "other"
    if same_visit(mine, theirs):
        return "same"
    return "other" if any(kind in mine and kind in theirs for kind in COARSE) else "open"


def same_visit(mine: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Whether some number of the act is the same, whatever the lines say."""
    return bool({mine[k] for k in COARSE if k in mine} & {theirs[k] for k in COARSE if k in theirs})


def same_act(claim: Claim, one: Settled, limits: Limits) -> bool:
    """Whether the ledger's row and the claim are one sale told twice (R-C6, interfaces §3.4).

    Two channels without a number in common are one sale when their times are close and this channel has not told
    it before: each channel tells a sale once.
    """
    if claim.institution != one.institution:
        return False
    found = relation(claim.keys, one.keys)
    if found == "same":
        return True
    crossing = claim.channel not in one.channels
    near = abs((claim.sold_at - one.sold_at).total_seconds()) <= limits.same_act_s
    # a number of the act that differs is another act
    return found == "open" and crossing and near


def judge(claim: Claim, known: Known, now: datetime, limits: Limits) -> list[Said]:
    """Everything to be said of one code in one act. The same act told again is the caller's to answer."""
    first = _kind(known)
    if first is not None and known.kind != "elsewhere":
        return [first]
    said = [] if first is None else [first]
    if (claim.sold_at - now).total_seconds() > limits.ahead_s:
        said.append(Said("time_ahead", {"time": _minute(claim.sold_at)}))
    said += _settled(claim, known)
    said += _product(claim, known)
    if known.kind == "unit":
        said += _goods(claim, known)
        said += _stock(claim, known, limits)
    return said


def _kind(known: Known) -> Said | None:
    if known.kind in ("not_a_code", "retail_barcode"):
        return Said(known.kind, {"code": known.code, "why": known.refusal[0] if known.refusal else ""})
    if known.kind == "unknown":
        return Said("unknown", {"code": known.code})
    if known.kind == "elsewhere":
        return Said("elsewhere", {"code": known.code, "system": known.system, "url": known.system_url or "—"})
    if known.kind == "not_activated":
        return Said("not_activated", {"code": known.code, "product": known.product or "—"})
    return None


def _settled(claim: Claim, known: Known) -> list[Said]:
    """Earlier settlements that leave no room for this one. Other acts only: the caller has taken out its own."""
    found: list[Said] = []
    used = sum(s.units for s in known.settled if s.split)
    for one in known.settled:
        if claim.split and one.split:
            continue
        here = one.institution == claim.institution
        found.append(Said("settled_here" if here else "settled_elsewhere", _when(claim, one), one))
    if claim.split and not found and used + claim.units > known.per_pack:
        last = known.settled[-1] if known.settled else None
        params = {"used": used, "units": claim.units, "total": known.per_pack, "code": known.code}
        found.append(Said("split_over", params, last))
    return found[:1]


def _when(claim: Claim, one: Settled) -> dict[str, object]:
    """When and, as far as any institution may be told, where: the region and nothing that names another."""
    return {"time": _minute(one.sold_at), "region": one.region, "institution": one.institution}


def _product(claim: Claim, known: Known) -> list[Said]:
    if known.kind == "elsewhere" and not known.yibao:
        return []
    if not claim.med_list_codg:
        return [Said("billed_not_told", {})]
    if not known.yibao:
        return [Said("product_unlinked", {"product": known.product or "—", "billed": claim.med_list_codg})]
    if claim.med_list_codg not in known.yibao:
        params = {
            "product": known.product or "—",
            "its": "、".join(sorted(known.yibao)),
            "billed": claim.med_list_codg,
        }
        return [Said("other_product", params)]
    return []


def _goods(claim: Claim, known: Known) -> list[Said]:
    said = []
    day = claim.sold_at.astimezone(CHINA).date()
    for kind, number, title, placed_at in known.stops:
        # what was sold before the stop was sold rightly
        if placed_at <= claim.sold_at and kind in ("recall", "lock"):
            rule = "recalled" if kind == "recall" else "locked"
            said.append(Said(rule, {"number": number, "title": title, "time": _minute(placed_at)}))
    if known.expires_on is not None and known.expires_on < day:
        said.append(Said("expired", {"date": known.expires_on.isoformat(), "batch": known.batch_no}))
    if known.activated_at is not None and claim.sold_at < known.activated_at:
        said.append(Said("before_activation", {"time": _minute(known.activated_at)}))
    if known.packs != 1 or known.level != 1:
        said.append(Said("not_smallest", {"packs": known.packs}))
    return said


def _stock(claim: Claim, known: Known, limits: Limits) -> list[Said]:
    if known.status and known.status not in SELLABLE:
        return [Said("not_sellable", {"status": known.status})]
    if not known.stock_known:
        gone = known.status == "S"
        return [Said("sold_by_another" if gone else "stock_not_checked", {"code": known.code})]
    if known.coming:
        return [Said("not_received", {"code": known.code})]
    if not known.held:
        return [Said("sold_by_another" if known.status == "S" else "not_in_stock", {"code": known.code})]
    sale = known.own_sale
    if sale is not None and not known.opened:
        named = sale.bill_no in {claim.keys.get(kind) for kind in COARSE}
        far = abs((claim.sold_at - sale.at).total_seconds()) > limits.same_act_s
        if far and not named:
            return [Said("sold_before", {"time": _minute(sale.at), "bill": sale.bill_no})]
    return []


def judge_line(line: Line, known: Sequence[Known], billed_packs: int | None) -> list[Said]:
    """What is to be said of a line as a whole: scans twice over, and quantity against codes (R6, aware of 拆零).

    `billed_packs`: preparation units per package of the billed product, where it is known.
    """
    said = []
    counted = Counter(k.code for k in known)
    twice = [code for code, n in counted.items() if n > 1]
    if twice:
        said.append(Said("twice_in_act", {"code": "、".join(twice[:5]), "count": len(twice)}))
    packs = sum({k.code: k.packs for k in known}.values())
    if line.qty is None or not known or any(k.kind in ("not_a_code", "retail_barcode") for k in known):
        return said
    per = next((k.per_pack for k in known if k.kind == "unit"), billed_packs or 1)
    if not fits(line.qty, line.split, line.unit, packs, per):
        params = {"qty": _plain(line.qty), "codes": len(counted), "packs": packs}
        said.append(Said("quantity", params))
    return said


def preparation_units(qty: Decimal, unit: str | None, per: int) -> Decimal:
    """A split quantity in preparation units: as it is, or so many parts of a package."""
    return qty * per if unit == "pack" else qty


def fits(qty: Decimal, split: bool, unit: str | None, packs: int, per: int) -> bool:
    """Whether a quantity can come out of so many packages.

    Whole: as many packages as billed. Split: at least one unit from every box scanned, and no more than they hold.
    """
    if qty <= 0:
        return False
    if not split:
        return (qty / per if unit == "prep" else qty) == packs
    units = preparation_units(qty, unit, per)
    return packs <= units <= packs * per


def shares(units: int, boxes: Sequence[int]) -> list[int]:
    """How a split quantity is taken out of boxes with so much left each: one after the other.

    What is beyond all of them stays on the last, so that the rules see it.
    """
    taken = []
    rest = units
    for n, left in enumerate(boxes):
        still = len(boxes) - n - 1
        # every scanned box gave at least one
        part = rest if not still else max(1, min(left, rest - still))
        taken.append(part)
        rest -= part
    return taken


def hint(claim: Claim, earlier: Settled | None, known: Known, now: datetime, limits: Limits) -> list[str]:
    """What a duplicate probably comes from, most telling first (interfaces §3.5). Never a finding."""
    found = []
    if earlier is not None:
        here = earlier.institution == claim.institution
        gap = abs((now - earlier.recorded_at).total_seconds())
        apart = abs((claim.sold_at - earlier.sold_at).total_seconds())
        if here and min(gap, apart) <= limits.double_scan_s:
            found.append("double_scan")
        if here and same_visit(claim.keys, earlier.keys):
            found.append("same_visit")
        back = known.own_sale is not None and (known.own_sale.at - earlier.sold_at).total_seconds()
        if here and (known.status in ("I", "D") or (back and back > limits.same_act_s)):
            found.append("after_return")
    if (now - claim.sold_at).total_seconds() > limits.late_upload_s:
        found.append("late_upload")
    if known.opened and not claim.split:
        found.append("opened_box")
    if earlier is not None:
        if claim.person is not None and earlier.person is not None:
            found.append("same_person" if claim.person == earlier.person else "other_person")
        if earlier.region[:4] != claim.region[:4]:
            found.append("other_region")
    return found or ["none"]


def _minute(moment: datetime) -> str:
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")
