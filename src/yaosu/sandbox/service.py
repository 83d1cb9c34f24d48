"""Verbs of the sandbox: make it, look at it, reset it, and keys to it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncpg import Record

from yaosu.access import audit, keys, scopes
from yaosu.access.cache import identities
from yaosu.circulation.committer import Committer
from yaosu.circulation.model import Movement
from yaosu.circulation.service import submit
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.notify.routed import raise_version
from yaosu.production.activation import Options, activate
from yaosu.production.relation.dates import add_shelf_life
from yaosu.registry import service as registry_service
from yaosu.registry.drafts import FilingDraft, OrgDraft, ProductDraft
from yaosu.registry.resolver import Registry
from yaosu.registry.service_orgs import draft_of
from yaosu.sandbox import store, world
from yaosu.subject import ADMIN, SYSTEM, Subject

SCOPE = "key.manage"
BATCH = "SBX2601"
SHELF_LIFE = 36
"""Months."""
GOVERNMENT = 110


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox as it is now. `roles`: maker, wholesaler, pharmacy, hospital → organisation."""

    id: int
    org: int
    generation: int
    building: bool
    roles: Mapping[str, int]
    drugs: Sequence[int]
    made_at: datetime
    reset_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the verbs need of the server."""

    pool: Pool
    committer: Committer
    registry: Registry
    master: bytes


def _sandbox(row: Record) -> Sandbox:
    return Sandbox(**{name: row[name] for name in Sandbox.__slots__})


async def get(conn: Connection, subject: Subject) -> Sandbox | None:
    """The own firm's sandbox, or None (`key.manage`)."""
    subject.require(SCOPE)
    row = await conn.fetchrow(store.OF, subject.org)
    return _sandbox(row) if row is not None else None


async def build(
    pool: Pool, committer: Committer, registry: Registry, master: bytes, subject: Subject
) -> Sandbox:
    """Make the firm's sandbox, or give it a new generation when there is one: the goods are back where they began, keys
    and accounts stay, everything recorded before stays on record in abolished organisations.

    Refused: `sandbox_building` while another one works on it, `sandbox_inside` from within a sandbox.
    """
    subject.require(SCOPE)
    parts = _Parts(pool, committer, registry, master)
    async with pool.acquire() as conn, conn.transaction():
        if await conn.fetchval("SELECT 1 FROM sandbox_org WHERE org = $1", subject.org):
            raise YaosuError("sandbox_inside")
        await conn.execute(store.MAKE, subject.org)
        row = await conn.fetchrow(store.OF, subject.org)
        assert row is not None
        if await conn.execute(store.BEGIN, row["id"]) != "UPDATE 1":
            raise YaosuError("sandbox_building")
    before = _sandbox(row)
    try:
        roles, drugs = await _generation(parts, before)
        async with pool.acquire() as conn, conn.transaction():
            await _move(conn, before, roles)
            await conn.execute(store.READY, before.id, before.generation + 1, roles, drugs)
            await audit.record(
                conn, subject, "sandbox.build", ("sandbox", before.id), {"generation": before.generation + 1}
            )
    except BaseException:
        async with pool.acquire() as conn:
            await conn.execute(store.FAILED, before.id)
        raise
    async with pool.acquire() as conn:
        await registry.refresh(conn)
        found = await get(conn, subject)
    assert found is not None
    return found


async def new_key(conn: Connection, subject: Subject, role: str, name: str = "") -> tuple[int, str]:
    """An API key of one of the sandbox's organisations; its number and, this once, its secret.

    Refused: `sandbox_none`, `not_found`.
    """
    found = await get(conn, subject)
    if found is None or not found.roles:
        raise YaosuError("sandbox_none")
    if role not in found.roles:
        raise YaosuError("not_found", {"what": f"role {role}"})
    org = found.roles[role]
    kind = next(r.type for r in world.ROLES if r.key == role)
    wanted = scopes.grantable(str(kind))
    made, secret = await keys.create_key(conn, SYSTEM, name or f"sandbox {role}", wanted, org_id=org)
    return made.id, secret


async def end_key(conn: Connection, subject: Subject, number: int) -> None:
    """End a key of the sandbox. Refused: `sandbox_none`, `not_found`."""
    found = await get(conn, subject)
    if found is None:
        raise YaosuError("sandbox_none")
    if not await conn.fetchval(store.IS_KEY, number, list(found.roles.values())):
        raise YaosuError("not_found", {"what": f"key {number}"})
    await keys.revoke_key(conn, SYSTEM, number)


async def keys_of(conn: Connection, subject: Subject) -> list[dict[str, Any]]:
    """The keys of the sandbox's organisations that are in force."""
    found = await get(conn, subject)
    if found is None:
        return []
    roles = {org: role for role, org in found.roles.items()}
    rows = await conn.fetch(store.KEYS, list(roles))
    return [{**dict(row), "role": roles[row["org_id"]]} for row in rows]


