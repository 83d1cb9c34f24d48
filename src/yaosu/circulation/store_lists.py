"""SQL of the circulation room's lists, newest first, each in the ways that suit who asks (`access.reach`).

Constant texts and no "parameter is null or equal" where an index shall answer: drivers keep statements prepared, and a
plan that must fit every parameter uses no index for such a condition. The cursor is always a number, the largest one at
first; what has an index of its own (open notices, mismatches) is asked for by literals.
"""

from __future__ import annotations

from yaosu.access.reach import LAST, LENDERS, NEAR, ORGS, newest

BILL = """b.id, b.owner, b.submitter, b.account_id, b.from_org, b.to_org, b.principal, b.carrier, b.direct_org, b.type,
    b.revision, b.flags, b.status, b.mode, b.lines, b.qty, b.refused, b.happened_at, b.recorded_at, b.replaces,
    b.notice_bill, b.bill_no, b.header, b.drug_ids, encode(b.leaf, 'hex') AS leaf"""

# $1 cursor, $2 types, $3 number, $4 and $5 days, $6 partner, $7 size of the page
_BEFORE = f"b.id < coalesce($1::bigint, {LAST})"
_FILTERS = """($2::int[] IS NULL OR b.type = ANY($2)) AND ($3::text IS NULL OR b.bill_no = $3)
    AND ($4::timestamptz IS NULL OR b.happened_at >= $4) AND ($5::timestamptz IS NULL OR b.happened_at < $5)
    AND ($6::int IS NULL OR b.from_org = $6 OR b.to_org = $6)"""
_ALL = f"{_BEFORE} AND {_FILTERS}"

# Ways to bills by the organisation on them; what says "and not the owner" is how the indexes are (0003, 0036).
_OWNED = "b.owner = u.org"
_SENT = "b.to_org = u.org AND b.to_org <> b.owner"
_FETCHED = "b.from_org = u.org AND b.from_org <> b.owner"
_SUBMITTED = "b.submitter = u.org AND b.submitter <> b.owner"

# In order over all bills, until the page is full.
BILLS = f"""
SELECT {BILL} FROM bill b WHERE /*visible:bill b*/ AND {_ALL} ORDER BY b.id DESC LIMIT $7"""  # noqa: S608

# Among the newest bills only.
BILLS_NEAR = f"""
SELECT {BILL} FROM (SELECT * FROM bill b WHERE {_BEFORE} ORDER BY b.id DESC LIMIT {NEAR}) b
WHERE /*visible:bill b*/ AND {_FILTERS} ORDER BY b.id DESC LIMIT $7"""  # noqa: S608

_PARTY = tuple((ORGS, way) for way in (_OWNED, _SENT, _FETCHED, _SUBMITTED))
_LENT = (LENDERS, f"{_OWNED} AND /*visible:bill b*/")
_PLACED = tuple((ORGS, way) for way in (_OWNED, _SENT, _FETCHED))
_PARTNERS = tuple(("ARRAY[$6::int]", f"{way} AND /*visible:bill b*/") for way in (_OWNED, _SENT, _FETCHED))
_NAMED = newest("bill b", "b.id", (*_PARTY, _LENT), _ALL, "$7")
# ungated: numbers of bills, only ever put into BILLS_REACHED with its mark
_BESIDE = newest(
    "bill_beside a JOIN bill b ON b.id = a.bill_id",
    "a.bill_id",
    ((ORGS, "a.org = u.org"),),
    _ALL.replace("b.id <", "a.bill_id <"),
    "$7",
)

# By the organisations on them: an organisation's own view, and what is lent to it.
BILLS_REACHED = f"""
SELECT {BILL} FROM (SELECT x.id FROM (({_NAMED}) UNION ({_BESIDE})) x ORDER BY x.id DESC LIMIT $7) k
JOIN bill b ON b.id = k.id WHERE /*visible:bill b*/ ORDER BY b.id DESC"""  # noqa: S608

# The same for an authority: owner, sender and receiver place a bill in a region.
BILLS_OF_REGION = f"""
SELECT {BILL} FROM ({newest("bill b", "b.id", _PLACED, _ALL, "$7")}) k
JOIN bill b ON b.id = k.id WHERE /*visible:bill b*/ ORDER BY b.id DESC"""  # noqa: S608

# With one partner ($6), by the partner's bills.
BILLS_OF_PARTNER = f"""
SELECT {BILL} FROM ({newest("bill b", "b.id", _PARTNERS, _ALL, "$7")}) k
JOIN bill b ON b.id = k.id WHERE /*visible:bill b*/ ORDER BY b.id DESC"""  # noqa: S608

