"""Which organisation an identifier of a party or location means, and how our organisations are named outwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, unquote

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.epcis import store
from yaosu.exchange.epcis.identifiers import GS1, ORG, NotAnIdentifierError, canonical
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

_OTHER = re.compile(r"x(\d{1,3}):(.{1,100})")


def gln_key(inner: str) -> str:
    """`GLN` or `GLN/extension` of a location or party identifier; empty when it has none."""
    found = re.match(rf"{GS1}/41[47]/(\d{{13}})(?:/254/(.+))?$", inner)
    if found is None:
        return ""
    return found[1] + (f"/{unquote(found[2])}" if found[2] else "")


def inner_of(text: str) -> str:
    """The inner form of an identifier, or the text itself where it is none."""
    try:
        return canonical(text)
    except NotAnIdentifierError:
        return text


class Parties:
    """The organisations behind the identifiers of one document, as its sender means them."""

    def __init__(self, registry: Registry, known: Mapping[str, int], others: Mapping[str, int]) -> None:
        self._registry, self._known, self._others = registry, known, others

    @classmethod
    async def load(cls, conn: Connection, registry: Registry, keeper: int, inner: Iterable[str]) -> Parties:
        """Look up everything at once: the sender's own word goes before what others say of themselves."""
        keys: set[str] = set()
        others: dict[str, int] = {}
        for one in set(inner):
            key = gln_key(one)
            if key:
                keys |= {key, key[:13]}
            elif one.startswith(ORG) and (found := _OTHER.fullmatch(unquote(one[len(ORG) :]))):
                org = await conn.fetchval(store.ORG_BY_OTHER, int(found[1]), found[2])
                if org is not None:
                    others[one] = org
        known: dict[str, int] = {}
        rows = await conn.fetch(store.PARTIES, keeper, sorted(keys)) if keys else []
        for row in sorted(rows, key=lambda r: not r["own"]):
            known[row["uri"]] = row["party"]
        return cls(registry, known, others)

    def org(self, inner: str) -> int | None:
        """The organisation, or None when nobody has said whose it is."""
        if inner.startswith(ORG):
            card = self._registry.org_by_uscc(unquote(inner[len(ORG) :]).upper())
            return card.id if card is not None else self._others.get(inner)
        key = gln_key(inner)
        if not key:
            return None
        return self._known.get(key, self._known.get(key[:13]))


async def put_party(conn: Connection, subject: Subject, registry: Registry, text: str, party: int) -> str:
    """Say which organisation a GLN means (`org.write` for the own, `bill.write` for others); its key.

    Refused: `epcis_party_form`; `epcis_party_taken` when another organisation calls the GLN its own.
    """
    subject.require("org.write" if party == subject.org else "bill.write")
    key = gln_key(inner_of(text)) or (text if re.fullmatch(r"\d{13}", text) else "")
    if not key or gln_key(inner_of(f"{GS1}/414/{key[:13]}")) != key[:13]:
        wrong = Finding("epcis_party_form", {"given": text[:100]}, "uri")
        raise YaosuError("invalid_request", {"count": 1}, [wrong])
    if registry.org(party) is None:
        raise YaosuError("not_found", {"what": str(party)})
    owner = await conn.fetchval(store.OWN_PARTY, key)
    if owner is not None and owner != party:
        raise YaosuError("epcis_party_taken", {"given": key})
    await conn.execute(store.PUT_PARTY, subject.org, key, party)
    await audit.record(conn, subject, "org.change", ("org", party), {"gln": key})
    return key


async def drop_party(conn: Connection, subject: Subject, key: str) -> None:
    """Take the own word on a GLN back (`bill.write`, `org.write` for the own)."""
    row = await conn.fetchval(store.PARTY_OF, subject.org, key)
    if row is None:
        raise YaosuError("epcis_no_such", {"what": key[:60]})
    subject.require("org.write" if row == subject.org else "bill.write")
    await conn.execute(store.DROP_PARTY, subject.org, key)
    await audit.record(conn, subject, "org.change", ("org", row), {"gln": key, "removed": True})


async def names_of(conn: Connection, registry: Registry, orgs: Iterable[int]) -> dict[int, str]:
    """Identifiers of our organisations outwards: their own GLN where they told one, else `urn:yaosu:org:`."""
    wanted = sorted(set(orgs))
    found: dict[int, str] = {}
    for row in await conn.fetch(store.GLNS_OF, wanted):
        gln, _, extension = row["uri"].partition("/")
        tail = f"/254/{quote(extension, safe='-._~')}" if extension else ""
        found[row["party"]] = f"{GS1}/414/{gln}{tail}" if tail else f"{GS1}/417/{gln}"
    missing = []
    for org in wanted:
        if org in found:
            continue
        card = registry.org(org)
        if card is not None and card.uscc:
            found[org] = ORG + card.uscc
        else:
            missing.append(org)
    for row in await conn.fetch(store.OTHER_IDS, missing) if missing else []:
        found[row["id"]] = ORG + quote(f"x{row['other_id_kind']}:{row['other_id']}", safe=":-._~")
    return found