async def _generation(parts: _Parts, box: Sandbox) -> tuple[dict[str, int], list[int]]:
    """Organisations, products and goods of the next generation."""
    generation = box.generation + 1
    # a build that broke off leaves its organisations behind; their numbers are not used again
    today = datetime.now(UTC).date()
    async with parts.pool.acquire() as conn, conn.transaction():
        number = int(await conn.fetchval(store.NEXT_PREFIX))
        firm = parts.registry.org(box.org)
        # an authority's region may be the nation; the firms of its sandbox need a place
        region = firm.region if firm is not None and firm.type != GOVERNMENT else "370102"
        roles = {}
        for n, role in enumerate(world.ROLES):
            draft = OrgDraft(
                name=f"沙箱{box.id}号{role.zh}（第{generation}代 {number}）",
                short_name=f"沙箱{role.zh}",
                type=role.type,
                sub_type=role.sub_type,
                region=region,
                uscc=world.uscc(region, 4 * number + n),
                contact_name="沙箱",
            )
            roles[role.key] = (await registry_service.create_org(conn, SYSTEM, draft)).id
            await conn.execute(store.ADD_ORG, roles[role.key], box.id, generation, role.key)
        await raise_version(conn)
        drugs = [await _product(conn, kind, number, roles["maker"], today) for kind in world.KINDS]
    async with parts.pool.acquire() as conn:
        await parts.registry.refresh(conn)
    made = today - timedelta(days=60)
    for kind, drug in zip(world.KINDS, drugs, strict=True):
        await _goods(parts, kind, number, roles, made, drug)
    return roles, drugs


async def _product(conn: Connection, kind: world.Kind, number: int, maker: int, today: date) -> int:
    levels = world.ladder(kind, number)
    system = next(s for s in await registry_service.list_systems(conn, SYSTEM) if s.own)
    filing = FilingDraft(
        org_id=maker,
        scheme=kind.scheme,
        rule_text="沙箱：仅供联调，不用于真实药品",
        filed_on=today,
        prefixes=tuple(level.identifier for level in levels),
        system_id=system.id,
    )
    await registry_service.file_rule(conn, SYSTEM, filing)
    draft = ProductDraft(
        generic_name=kind.name,
        dosage_form="胶囊剂",
        strength="0.3g",
        package_size="24粒/盒",
        shelf_life=SHELF_LIFE,
        shelf_life_unit=2,
        registration_class="chemical",
        mah_id=maker,
        manufacturer_id=maker,
        levels=levels,
        prep_unit="粒",
        prep_units_per=24,
        approval_no=f"国药准字H00{number:06d}",
        prescription="otc_a",
    )
    return (await registry_service.create_product(conn, SYSTEM, draft)).id


def expires_of(made: date) -> date:
    """The last day of what was made then, on the 29th of February too."""
    after = add_shelf_life(made, SHELF_LIFE, 2)
    assert after is not None
    return after - timedelta(days=1)


async def _goods(
    parts: _Parts, kind: world.Kind, number: int, roles: Mapping[str, int], made: date, drug: int
) -> None:
    """Activated and partly passed on: stock everywhere, and something under way to everybody."""
    goods = world.cases(kind, number)
    expires = expires_of(made)
    content = world.relation_file(BATCH, made, expires, goods)
    begun = datetime.now(UTC) - timedelta(hours=6)
    maker = Subject("system", org_id=roles["maker"], scopes=frozenset({ADMIN}), name="sandbox")
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        file.write(content)
        file.flush()
        async with parts.pool.acquire() as conn, conn.transaction():
            options = Options(name="sandbox.json", stock_in=True, happened_at=begun)
            await activate(conn, maker, Path(file.name), parts.registry, parts.master, options)
    steps = 0

    async def move(type: int, owner: str, cases: Sequence[world.Case], **parties: int) -> None:
        nonlocal steps
        steps += 1
        movement = Movement(
            type=type,
            bill_no=f"SBX-{drug}-{steps:02d}",
            owner=roles[owner],
            happened_at=begun + timedelta(minutes=10 * steps),
            codes=[c.code for c in cases],
            header={"note": "沙箱"},
            **parties,  # type: ignore[arg-type]
        )
        subject = Subject("system", org_id=roles[owner], scopes=frozenset({ADMIN}), name="sandbox")
        result = await submit(parts.pool, parts.committer, parts.registry, subject, movement)
        assert result.status == "accepted", result

    shipped = goods[: world.TO_WHOLESALER]
    await move(201, "maker", shipped[:-1], to_org=roles["wholesaler"])
    await move(102, "wholesaler", shipped[:-1], from_org=roles["maker"])
    await move(201, "maker", shipped[-1:], to_org=roles["wholesaler"])
    to_pharmacy = shipped[: world.TO_PHARMACY]
    to_hospital = shipped[world.TO_PHARMACY :][: world.TO_HOSPITAL]
    await move(201, "wholesaler", to_pharmacy[:1], to_org=roles["pharmacy"])
    await move(102, "pharmacy", to_pharmacy[:1], from_org=roles["wholesaler"])
    await move(201, "wholesaler", to_pharmacy[1:], to_org=roles["pharmacy"])
    await move(201, "wholesaler", to_hospital, to_org=roles["hospital"])
    await move(102, "hospital", to_hospital, from_org=roles["wholesaler"])


async def _move(conn: Connection, before: Sandbox, roles: Mapping[str, int]) -> None:
    """Keys and accounts to the new organisations; the old ones are abolished."""
    for role, old in before.roles.items():
        for row in await conn.fetch(store.MOVE_KEYS, old, roles[role]):
            identities.forget("key", row["id"])
        for row in await conn.fetch(store.MOVE_ACCOUNTS, old, roles[role]):
            identities.forget("account", row["id"])
        org = await registry_service.get_org(conn, SYSTEM, old)
        draft = replace(draft_of(org), status=0)
        await registry_service.update_org(conn, SYSTEM, old, draft, org.version)
