"""Submissions that name a person, kept as received but encrypted (D8 and design §6 at once).

`enc:v1:<person ids>:` followed by nonce, ciphertext and tag. The key depends on the salts of all persons named, so it
is gone when retention of one of them ends. Opening is an unmasking: scope, reason, audit.
"""

from __future__ import annotations

from collections.abc import Sequence

from yaosu.access import audit
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.people import store
from yaosu.people.keeper import Keeper
from yaosu.people.service import checked_reason, shown
from yaosu.subject import Subject

MARKER = b"enc:v1:"


async def seal(conn: Connection, keeper: Keeper, persons: Sequence[int], body: bytes) -> bytes:
    """`body` encrypted under a key that lives as long as all of `persons` (at least one) are kept."""
    wanted = sorted(set(persons))
    head = MARKER + ",".join(str(p) for p in wanted).encode() + b":"
    return head + keeper.seal(await _salts(conn, wanted), body, head)


def is_sealed(body: bytes) -> bool:
    """Whether a stored submission is encrypted."""
    return body.startswith(MARKER)


async def unseal(conn: Connection, keeper: Keeper, subject: Subject, sealed: bytes, reason: str) -> bytes:
    """The submission as received. Needs `person.unmask`, sight of every person named, and a reason, which is
    recorded for each. Refused: `not_sealed`, `not_found`, `person_erased`, `person_unreadable`."""
    subject.require("person.unmask")
    text = checked_reason(reason)
    head, persons = _head(sealed)
    if len(await shown(conn, keeper, subject, persons)) != len(persons):
        rows = await conn.fetch(store.SALTS, persons)
        if any(r["salt"] is None for r in rows):
            raise YaosuError("person_erased")
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    salts = await _salts(conn, persons)
    for person in persons:
        await audit.record(
            conn, subject, "person.unmask", ("person", person), {"reason": text, "what": "submission"}
        )
    return keeper.unseal(salts, sealed[len(head) :], head)


def _head(sealed: bytes) -> tuple[bytes, list[int]]:
    if not is_sealed(sealed):
        raise YaosuError("not_sealed")
    end = sealed.index(b":", len(MARKER)) + 1
    return sealed[:end], [int(p) for p in sealed[len(MARKER) : end - 1].split(b",")]


async def _salts(conn: Connection, persons: Sequence[int]) -> list[bytes]:
    rows = await conn.fetch(store.SALTS, list(persons))
    found = [r["salt"] for r in rows]
    if len(found) != len(persons) or any(s is None for s in found):
        raise YaosuError("person_erased")
    return found
