"""Partners that are not in the directory yet: asked for over the gateway, entered by the operator (interfaces §2.4).

The directory is the operator's (one id per organisation, no second one), so a request waits for its audit. Its name
(`ref_ent_id`) is made of the 统一社会信用代码, so that all who ask for the same firm are promised the same name, and
becomes the firm's own when it is entered, by the decision on a request or any other way.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from asyncpg import Record

from yaosu.access import audit
from yaosu.codes.identifiers import check_uscc
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.exchange.top import store
from yaosu.exchange.top import store_misc as misc
from yaosu.exchange.top.aliases import make
from yaosu.notify.service import tell
from yaosu.registry import service as registry_service
from yaosu.registry.drafts import OrgDraft
from yaosu.registry.lists import CodeLists, delivered
from yaosu.registry.model import Org
from yaosu.registry.roles import require_operator
from yaosu.subject import Subject

PICTURE_MAX = 2 << 20
_PICTURES = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"BM": "bmp", b"GIF8": "gif"}
TYPES = (1, 2, 3, 4, 5, 7, 8)


@dataclass(frozen=True, slots=True)
class PartnerDraft:
    """A partner as asked for."""

    name: str
    org_code: str
    org_type: int
    sub_type: int | None
    region: str
    address: str
    licence_kind: int | None
    contact: dict[str, str]


def promised(master: bytes, org_code: str) -> str:
    """The `ref_ent_id` that a firm not yet entered will have."""
    digest = hmac.digest(master, f"yaosu top partner {org_code}".encode(), hashlib.sha256)
    return digest[:16].hex()


def region_named(province: str, city: str, area: str, lists: CodeLists | None = None) -> str:
    """GB/T 2260 of a place by its names, as close as they are known; empty when not even the province is."""
    items = [i for i in (lists or delivered()).get("region") if not i.attrs.get("hidden")]

    def find(name: str, begins: str, ends: str) -> str:
        name = name.strip()
        if not name:
            return ""
        found = [i.code for i in items if i.code.startswith(begins) and i.code.endswith(ends)
                 and (i.zh == name or i.zh.startswith(name) or name.startswith(i.zh))]  # fmt: skip
        return found[0] if found else ""

    first = find(province, "", "0000")
    if not first:
        return ""
    second = find(city, first[:2], "00") or first
    if second.endswith("0000"):
        return second
    third = find(area, second[:4], "")
    return third or second


def readable(picture: bytes) -> bool:
    """Whether the bytes begin like a picture and are not too many."""
    return 0 < len(picture) <= PICTURE_MAX and any(picture.startswith(head) for head in _PICTURES)


async def ask(
    conn: Connection, subject: Subject, org: int, master: bytes, draft: PartnerDraft, picture: bytes
) -> Record:
    """Ask for a directory entry; (id, ref_ent_id, state). The same firm asked again is the same request, renewed."""
    row = await conn.fetchrow(
        misc.ADD_PARTNER,
        org,
        draft.name,
        draft.org_code,
        draft.org_type,
        draft.sub_type,
        draft.region,
        draft.address,
        draft.licence_kind,
        draft.contact,
        picture,
        promised(master, draft.org_code),
        subject.account_id,
    )
    assert row is not None
    await audit.record(
        conn,
        subject,
        "top.partner_asked",
        ("top_partner", row["id"]),
        {"org_code": draft.org_code},
        org_id=org,
    )
    return row


async def waiting(conn: Connection, subject: Subject) -> list[dict[str, Any]]:
    """Requests that wait for audit (operator only)."""
    require_operator(subject)
    return [dict(row) for row in await conn.fetch(misc.WAITING)]


async def accept(conn: Connection, subject: Subject, request_id: int, master: bytes) -> Org:
    """Enter the firm in the directory (operator only), under the name it was promised; the asker is told.

    Refused as `registry.create_org` refuses, and `not_found` for a request that does not wait.
    """
    require_operator(subject)
    row = await _one(conn, request_id)
    contact = row["contact"]
    draft = OrgDraft(
        name=row["name"],
        type=row["org_type"],
        sub_type=row["sub_type"],
        region=row["region"],
        uscc=row["org_code"],
        address=row["address"],
        contact_name=contact.get("name", ""),
        contact_phone=contact.get("phone", ""),
        contact_email=contact.get("email", ""),
    )
    made = await registry_service.create_org(conn, subject, draft, same_name_ok=True)
    await name_it(conn, master, made.id, row["ref_ent_id"])
    await conn.execute(misc.DECIDE, request_id, "accepted", "", made.id, subject.account_id)
    params = {"name": made.name}
    await tell(conn, row["org"], "notice_top_partner_accepted", params, "/orgs", f"top_partner {request_id}")
    return made


async def refuse(conn: Connection, subject: Subject, request_id: int, reason: str) -> None:
    """Say no to a request (operator only); the asker is told why."""
    require_operator(subject)
    row = await _one(conn, request_id)
    await conn.execute(misc.DECIDE, request_id, "refused", reason[:500], None, subject.account_id)
    details = {"org_code": row["org_code"], "reason": reason[:500]}
    await audit.record(conn, subject, "top.partner_refused", ("top_partner", request_id), details)
    params = {"name": row["name"], "reason": reason[:500]}
    await tell(conn, row["org"], "notice_top_partner_refused", params, "/orgs", f"top_partner {request_id}")


async def _one(conn: Connection, request_id: int) -> Record:
    row = await conn.fetchrow(misc.ONE_REQUEST, request_id)
    if row is None or row["state"] != "waiting":
        raise YaosuError("not_found", {"what": "往来单位申请 / partner request"})
    return row


async def name_it(conn: Connection, master: bytes, org: int, ref_ent_id: str) -> None:
    """Give an organisation the promised name, unless it has one."""
    ent_id = make(master, org).ent_id
    await conn.execute(store.ADD_ALIASES, [org], [ent_id], [ref_ent_id])


async def settle(conn: Connection, org: int) -> None:
    """Note which of one's requests have been answered by the firm's entry some other way."""
    await conn.execute(misc.SETTLE, org)


def checked_code(text: str) -> str | None:
    """The 统一社会信用代码 in its normal form; None when it is none."""
    return check_uscc(text).value
