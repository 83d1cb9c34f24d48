"""定点医药机构: who may report and settle, under which application, with which keys (R-C7, R-F6).

Secrets are sealed with the master secret and shown once, when they are made. A profile without any signature is not
received: nobody could be told from anybody else.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import orjson
from asyncpg import Record

from yaosu import gm
from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.insurance import remit, store
from yaosu.insurance.envelope import Keys
from yaosu.insurance.model import Institution
from yaosu.insurance.profiles import Profile, profile
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

SCOPE = "insurance.receive"
CIPHER_KEY = 1
"""Generation of the master secret's key that seals secrets and calls (people.cipher_key)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a bureau says of an institution. `public_key` empty: a pair is made, and its private half shown once."""

    code: str
    name: str
    region: str
    profile: str = "national"
    org: int | None = None
    public_key: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Issued:
    """What the institution needs to call; shown once. `private_key` empty where it keeps its own."""

    institution: Institution
    secret: str
    private_key: str
    bureau_key: str
    """Public key of the bureau, against which answers are verified."""

    def __repr__(self) -> str:
        return f"Issued({self.institution.code})"


def receivable(registry: Registry, code: str, region: str) -> Profile:
    """The profile an institution may report under. Refused: `not_found`, `insurance_profile_unsigned`."""
    try:
        found = profile(registry.lists, code, region, date.today())  # noqa: DTZ011 - lists are valid by calendar day
    except KeyError:
        raise YaosuError("not_found", {"what": f"yibao_profile {code[:30]}"}) from None
    if not found.signtype and found.gateway != "csb":
        raise YaosuError("insurance_profile_unsigned", {"profile": found.code})
    return found


async def register(
    conn: Connection, registry: Registry, keeper: Keeper, subject: Subject, draft: Draft
) -> Issued:
    """A new institution in the bureau's region, with its keys.

    Refused: `insurance_not_bureau`, `insurance_outside_remit`, `insurance_institution_exists`, `insurance_key_invalid`,
    `insurance_profile_unsigned`, `not_found`.
    """
    subject.require(SCOPE)
    prefix = remit.bureau_prefix(registry, subject)
    if not draft.region.startswith(prefix):
        raise YaosuError("insurance_outside_remit", {"region": draft.region})
    receivable(registry, draft.profile, draft.region)
    card = registry.org(draft.org) if draft.org is not None else None
    if draft.org is not None and (card is None or card.type not in (3, 4)):
        raise YaosuError("not_found", {"what": f"org {draft.org}"})
    app = random.token_hex(16)
    kept, secret, private, bureau = _new_secrets(draft.public_key)
    sealed = keeper.close(CIPHER_KEY, orjson.dumps(kept), _bound(app))
    made = await conn.fetchval(
        store.REGISTER,
        subject.org,
        draft.org,
        draft.code,
        draft.name,
        draft.region,
        app,
        draft.profile,
        sealed,
        subject.account_id,
    )
    if made is None:
        raise YaosuError("insurance_institution_exists", {"code": draft.code})
    await audit.record(
        conn, subject, "insurance.register", ("insurance_institution", made), {"code": draft.code}
    )
    row = await conn.fetchrow(store.BY_ID, made)
    assert row is not None
    return Issued(store.institution(row), secret, private, bureau)


async def renew(
    conn: Connection,
    registry: Registry,
    keeper: Keeper,
    subject: Subject,
    institution_id: int,
    public_key: str = "",
) -> Issued:
    """New secrets for an institution; the old ones end at once. Refused: `not_found`, `insurance_key_invalid`."""
    one = await of_remit(conn, registry, subject, institution_id)
    kept, secret, private, bureau = _new_secrets(public_key)
    sealed = keeper.close(CIPHER_KEY, orjson.dumps(kept), _bound(one.app))
    await conn.execute(store.NEW_SECRETS, one.id, sealed)
    await audit.record(conn, subject, "insurance.renew", ("insurance_institution", one.id))
    return Issued(one, secret, private, bureau)


async def end(conn: Connection, registry: Registry, subject: Subject, institution_id: int) -> None:
    """Nothing more is received from it; what it reported stays. Again is no error."""
    one = await of_remit(conn, registry, subject, institution_id)
    if await conn.execute(store.END, one.id) == "UPDATE 1":
        await audit.record(conn, subject, "insurance.end", ("insurance_institution", one.id))


async def of_remit(
    conn: Connection, registry: Registry, subject: Subject, institution_id: int
) -> Institution:
    """An institution of the bureau's region; `not_found` for others."""
    subject.require(SCOPE)
    prefix = remit.bureau_prefix(registry, subject)
    row = await conn.fetchrow(store.BY_ID, institution_id)
    if row is None or not row["region"].startswith(prefix):
        raise YaosuError("not_found", {"what": f"institution {institution_id}"})
    return store.institution(row)


async def listed(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    after: int = 0,
    part: str = "",
    count: int = 50,
) -> Sequence[Record]:
    """The institutions of the bureau's region, by number."""
    subject.require(SCOPE)
    prefix = remit.bureau_prefix(registry, subject)
    return list(await conn.fetch(store.OF_REMIT, prefix, after, part, count))


def opened(keeper: Keeper, app: str, sealed: bytes) -> tuple[Keys, str]:
    """(keys of the bureau's side, token of the gateway's signature) of an institution; never to be logged."""
    kept = orjson.loads(keeper.open(CIPHER_KEY, sealed, _bound(app)))
    keys = Keys(app, kept["secret"], bytes.fromhex(kept["private"]), bytes.fromhex(kept["public"]))
    return keys, kept["secret"]


def _new_secrets(public_key: str) -> tuple[dict[str, str], str, str, str]:
    """(what is kept, the shared secret, the institution's private key or nothing, the bureau's public key)."""
    own_private, own_public = gm.new_keys()
    private = b""
    if public_key.strip():
        try:
            public = gm.public_key(public_key.strip())
        except ValueError:
            raise YaosuError("insurance_key_invalid") from None
    else:
        private, public = gm.new_keys()
    secret = random.token_hex(16)
    kept = {"secret": secret, "private": own_private.hex(), "public": public.hex()}
    return kept, secret, private.hex(), own_public.hex()


def _bound(app: str) -> bytes:
    return b"insurance institution " + app.encode()
