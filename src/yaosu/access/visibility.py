"""Who sees what (design D10). This is the only place that decides it; the default is nothing.

* An organisation sees its own records, and those that name it: one step up and one step down. A chain's
  headquarters and its stores are one owner (R-B7), so are an organisation and the places inside it. With a grant
  it sees the grantor's records too (R-B10).
* A regulator sees records that touch an organisation of its region (GB/T 2260 prefix).
* The platform's operator sees records to run the platform. Regulator and operator reads are written down.
* Nobody else sees anything here; the public page has its own, minimal query.

A store marks in its query *where* the decision belongs and what the columns are; the condition comes from
here:

    BILLS = "SELECT … FROM bill b WHERE /*visible:bill b*/ AND b.id < $1 ORDER BY b.id DESC LIMIT $2"

    @traced_read("bills")
    async def bills(conn: Connection, sight: Sight, before: int, limit: int) -> list[…]:
        sql, args = sight.apply(BILLS, before, limit)
        rows = await conn.fetch(sql, *args)

A query that is run without `apply` does not parse, so forgetting it shows nothing rather than everything.
A query that needs no gate says so in the comment above it, `# ungated: reason`; a test looks at every other one.
Marks: `bill b` (alias of table bill) · `parties n.from_org n.to_org` (any of these organisations) ·
`holder x.org x.drug_id` (goods held, product for grants) · `org q.org` (one organisation's internal records) ·
`coded b`, `coded_holder x.org x.drug_id` (as `bill` and `holder`, where the row is tied to single codes).
Beside a mark, `/*orgs*/` is the array of organisations whose records the sight reaches as a party or by region, and
`/*lenders*/` the array of those who may have opened theirs by a grant or a delegation (see `access.reach`).

A grant names fields. A mark is opened by a grant only when the grant has every field that its rows carry, so that a
field which was not granted cannot leave by any way: `flow` for goods held, with `parties` and `bills` for bills, with
`codes` where a code is tied to them (and `parties`, since goods on their way name the customer). What a grant of fewer
fields opens is the flow view (`trace.flow`), which asks `granted` which fields it may show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, TypeVar

from yaosu.access.audit import subject_id
from yaosu.access.scopes import OPERATOR
from yaosu.db.engine import Connection
from yaosu.subject import Subject

Kind = Literal["own", "regulator", "operator", "public"]

REGULATOR_TYPE = "110"
NATIONAL = frozenset({"000000", "100000"})
"""Region codes of authorities for the whole country."""

_MARK = re.compile(r"/\*visible:(\w+)((?: [a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?)+)\*/")

# The stores of the chain whose headquarters asks (sub-types 42 直营连锁 and 43 加盟连锁, standards §5.8),
# the places inside the organisation that asks: storehouses, wards, warehouses; and the overseas MAHs whose domestic
# responsible person it is (R-A7).
# An array of its own, made once per query, so that the planner can use an index on the compared column.
_US = (
    "ARRAY(SELECT $SEE::int UNION ALL "
    "SELECT s.id FROM org s WHERE s.parent_id = $SEE AND (s.place OR s.sub_type IN (42, 43)) UNION ALL "
    "SELECT m.id FROM org m WHERE m.domestic_agent_id = $SEE)"
)
# Products that the reader answers for, as MAH or manufacturer: what a grant of "all products" covers. Made once.
_PRODUCTS = f"ARRAY(SELECT p.id FROM product p WHERE p.mah_id = ANY({_US}) OR p.manufacturer_id = ANY({_US}))"  # noqa: S608
# An organisation's grant covers the places inside it.
_HOME = "(SELECT CASE WHEN w.place THEN w.parent_id ELSE w.id END FROM org w WHERE w.id = {c})"
_GRANTED_TO_US = (
    f"g.grantee_org = ANY({_US}) AND g.accepted_at IS NOT NULL AND g.withdrawn_at IS NULL "
    "AND (g.until IS NULL OR g.until > now())"
)
_DELEGATED_TO_US = (
    "d.agent = $SEE AND d.may_read AND d.accepted_at IS NOT NULL AND d.revoked_at IS NULL "
    "AND d.valid_from <= now() AND (d.valid_until IS NULL OR d.valid_until > now())"
)
# Whose records a grant or a delegation may open at all, with their places: arrays made once per query and only when
# a row is not the reader's own. A long list is then sifted by one comparison a row, and the leave itself is looked up
# for the few rows that are somebody's who gave one.
_GRANTORS = (
    f"ARRAY(SELECT g.grantor_org FROM data_grant g WHERE {_GRANTED_TO_US} UNION "  # noqa: S608
    f"SELECT w.id FROM data_grant g JOIN org w ON w.parent_id = g.grantor_org AND w.place WHERE {_GRANTED_TO_US})"
)
_PRINCIPALS = (
    f"ARRAY(SELECT d.principal FROM delegation d WHERE {_DELEGATED_TO_US} UNION "  # noqa: S608
    f"SELECT w.id FROM delegation d JOIN org w ON w.parent_id = d.principal AND w.place WHERE {_DELEGATED_TO_US} UNION "
    f"SELECT unnest(d.places) FROM delegation d WHERE {_DELEGATED_TO_US})"
)
_GRANT = (
    f"({{c}} = ANY({_GRANTORS}) AND EXISTS (SELECT 1 FROM data_grant g WHERE g.grantor_org IN ({{c}}, {_HOME}) "  # noqa: S608
    f"AND {_GRANTED_TO_US} AND g.fields @> '{{fields}}' AND {{drugs}} <> '{{{{}}}}' "
    f"AND {{drugs}} <@ coalesce(g.drug_ids, {_PRODUCTS})))"
)
# An agent whose delegation says so reads the principal's records within its products and places (R-B8).
_DELEGATED = (
    f"({{c}} = ANY({_PRINCIPALS}) AND EXISTS (SELECT 1 FROM delegation d WHERE {_DELEGATED_TO_US} "  # noqa: S608
    "AND CASE WHEN d.places IS NOT NULL THEN {c} = ANY (d.places) ELSE d.principal = {c} OR EXISTS ("
    "SELECT 1 FROM org w WHERE w.id = {c} AND w.place AND w.parent_id = d.principal) END "
    "AND (d.drug_ids IS NULL OR {drugs} <@ d.drug_ids)))"
)
_REGION = "EXISTS (SELECT 1 FROM org r WHERE r.id IN ({cs}) AND starts_with(r.region::text, $SEE::text))"
# Where to look for rows, so that a list need not try every row of the table; none of it decides who sees a row.
_ORGS = {
    "own": _US,
    "regulator": "ARRAY(SELECT r.id FROM org r WHERE starts_with(r.region::text, $SEE::text))",
}
_LENDERS = {"own": f"ARRAY(SELECT unnest({_GRANTORS}) UNION SELECT unnest({_PRINCIPALS}))"}
_NO_ORGS = "'{}'::int[]"

BILL_PARTIES = ("owner", "submitter", "from_org", "to_org", "principal", "carrier", "direct_org")
_BILL_PLACES = ("owner", "from_org", "to_org")

FIELDS = ("flow", "parties", "bills", "codes")
"""What a grant may open (R-B10): quantities by date and batch; customers' names; bill numbers and headers; codes."""
_FIELDS = {
    "bill": "{flow,parties,bills}",
    "coded": "{flow,parties,bills,codes}",
    "holder": "{flow}",
    "coded_holder": "{flow,parties,codes}",
}
_NOTHING = "FALSE"
# reads the parameter, so that the server can tell its type, and is true
_EVERYTHING = "($SEE::int IS NULL)"


