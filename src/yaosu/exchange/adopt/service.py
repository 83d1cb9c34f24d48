"""Verbs of adoption: goods whose codes live in another trace system become handled here (R-A4, R-B9).

One code is traced in one system; a firm that works here still has to receive, sell and explain such goods. What the
home system tells enters our books as a bill of type 9 (外系统转入) in the account of the firm that ships, and the
shipment as a bill of that firm: from there on everything is as with our own goods, the notice to the buyer included.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement
from yaosu.circulation.service import submit
from yaosu.codes import NotACode, parse
from yaosu.db.engine import Connection, Pool
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.adopt import stops, store
from yaosu.exchange.adopt.model import Adopted, Package, Upstream
from yaosu.exchange.adopt.relation import relation_file
from yaosu.production.activation import Options, activate
from yaosu.registry.resolver import Registry
from yaosu.subject import ADMIN, Subject

SHIP, RECEIVE = 201, 102
MOMENT = timedelta(seconds=1)


def system_subject(org: int, region: str = "") -> Subject:
    """The software acting in the name of a firm that works in another system, because that system said so."""
    return Subject("system", org_id=org, scopes=frozenset({ADMIN}), region=region, name="exchange")


async def set_foreign(conn: Connection, orgs: Iterable[int], system_id: int) -> None:
    """Remember that organisations work in another trace system."""
    await conn.execute(store.SET_FOREIGN, sorted(set(orgs)), system_id)


async def works_here(conn: Connection, org: int) -> bool:
    """Whether an organisation has accounts or keys here, so that its bills are its own to submit."""
    found: bool = await conn.fetchval(store.WORKS_HERE, org)
    return found


async def end_foreign(conn: Connection, orgs: Iterable[int]) -> None:
    """They work here from now on."""
    await conn.execute(store.ENDED_FOREIGN, sorted(set(orgs)))


async def foreign(conn: Connection, orgs: Iterable[int]) -> dict[int, int]:
    """Those of `orgs` that work in another system, with that system's id."""
    rows = await conn.fetch(store.FOREIGN, sorted(set(orgs)))
    return {r["org"]: r["system_id"] for r in rows}


async def adopt(
    pool: Pool, committer: Committer, registry: Registry, master: bytes, upstream: Upstream
) -> Adopted:
    """Take the goods of a foreign shipping bill into our books and record the bill; its buyer then has a notice.

    Safe to repeat: the same bill gets the same answer. Refused as a whole: `adopt_not_foreign` when the sender works
    here, `relation_refused` when what is told contradicts itself or the registry. Single packages are refused in the
    answer: `adopt_not_theirs` (the code is not that system's), `adopt_conflict` (our books have it elsewhere).
    """
    async with pool.acquire() as conn:
        senders = await foreign(conn, [upstream.from_org])
        if upstream.from_org not in senders:
            card = registry.org(upstream.from_org)
            raise YaosuError("adopt_not_foreign", {"name": card.name if card is not None else "—"})
        before = await conn.fetchval(store.BILL, upstream.from_org, upstream.bill_no) is not None
    packages, refused = _theirs(registry, upstream)
    if not before and packages:
        taken_in = await _take_in(pool, registry, master, upstream, packages)
        conflicts = await _bring(pool, committer, registry, upstream, packages)
        refused += conflicts
        off = {f.params["code"] for f in conflicts}
        packages = [p for p in packages if p.code not in off]
    else:
        taken_in = []
    if not packages:
        return Adopted(None, taken_in, refused)
    movement = Movement(
        type=upstream.bill_type,
        bill_no=upstream.bill_no,
        owner=upstream.from_org,
        to_org=upstream.to_org,
        happened_at=upstream.happened_at,
        codes=[p.code for p in packages],
        header=dict(upstream.header),
        body=upstream.body,
    )
    result = await submit(pool, committer, registry, system_subject(upstream.from_org), movement)
    # also when the same bill comes again: whoever died in between left this undone
    async with pool.acquire() as conn, conn.transaction():
        await stops.catch_up(conn, {p.drug_id for p in packages})
    return Adopted(result, taken_in, refused)


async def take_in(
    pool: Pool, registry: Registry, master: bytes, upstream: Upstream
) -> tuple[list[str], list[Finding]]:
    """Take goods of another system into our books where they are, without a movement: the codes that are new here, and
    what was refused (`adopt_not_theirs`). Refused as a whole: `adopt_not_foreign`, `relation_refused`."""
    async with pool.acquire() as conn:
        if upstream.from_org not in await foreign(conn, [upstream.from_org]):
            card = registry.org(upstream.from_org)
            raise YaosuError("adopt_not_foreign", {"name": card.name if card is not None else "—"})
    packages, refused = _theirs(registry, upstream)
    taken = await _take_in(pool, registry, master, upstream, packages) if packages else []
    async with pool.acquire() as conn, conn.transaction():
        await stops.catch_up(conn, {p.drug_id for p in packages})
    return taken, refused