# How many bills there are of two organisations, counted no further than it takes to tell a small one from a large one.
# ungated: which of two ways is shorter, told to nobody
SIZES = f"""
SELECT (SELECT count(*) FROM (
            SELECT b.id FROM bill b WHERE b.owner = $1 ORDER BY b.id DESC LIMIT {NEAR // 2}) x),
    (SELECT count(*) FROM (SELECT b.id FROM bill b WHERE b.owner = $2 ORDER BY b.id DESC LIMIT {NEAR // 2}) x)
        + (SELECT count(*) FROM (
            SELECT b.id FROM bill b WHERE {_SENT} ORDER BY b.id DESC LIMIT {NEAR // 2}) x)
        + (SELECT count(*) FROM (
            SELECT b.id FROM bill b WHERE {_FETCHED} ORDER BY b.id DESC LIMIT {NEAR // 2}) x)
""".replace("u.org", "$2")  # noqa: S608

# Of one owner ($8).
BILLS_OF_OWNER = f"""
SELECT {BILL} FROM bill b WHERE b.owner = $8 AND /*visible:bill b*/ AND {_ALL}
ORDER BY b.id DESC LIMIT $7"""  # noqa: S608

# Among one owner's ($8) newest bills only: what a page shows beside its work.
BILLS_LATELY = f"""
SELECT {BILL} FROM (SELECT * FROM bill b WHERE b.owner = $8 AND {_BEFORE} ORDER BY b.id DESC LIMIT {2 * NEAR}) b
WHERE /*visible:bill b*/ AND {_FILTERS} ORDER BY b.id DESC LIMIT $7"""  # noqa: S608

# With one number ($3), whoever numbered it: one look-up for each organisation.
BILLS_NUMBERED = f"""
SELECT {BILL} FROM org o CROSS JOIN LATERAL (SELECT * FROM bill n WHERE n.owner = o.id AND n.bill_no = $3 OFFSET 0) b
WHERE /*visible:bill b*/ AND {_ALL} AND ($8::int IS NULL OR b.owner = $8) ORDER BY b.id DESC LIMIT $7"""  # noqa: S608


_NOTICE = """n.to_org, n.from_org, n.bill_id, n.state, n.shipped_at, n.expected, n.received, n.quarantined, n.refused,
    n.closed_at, b.bill_no, b.type, b.header"""
# $1 cursor, $2 states, $3 receiver, $4 sender, $5 size of the page
_NOTICES_ALL = f"""n.bill_id < coalesce($1::bigint, {LAST}) AND ($2::text[] IS NULL OR n.state = ANY($2))
    AND ($3::int IS NULL OR n.to_org = $3) AND ($4::int IS NULL OR n.from_org = $4)"""
# As the indexes of open notices say it.
_OPEN = "n.state IN ('open', 'part')"


def _notices(receivers: str | None, senders: str | None, open_only: bool) -> str:
    """Notices to and from organisations of these arrays; those of a named one are gated before they are counted."""
    rows = f"{_OPEN} AND {_NOTICES_ALL}" if open_only else _NOTICES_ALL
    if ORGS not in (receivers, senders):
        rows = f"/*visible:parties n.from_org n.to_org*/ AND {rows}"
    ways = [
        *([(receivers, "n.to_org = u.org")] if receivers else []),
        *([(senders, "n.from_org = u.org")] if senders else []),
    ]
    return f"""
SELECT {_NOTICE} FROM ({newest("notice n", "n.bill_id", ways, rows, "$5")}) k
JOIN notice n ON n.bill_id = k.id JOIN bill b ON b.id = n.bill_id
WHERE /*visible:parties n.from_org n.to_org*/ AND {_NOTICES_ALL} ORDER BY n.bill_id DESC LIMIT $5"""  # noqa: S608


# By which side is named (none, receiver, sender) and whether only open ones are asked for.
NOTICES_REACHED = {
    (side, only): _notices(receivers, senders, only)
    for side, receivers, senders in (
        ("", ORGS, ORGS),
        ("to", "ARRAY[$3::int]", None),
        ("from", None, "ARRAY[$4::int]"),
    )
    for only in (False, True)
}
# Among the newest only, and over all of them.
NOTICES_NEAR = f"""
SELECT {_NOTICE} FROM (SELECT * FROM notice n WHERE n.bill_id < coalesce($1::bigint, {LAST})
    ORDER BY n.bill_id DESC LIMIT {NEAR}) n JOIN bill b ON b.id = n.bill_id
WHERE /*visible:parties n.from_org n.to_org*/ AND {_NOTICES_ALL} ORDER BY n.bill_id DESC LIMIT $5"""  # noqa: S608
NOTICES = f"""
SELECT {_NOTICE} FROM notice n JOIN bill b ON b.id = n.bill_id
WHERE /*visible:parties n.from_org n.to_org*/ AND {_NOTICES_ALL} ORDER BY n.bill_id DESC LIMIT $5"""  # noqa: S608

