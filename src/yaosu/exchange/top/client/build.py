"""What of a bill goes to 码上放心, decided once when the bill is routed (R-X9): pure.

Bill numbers are write-once there. The first revision goes under its own number. A later one, in the tier that can
delete, deletes the number and uploads the bill anew under it; elsewhere codes that came on are uploaded under a number
of their own, and what cannot be taken back is said to the user instead of being left out silently (§0 fact 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from yaosu.exchange.outbox.model import Parcel, RoutedBill, RoutedLine
from yaosu.exchange.top.client.families import Family
from yaosu.exchange.top.fields import CHINA

RETAIL = frozenset({321, 322, 323, 116})
OWN_TYPES = frozenset(range(1, 100))
"""Bill types of our own, which the platform does not have: opening, release from quarantine, uncoded goods …"""
HEADER = (
    ("from_address", "from_address"),
    ("to_address", "to_address"),
    ("from_person", "from_person"),
    ("to_person", "to_person"),
    ("order_code", "order_code"),
    ("reason", "return_reason_code"),
    ("executer_name", "executer_name"),
    ("superviser_name", "superviser_name"),
)


def parcels(bill: RoutedBill, family: Family, *, can_delete: bool) -> list[Parcel]:
    """The uploads and deletions of a bill, in the order they must go; none where the platform has no such bill."""
    if bill.type in OWN_TYPES:
        return []
    retail = bill.type in RETAIL
    if retail and not family.retail:
        return []
    most = family.retail_max if retail else family.codes_max
    lane = f"{bill.owner}/{bill.bill_no}"
    now, before = _codes(bill.lines), _codes(bill.before)
    made: list[Parcel] = []
    if bill.revision == 1 and not bill.void:
        return _uploads(bill, family, now, bill.bill_no, most, lane)
    gone = [c for c in before if c not in set(now)]
    if can_delete and (gone or bill.void or _headers_differ(bill)):
        for n in range(_parts(before, most)):
            number = _numbered(bill.bill_no, n)
            deletion = {"what": "delete", "bill_code": number, "reason": _reason(bill)}
            made.append(Parcel("delete", f"{lane}/{bill.revision}/d{n}", deletion, lane))
        return made if bill.void else made + _uploads(bill, family, now, bill.bill_no, most, lane)
    new = [c for c in now if c not in set(before)]
    if new:
        made += _uploads(bill, family, new, f"{bill.bill_no}-R{bill.revision}", most, lane)
    if gone or bill.void:
        body = {"what": "cannot_delete", "bill_code": bill.bill_no, "codes": gone or before}
        made.append(Parcel("cannot_delete", f"{lane}/{bill.revision}/x", body, lane))
    return made


def _headers_differ(bill: RoutedBill) -> bool:
    return not bill.void and bool(bill.before) and _codes(bill.lines) == _codes(bill.before)


def _codes(lines: Sequence[RoutedLine]) -> list[str]:
    return [line.code for line in lines]


def _parts(codes: Sequence[str], most: int) -> int:
    return max(1, -(-len(codes) // most))


def _numbered(bill_no: str, n: int) -> str:
    """The first part goes under the bill's own number, further ones under numbers made from it."""
    return bill_no if n == 0 else f"{bill_no}-{n + 1}"


def _reason(bill: RoutedBill) -> str:
    return str(bill.header.get("void_reason") or bill.header.get("correct_reason") or "单据更正")


def _uploads(
    bill: RoutedBill, family: Family, codes: Sequence[str], number: str, most: int, lane: str
) -> list[Parcel]:
    made = []
    for n in range(_parts(codes, most)):
        some = codes[n * most : (n + 1) * most]
        if not some:
            continue
        body: dict[str, Any] = {
            "what": "retail" if bill.type in RETAIL else "in_out",
            "bill_code": _numbered(number, n),
            "bill_type": bill.type,
            "bill_time": bill.happened_at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "codes": list(some),
            "parties": _parties(bill),
            "header": {theirs: str(bill.header[ours]) for ours, theirs in HEADER if bill.header.get(ours)},
        }
        made.append(Parcel("upload", f"{lane}/{bill.revision}/{number}/{n}", body, lane))
    return made


def _parties(bill: RoutedBill) -> Mapping[str, int]:
    """Sender, receiver and others as our organisations; where the bill leaves one out it is the owner (§5.4)."""
    found = {"from": bill.from_org or bill.owner, "to": bill.to_org or bill.owner}
    if bill.direct_org:
        found["dest"] = bill.direct_org
    if bill.carrier:
        found["dis"] = bill.carrier
    return found