@dataclass(frozen=True, slots=True)
class Sight:
    """How far one subject sees. Made by `visible`, used by stores through `apply`."""

    kind: Kind
    org_id: int | None = None
    region_prefix: str = ""
    """The leading digits of GB/T 2260 that a regulator is responsible for; empty for the whole country."""

    def apply(self, sql: str, *args: Any) -> tuple[str, tuple[Any, ...]]:
        """`sql` with its marks replaced by this sight's condition, and the arguments to run it with.

        `args` are the query's own $1…$n; the sight's one parameter comes after them. Raises ValueError for a
        query without a mark, since nothing would then decide who sees its rows.
        """
        if self.kind == "public":
            return _applied(sql, self.kind, len(args)), args
        seen: Any = self.region_prefix if self.kind == "regulator" else self.org_id
        return _applied(sql, self.kind, len(args)), (*args, seen if self.kind != "operator" else None)

    def owns(self, org_id: int | None) -> bool:
        """Whether a record of `org_id` is the subject's own organisation's."""
        return org_id is not None and org_id == self.org_id

    @property
    def records_reads(self) -> bool:
        """Whether reads must be written down: the reader looks by office, not as a party."""
        return self.kind in ("regulator", "operator")


NOBODY = Sight("public")


def visible(subject: Subject) -> Sight:
    """How far `subject` sees. Anonymous callers, and regulators without a region, see nothing."""
    if subject.kind == "system":
        return Sight("operator")
    if subject.kind not in ("account", "key"):
        return NOBODY
    if subject.org_id is None:
        return Sight("operator") if subject.role == OPERATOR else NOBODY
    if subject.org_type == REGULATOR_TYPE and subject.can("supervise.read"):
        if not re.fullmatch(r"[0-9]{6}", subject.region):
            return Sight("own", subject.org_id)
        return Sight("regulator", subject.org_id, region_prefix(subject.region))
    return Sight("own", subject.org_id)


