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
`holder x.org x.drug_id` (goods held, product for grants) · `org q.org` (one organisation's internal records).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
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
# and the places inside the organisation that asks: storehouses, wards, warehouses.
# An array of its own, made once per query, so that the planner can use an index on the compared column.
_US = (
    "ARRAY(SELECT $SEE::int UNION ALL "
    "SELECT s.id FROM org s WHERE s.parent_id = $SEE AND (s.place OR s.sub_type IN (42, 43)))"
)
_GRANT = (
    "EXISTS (SELECT 1 FROM data_grant g WHERE g.grantee_org = $SEE AND g.grantor_org = {c} "
    "AND g.withdrawn_at IS NULL AND (g.until IS NULL OR g.until > now()) AND (g.drug_id IS NULL OR {drug}))"
)
_REGION = "EXISTS (SELECT 1 FROM org r WHERE r.id IN ({cs}) AND starts_with(r.region::text, $SEE::text))"

BILL_PARTIES = ("owner", "submitter", "from_org", "to_org", "principal", "carrier", "direct_org")
_BILL_PLACES = ("owner", "from_org", "to_org")
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
    if not found or "/*visible" in text:
        raise ValueError(f"no readable mark of visibility in: {sql[:120]}")
    return text.replace("$SEE", f"${given + 1}")


def _condition(kind: Kind, what: str, columns: list[str]) -> str:
    parties, places, grant_of, drug = _columns(what, columns)
    if kind == "public":
        return _NOTHING
    if kind == "operator":
        return _EVERYTHING
    if kind == "regulator":
        return _REGION.format(cs=", ".join(places))
    one = len(parties) == 1
    ways = [f"{parties[0]} = ANY({_US})" if one else f"ARRAY[{', '.join(parties)}] && {_US}"]
    if grant_of:
        ways.append(_GRANT.format(c=grant_of, drug=drug))
    return "(" + " OR ".join(ways) + ")"


def _columns(what: str, columns: list[str]) -> tuple[list[str], list[str], str, str]:
    """Columns of the parties, of those whose region counts, of the grantor, and the grant's product test."""
    if what == "bill" and len(columns) == 1:
        alias = columns[0]
        # a bill with other products on it is not covered by a grant for one
        only = f"{alias}.drug_ids = ARRAY[g.drug_id]"
        parties = [f"{alias}.{c}" for c in BILL_PARTIES]
        return parties, [f"{alias}.{c}" for c in _BILL_PLACES], f"{alias}.owner", only
    if what == "holder" and len(columns) == 2:
        return columns[:1], columns[:1], columns[0], f"g.drug_id = {columns[1]}"
    if what == "org" and len(columns) == 1:
        return columns, columns, "", ""
    if what == "parties":
        return columns, columns, "", ""
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