CHECK = """c.id, c.receipt_bill, c.notice_bill, c.buyer, c.seller, c.made_at, c.outcome, c.counts, c.state, c.answer,
    c.answer_kind, c.answered_at"""
_CHECKED = f"{CHECK}, b.bill_no AS receipt_no, s.bill_no AS notice_no"
# ungated: numbers beside a receipt check, in queries that mark the check
_BILLS_OF_CHECK = "JOIN bill b ON b.id = c.receipt_bill LEFT JOIN bill s ON s.id = c.notice_bill"
# $1 cursor, $2 outcomes, $3 state, $4 seller, $5 buyer, $6 size of the page
_CHECKS_ALL = f"""c.id < coalesce($1::bigint, {LAST}) AND ($2::text[] IS NULL OR c.outcome = ANY($2))
    AND ($3::text IS NULL OR c.state = $3) AND ($4::int IS NULL OR c.seller = $4)
    AND ($5::int IS NULL OR c.buyer = $5)"""
_ODD = "c.outcome <> 'matched'"


def _checks(sellers: str | None, buyers: str | None, odd_only: bool) -> str:
    """Receipt checks by organisations of these arrays; those of a named one are gated before they are counted."""
    rows = f"{_ODD} AND {_CHECKS_ALL}" if odd_only else _CHECKS_ALL
    if ORGS not in (sellers, buyers):
        rows = f"/*visible:parties c.buyer c.seller*/ AND {rows}"
    ways = [
        *([(sellers, "c.seller = u.org")] if sellers else []),
        *([(buyers, "c.buyer = u.org")] if buyers else []),
    ]
    return f"""
SELECT {_CHECKED} FROM ({newest("receipt_check c", "c.id", ways, rows, "$6")}) k
JOIN receipt_check c ON c.id = k.id {_BILLS_OF_CHECK}
WHERE /*visible:parties c.buyer c.seller*/ ORDER BY c.id DESC"""  # noqa: S608


# By which side is named and whether only those are asked for that did not match.
CHECKS_REACHED = {
    (side, only): _checks(sellers, buyers, only)
    for side, sellers, buyers in (
        ("", ORGS, ORGS),
        ("seller", "ARRAY[$4::int]", None),
        ("buyer", None, "ARRAY[$5::int]"),
    )
    for only in (False, True)
}
CHECKS_NEAR = f"""
SELECT {_CHECKED} FROM (SELECT * FROM receipt_check c WHERE c.id < coalesce($1::bigint, {LAST})
    ORDER BY c.id DESC LIMIT {NEAR}) c {_BILLS_OF_CHECK}
WHERE /*visible:parties c.buyer c.seller*/ AND {_CHECKS_ALL} ORDER BY c.id DESC LIMIT $6"""  # noqa: S608
CHECKS = f"""
SELECT {_CHECKED} FROM receipt_check c {_BILLS_OF_CHECK}
WHERE /*visible:parties c.buyer c.seller*/ AND {_CHECKS_ALL} ORDER BY c.id DESC LIMIT $6"""  # noqa: S608

_QUARANTINE = """q.id, q.org, q.drug_id, q.code, q.raw, q.qty, q.moved, q.verdict, q.params, q.bill_id, q.opened_at,
    q.closed_at, q.closed_bill, q.disposition, b.bill_no"""


def _quarantine(state: str) -> str:
    """What is in quarantine of one organisation ($1), before $2, at most $3."""
    return f"""
SELECT {_QUARANTINE} FROM quarantine q JOIN bill b ON b.id = q.bill_id
WHERE /*visible:org q.org*/ AND q.org = $1 AND q.id < coalesce($2::bigint, {LAST}) AND {state}
ORDER BY q.id DESC LIMIT $3"""  # noqa: S608


def _quarantines(state: str) -> str:
    """The same of every organisation that the sight reaches; $1 stays empty."""
    rows = f"$1::int IS NULL AND q.id < coalesce($2::bigint, {LAST}) AND {state}"
    return f"""
SELECT {_QUARANTINE} FROM ({newest("quarantine q", "q.id", [(ORGS, "q.org = u.org")], rows, "$3")}) k
JOIN quarantine q ON q.id = k.id JOIN bill b ON b.id = q.bill_id
WHERE /*visible:org q.org*/ ORDER BY q.id DESC"""  # noqa: S608


# By whether it is open: yes, no, either.
_STATES = {True: "q.closed_at IS NULL", False: "q.closed_at IS NOT NULL", None: "TRUE"}
QUARANTINE_OF_ORG = {is_open: _quarantine(state) for is_open, state in _STATES.items()}
QUARANTINE_REACHED = {is_open: _quarantines(state) for is_open, state in _STATES.items()}
QUARANTINE = {
    is_open: _quarantine(state).replace("q.org = $1", "$1::int IS NULL") for is_open, state in _STATES.items()
}