def region_prefix(region: str) -> str:
    """The digits of a GB/T 2260 code that its whole territory shares: 650000 → 65, 650100 → 6501."""
    if region in NATIONAL:
        return ""
    if region.endswith("0000"):
        return region[:2]
    return region[:4] if region.endswith("00") else region


@lru_cache(maxsize=512)
def _applied(sql: str, kind: Kind, given: int) -> str:
    found = 0

    def condition(mark: re.Match[str]) -> str:
        nonlocal found
        found += 1
        return _condition(kind, mark.group(1), mark.group(2).split())

    text = _MARK.sub(condition, sql)
    text = text.replace("/*orgs*/", _ORGS.get(kind, _NO_ORGS)).replace(
        "/*lenders*/", _LENDERS.get(kind, _NO_ORGS)
    )
    if not found or "/*visible" in text:
        raise ValueError(f"no readable mark of visibility in: {sql[:120]}")
    return text.replace("$SEE", f"${given + 1}")


def _condition(kind: Kind, what: str, columns: list[str]) -> str:
    parties, places, grant_of, drugs, fields = _columns(what, columns)
    if kind == "public":
        return _NOTHING
    if kind == "operator":
        return _EVERYTHING
    if kind == "regulator":
        return _REGION.format(cs=", ".join(places))
    one = len(parties) == 1
    ways = [f"{parties[0]} = ANY({_US})" if one else f"ARRAY[{', '.join(parties)}] && {_US}"]
    if grant_of:
        ways.append(_GRANT.format(c=grant_of, drugs=drugs, fields=fields))
        ways.append(_DELEGATED.format(c=grant_of, drugs=drugs))
    return "(" + " OR ".join(ways) + ")"


def _columns(what: str, columns: list[str]) -> tuple[list[str], list[str], str, str, str]:
    """Columns of the parties, of those whose region counts, of the grantor, the products and the fields it takes."""
    fields = _FIELDS.get(what, "")
    if what in ("bill", "coded") and len(columns) == 1:
        alias = columns[0]
        # a bill with other products on it is not covered by a grant for one
        parties = [f"{alias}.{c}" for c in BILL_PARTIES]
        places = [f"{alias}.{c}" for c in _BILL_PLACES]
        return parties, places, f"{alias}.owner", f"{alias}.drug_ids", fields
    if what in ("holder", "coded_holder") and len(columns) == 2:
        return columns[:1], columns[:1], columns[0], f"ARRAY[{columns[1]}]", fields
    if what == "org" and len(columns) == 1:
        return columns, columns, "", "", ""
    if what == "parties":
        return columns, columns, "", "", ""
    raise ValueError(f"unknown mark of visibility: {what} {' '.join(columns)}")


READ = """
INSERT INTO read_record (subject_kind, subject_id, org_id, what, owner_org) VALUES ($1, $2, $3, $4, $5)"""


async def record_read(conn: Connection, subject: Subject, what: str, owner: int | None) -> bool:
    """Write down that `subject` read `what` (e.g. "bill 4711") of another organisation; whether it was one.

    `owner` None means records of many organisations at once. Own reads are not written. `what` carries
    numbers of records, never persons.
    """
    if subject.kind == "system" or visible(subject).owns(owner):
        return False
    await conn.execute(READ, subject.kind, subject_id(subject), subject.org_id, what[:200], owner)
    return True