def _theirs(registry: Registry, upstream: Upstream) -> tuple[list[Package], list[Finding]]:
    """The outermost packages whose codes are that system's, in canonical form; the others with the reason."""
    kept, refused = [], []
    for n, package in enumerate(upstream.packages):
        wrong = next((p for p in package.all() if not _is_theirs(registry, upstream.system_id, p)), None)
        if wrong is None:
            kept.append(package)
        else:
            refused.append(Finding("adopt_not_theirs", {"code": wrong.code}, f"packages[{n}]"))
    return kept, refused


def _is_theirs(registry: Registry, system_id: int, package: Package) -> bool:
    code = parse(package.code, registry.customs)
    if isinstance(code, NotACode) or code.text != package.code:
        return False
    found = registry.resolve(code)
    return (
        found.kind == "elsewhere"
        and found.system is not None
        and found.system.id == system_id
        and found.drug_id == package.drug_id
    )


async def _take_in(
    pool: Pool, registry: Registry, master: bytes, upstream: Upstream, packages: Sequence[Package]
) -> list[str]:
    """Units for what is not in our books yet, in the sender's account; by the maker, since batches are a maker's."""
    taken: list[str] = []
    makers: dict[int, list[Package]] = {}
    for package in packages:
        product = registry.product(package.drug_id)
        assert product is not None  # the code resolved to it
        makers.setdefault(product.mah_id, []).append(package)
    async with pool.acquire() as conn, conn.transaction():
        for maker, theirs in sorted(makers.items()):
            keys = [(p.drug_id, p.code) for package in theirs for p in package.all()]
            known = set(await store.standing(conn, keys))
            new = [key for key in keys if key not in known]
            if not new:
                continue
            content = relation_file(theirs, known)
            digest = hashlib.sha256(content).hexdigest()
            with tempfile.NamedTemporaryFile(suffix=".json") as file:
                file.write(content)
                file.flush()
                options = Options(
                    name=f"{upstream.bill_no[:80]}.json",
                    bill_no=f"ZR-{upstream.system_id}-{digest[:16]}",
                    happened_at=upstream.happened_at - MOMENT,
                    holder=upstream.from_org,
                )
                await activate(conn, system_subject(maker), Path(file.name), registry, master, options)
            taken += [code for _, code in new]
    return taken


async def _bring(
    pool: Pool,
    committer: Committer,
    registry: Registry,
    upstream: Upstream,
    packages: Sequence[Package],
) -> list[Finding]:
    """Goods that were here before and went out to firms of other systems: what happened there in between was not told
    bill by bill, only that the sender has them now. Moves them there in those firms' names; the rest is a conflict."""
    async with pool.acquire() as conn:
        now = await store.standing(conn, [(p.drug_id, p.code) for p in packages])
        parties = {r["holder"] for r in now.values()} | {r["dest"] for r in now.values()}
        outside = set(await foreign(conn, parties))
    sender, conflicts = upstream.from_org, []
    receive: dict[tuple[int, int], list[str]] = {}
    ship: dict[int, list[str]] = {}
    for package in packages:
        row = now[(package.drug_id, package.code)]
        holder, dest = row["holder"], row["dest"]
        if row["root"] == package.code and row["status"] == "I" and holder == sender:
            continue
        if row["root"] != package.code or row["status"] not in ("I", "O"):
            conflicts.append(_conflict(package, row["status"]))
        elif row["status"] == "O" and dest in outside:
            receive.setdefault((dest, holder), []).append(package.code)
            if dest != sender:
                ship.setdefault(dest, []).append(package.code)
        elif row["status"] == "I" and holder in outside:
            ship.setdefault(holder, []).append(package.code)
        else:
            conflicts.append(_conflict(package, row["status"]))
    at = upstream.happened_at
    for (org, source), codes in sorted(receive.items()):
        await _mirror(pool, committer, registry, upstream, RECEIVE, org, source, codes, at - 4 * MOMENT)
    for org, codes in sorted(ship.items()):
        await _mirror(pool, committer, registry, upstream, SHIP, org, sender, codes, at - 3 * MOMENT)
        await _mirror(pool, committer, registry, upstream, RECEIVE, sender, org, codes, at - 2 * MOMENT)
    return conflicts


def _conflict(package: Package, status: str) -> Finding:
    return Finding("adopt_conflict", {"code": package.code, "status": status}, package.code)


async def _mirror(
    pool: Pool,
    committer: Committer,
    registry: Registry,
    upstream: Upstream,
    type: int,
    owner: int,
    other: int,
    codes: Sequence[str],
    at: datetime,
) -> None:
    """A bill in the name of a firm of another system, which that system implies."""
    digest = hashlib.sha256("\n".join([str(type), *codes]).encode()).hexdigest()[:12]
    movement = Movement(
        type=type,
        bill_no=f"ZR-{upstream.bill_no[:60]}-{digest}",
        owner=owner,
        happened_at=at,
        codes=list(codes),
        from_org=other if type == RECEIVE else None,
        to_org=other if type == SHIP else None,
        header={"note": "外系统推定"},
        body=upstream.body,
    )
    await submit(pool, committer, registry, system_subject(owner), movement)