# Written only where the reader is let in by somebody else's leave: a grant, or a delegation with reading.
READ_BY_LEAVE = f"""
INSERT INTO read_record (subject_kind, subject_id, org_id, what, owner_org)
SELECT DISTINCT r.kind, r.sid, r.org, r.what, r.home
FROM (SELECT u.*, CASE WHEN w.place THEN w.parent_id ELSE w.id END AS home
    FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::int[]) AS u(kind, sid, org, what, owner)
    JOIN org w ON w.id = u.owner) r
WHERE r.owner <> ALL ({_US}) AND (
    EXISTS (SELECT 1 FROM data_grant g WHERE g.grantee_org = ANY ({_US}) AND g.grantor_org = r.home
        AND g.accepted_at IS NOT NULL AND g.withdrawn_at IS NULL AND (g.until IS NULL OR g.until > now()))
    OR EXISTS (SELECT 1 FROM delegation d WHERE d.agent = r.org AND d.principal = r.home AND d.may_read
        AND d.accepted_at IS NOT NULL AND d.revoked_at IS NULL AND (d.valid_until IS NULL OR d.valid_until > now())))
RETURNING id""".replace("$SEE", "r.org")  # noqa: S608 - constants


async def note_reads(conn: Connection, reads: Iterable[tuple[Subject, str, int | None]]) -> int:
    """Write down every read of (subject, what, owner) that was no owner's and no party's; how many were.

    Offices' reads always; other organisations' where a grant or a delegation lets them in (R-B10). What partners read
    of bills that name them is theirs too and is not written. One statement for all that are not offices'.
    """
    written, asked = 0, []
    for subject, what, owner in reads:
        sight = visible(subject)
        if sight.records_reads:
            written += await record_read(conn, subject, what, owner)
        elif sight.kind == "own" and owner is not None and not sight.owns(owner):
            asked.append((subject.kind, subject_id(subject), sight.org_id, what[:200], owner))
    if asked:
        written += len(
            await conn.fetch(READ_BY_LEAVE, *(list(column) for column in zip(*asked, strict=True)))
        )
    return written


@dataclass(frozen=True, slots=True)
class Granted:
    """What one grantor lets the reader see of one product now."""

    grantor: int
    fields: frozenset[str]
    until: datetime | None


# Grants in force to the reader over one product, several to one added up.
GRANTED = f"""
SELECT g.grantor_org, array_agg(DISTINCT f) AS fields,
    CASE WHEN bool_and(g.until IS NOT NULL) THEN max(g.until) END AS until
FROM data_grant g CROSS JOIN unnest(g.fields) AS f
WHERE g.grantee_org = ANY ({_US}) AND g.accepted_at IS NOT NULL AND g.withdrawn_at IS NULL
    AND (g.until IS NULL OR g.until > now()) AND $1::int = ANY (coalesce(g.drug_ids, {_PRODUCTS}))
GROUP BY g.grantor_org""".replace("$SEE", "$2")  # noqa: S608 - constants


async def granted(conn: Connection, sight: Sight, drug_id: int) -> dict[int, Granted]:
    """By grantor, the fields of one product that the sight's organisation may see (R-B10); empty for others."""
    if sight.kind != "own":
        return {}
    rows = await conn.fetch(GRANTED, drug_id, sight.org_id)
    return {r["grantor_org"]: Granted(r["grantor_org"], frozenset(r["fields"]), r["until"]) for r in rows}


Query = TypeVar("Query", bound=Callable[..., Any])

traced_reads: dict[str, Callable[..., Any]] = {}
"""Every store function that returns trace data, by name."""


def traced_read(name: str) -> Callable[[Query], Query]:
    """Mark a store function that returns trace data. It must take a `sight`; names are unique."""

    def mark(function: Query) -> Query:
        code = function.__code__
        if "sight" not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            raise TypeError(f"{function.__qualname__} returns trace data and has no parameter `sight`")
        if name in traced_reads and traced_reads[name].__code__.co_filename != code.co_filename:
            raise ValueError(f"the traced read {name!r} stands twice")
        traced_reads[name] = function
        return function

    return mark
