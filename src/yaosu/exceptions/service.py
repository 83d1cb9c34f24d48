"""Verbs on a case: speak, show, propose, accept, correct, suspend, close (R-B4, R-B5, R-X3).

A resolution is proposed by one side and accepted by the other; then the case closes and its goods are free for the
next movement. Until then they stay in quarantine.
"""

from __future__ import annotations

import asyncio
from typing import Literal

from asyncpg import Record

from yaosu.access import audit
from yaosu.circulation import holds
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exceptions import opening, record, store
from yaosu.exceptions.model import PIECES_MAX, Offer, kind_item, resolution_item, texts
from yaosu.exceptions.photos import PHOTOS_MAX, redrawn
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import submittable
from yaosu.stops import service as stops
from yaosu.subject import Subject

_RELEASE = 6


async def say(conn: Connection, registry: Registry, subject: Subject, case_id: int, text: str) -> int:
    """A question or an answer; parties only. The entry's number."""
    row, acting, roles = await record.locked(conn, registry, subject, case_id)
    entry = await record.enter(conn, case_id, acting, subject.account_id, "message", text)
    await conn.execute(store.ANSWERED, case_id, acting)
    await record.tell(conn, registry, row, roles, "notice_exception_message", entry, acting)
    return entry


async def attach(
    conn: Connection, registry: Registry, subject: Subject, case_id: int, title: str, content: bytes
) -> int:
    """A photograph as evidence; its number. Refused: `photo_unreadable`, `photo_too_large`, `photo_too_many`."""
    row, acting, roles = await record.locked(conn, registry, subject, case_id)
    if await conn.fetchval(store.PHOTO_COUNT, case_id) >= PHOTOS_MAX:
        raise YaosuError("photo_too_many", {"limit": PHOTOS_MAX})
    photo = await asyncio.to_thread(redrawn, content)
    title = title.strip()[:100]
    made: int = await conn.fetchval(
        store.INSERT_PHOTO,
        case_id,
        acting,
        subject.account_id,
        title,
        photo.media,
        photo.width,
        photo.height,
        photo.sha256,
        photo.body,
    )
    params = {"photo": made, "sha256": photo.sha256.hex()}
    entry = await record.enter(conn, case_id, acting, subject.account_id, "evidence", title, params)
    await conn.execute(store.ANSWERED, case_id, acting)
    await record.tell(conn, registry, row, roles, "notice_exception_message", entry, acting)
    return made


async def photo(conn: Connection, subject: Subject, case_id: int, photo_id: int) -> tuple[str, bytes]:
    """Media type and bytes of a photograph, for whoever sees the case."""
    await record.seen(conn, subject, case_id)
    row = await conn.fetchrow(store.PHOTO, case_id, photo_id)
    if row is None:
        raise YaosuError("not_found", {"what": "照片" if subject.lang == "zh" else "Photo"})
    return row["media"], row["body"]


async def propose(conn: Connection, registry: Registry, subject: Subject, case_id: int, offer: Offer) -> int:
    """Propose a resolution; the proposal's number. One open at a time.

    Refused: `exception_resolution_unfit` for the kind or the side, `exception_proposal_open`, `field_invalid` where a
    credit lacks its number or amount, `exception_bill_unfit` for a bill that is not the seller's to the buyer.
    """
    row, acting, roles = await record.locked(conn, registry, subject, case_id)
    item = resolution_item(registry.lists, offer.kind)
    allowed = texts(kind_item(registry.lists, row["kind"]), "resolutions")
    ours = [o for o in record.sides(registry, subject, row) if roles.get(o, "") in texts(item, "by")]
    acting = ours[0] if ours else acting
    if offer.kind not in allowed or not ours:
        raise YaosuError("exception_resolution_unfit", {"kind": item.zh if subject.lang == "zh" else item.en})
    needs = item.attrs.get("needs")
    if needs == "credit" and (not offer.credit_no.strip() or offer.amount is None or offer.amount <= 0):
        raise _field(subject, "credit_no", "请填写折让单号和金额", "credit note number and amount are needed")
    bill_id = await _bill_between(conn, row, offer.bill_no) if offer.bill_no.strip() else None
    if await conn.fetchrow(store.OPEN_PROPOSAL, case_id) is not None:
        raise YaosuError("exception_proposal_open")
    if needs == "correction" and bill_id is None:
        bill_id = await _correction(conn, row)
    made: int = await conn.fetchval(
        store.PROPOSE, case_id, acting, offer.kind, offer.text, bill_id, offer.amount, offer.credit_no.strip()
    )
    params = {"proposal": made, "kind": offer.kind}
    entry = await record.enter(conn, case_id, acting, subject.account_id, "proposal", offer.text, params)
    await conn.execute(store.ANSWERED, case_id, acting)
    more = {"resolution": item.zh, "resolution_en": item.en}
    await record.tell(conn, registry, row, roles, "notice_exception_proposal", entry, acting, more)
    return made


async def link(conn: Connection, registry: Registry, subject: Subject, case_id: int, bill_no: str) -> int:
    """Name the bill that the open proposal rests on: the shipment sent since, or the missing data; its number."""
    row, _, _ = await record.locked(conn, registry, subject, case_id)
    proposal = await conn.fetchrow(store.OPEN_PROPOSAL, case_id)
    if proposal is None or proposal["org"] not in record.sides(registry, subject, row):
        raise YaosuError("exception_no_proposal")
    acting = proposal["org"]
    bill_id = await _bill_between(conn, row, bill_no)
    await conn.execute(store.LINK_PROPOSAL, proposal["id"], bill_id)
    await record.enter(conn, case_id, acting, subject.account_id, "linked", "", {"bill": str(bill_id)})
    return bill_id


async def _bill_between(conn: Connection, row: Record, bill_no: str) -> int:
    """A shipment of the seller to the buyer, recorded after the one in question; refused (`exception_bill_unfit`)."""
    found = await conn.fetchrow(
        store.BILL_BETWEEN, row["seller"], row["buyer"], bill_no.strip(), row["notice_bill"]
    )
    fits = (
        found is not None and found["type"] in submittable() and submittable()[found["type"]].kind == "ship"
    )
    if found is None or not fits:
        raise YaosuError("exception_bill_unfit", {"bill_no": bill_no.strip()})
    return int(found["id"])


async def _correction(conn: Connection, row: Record) -> int | None:
    """The latest later revision of the bill that announced the goods, made since the case was opened."""
    if row["notice_bill"] is None:
        return None
    found = await conn.fetchrow(store.LATER_REVISION, row["notice_bill"], row["opened_at"])
    return int(found["id"]) if found is not None else None


async def answer(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    case_id: int,
    proposal_id: int,
    accept: bool,
    text: str = "",
) -> None:
    """Accept a proposal of the other side, which closes the case, or decline it with a reason.

    Refused: `exception_no_proposal`, `exception_own_proposal`, and for acceptance `exception_not_corrected`,
    `exception_not_sent` while what the resolution rests on is not on record.
    """
    row, acting, roles = await record.locked(conn, registry, subject, case_id)
    await sync(conn, registry, row)
    proposal = await conn.fetchrow(store.PROPOSAL, case_id, proposal_id)
    if proposal is None or proposal["state"] != "open":
        raise YaosuError("exception_no_proposal")
    others = [org for org in record.sides(registry, subject, row) if org != proposal["org"]]
    if not others:
        raise YaosuError("exception_own_proposal")
    acting = others[0]
    if not accept and len(text.strip()) < 2:
        raise _field(subject, "text", "请说明不同意的原因", "say why")
    if accept:
        await _require(conn, registry, row, proposal)
    await conn.execute(store.SET_PROPOSAL, proposal_id, "accepted" if accept else "declined")
    what, params = "accepted" if accept else "declined", {"proposal": proposal_id, "kind": proposal["kind"]}
    entry = await record.enter(conn, case_id, acting, subject.account_id, what, text, params)
    await conn.execute(store.ANSWERED, case_id, acting)
    item = resolution_item(registry.lists, proposal["kind"])
    more = {"resolution": item.zh, "resolution_en": item.en}
    await record.tell(conn, registry, row, roles, f"notice_exception_{what}", entry, acting, more)
    if accept:
        await _close(conn, registry, row, "closed", proposal["kind"], acting, subject)


async def _require(conn: Connection, registry: Registry, row: Record, proposal: Record) -> None:
    """What the resolution rests on must be on record."""
    needs = resolution_item(registry.lists, proposal["kind"]).attrs.get("needs")
    if needs == "shipment" and proposal["bill_id"] is None:
        raise YaosuError("exception_not_sent")
    if needs == "correction" and proposal["bill_id"] is None and not await _activated_since(conn, row):
        raise YaosuError("exception_not_corrected")


async def _activated_since(conn: Connection, row: Record) -> bool:
    """Whether the codes that were unknown at the receipt are all activated by now."""
    items = await conn.fetch(store.ITEMS, row["id"], PIECES_MAX)
    if row["kind"] != "not_activated" or not items:
        return False
    return bool(await conn.fetchval(store.KNOWN_UNITS, row["id"]) == len(items))


async def take_back(
    conn: Connection, registry: Registry, subject: Subject, case_id: int, proposal_id: int
) -> None:
    """Withdraw an own proposal that is not answered yet."""
    row, _, _ = await record.locked(conn, registry, subject, case_id)
    proposal = await conn.fetchrow(store.PROPOSAL, case_id, proposal_id)
    ours = record.sides(registry, subject, row)
    if proposal is None or proposal["state"] != "open" or proposal["org"] not in ours:
        raise YaosuError("exception_no_proposal")
    acting = proposal["org"]
    await conn.execute(store.SET_PROPOSAL, proposal_id, "taken_back")
    params = {"proposal": proposal_id, "kind": proposal["kind"]}
    await record.enter(conn, case_id, acting, subject.account_id, "taken_back", "", params)


async def withdraw(conn: Connection, registry: Registry, subject: Subject, case_id: int, reason: str) -> None:
    """Take back a case opened by mistake; by the side that opened it. Refused (`exception_not_opener`) for others."""
    row, _, roles = await record.locked(conn, registry, subject, case_id)
    acting = row["opened_by"]
    if acting not in record.sides(registry, subject, row):
        raise YaosuError("exception_not_opener")
    if len(reason.strip()) < 2:
        raise _field(subject, "reason", "请填写撤回原因", "say why")
    await record.tell(conn, registry, row, roles, "notice_exception_withdrawn", "withdrawn", acting)
    await _close(conn, registry, row, "withdrawn", "", acting, subject, reason.strip())


async def _close(
    conn: Connection,
    registry: Registry,
    row: Record,
    state: Literal["closed", "withdrawn"],
    resolution: str,
    org: int,
    subject: Subject,
    text: str = "",
) -> None:
    await conn.execute(store.CLOSE, row["id"], state, resolution)
    await conn.execute(store.END_PROPOSALS, row["id"])
    await holds.release(conn, row["id"], saleable=_saleable(registry, resolution) if resolution else None)
    await record.enter(conn, row["id"], org, subject.account_id, state, text, {"resolution": resolution})
    if row["check_id"] is not None:
        await opening.close_check(conn, registry, row["check_id"])
    details = {"resolution": resolution}
    await audit.record(conn, subject, f"exception.{state}", ("exception", row["id"]), details)


def _saleable(registry: Registry, resolution: str) -> bool:
    """Whether goods may be released into stock after such a resolution (list `exception_resolution`)."""
    return str(_RELEASE) in texts(resolution_item(registry.lists, resolution), "next")


async def sync(conn: Connection, registry: Registry, row: Record) -> int | None:
    """Put a later revision of the announced bill on the case's record, and under an open proposal to correct the data.

    Called whenever the case is looked at and by the clock; does nothing the second time. The bill's number, if new.
    """
    if row["state"] != "open":
        return None
    bill_id = await _correction(conn, row)
    if bill_id is None or await conn.fetchval(store.HAS_CORRECTION, row["id"], str(bill_id)):
        return None
    params = {"bill": str(bill_id)}
    await record.enter(conn, row["id"], row["seller"], None, "correction", "", params)
    await conn.execute(store.ANSWERED, row["id"], row["seller"])
    proposal = await conn.fetchrow(store.OPEN_PROPOSAL, row["id"])
    if proposal is not None and proposal["kind"] == "corrected":
        await conn.execute(store.LINK_PROPOSAL, proposal["id"], bill_id)
    news, to = "notice_exception_corrected", [row["buyer"]]
    await record.tell(conn, registry, row, to, news, f"correction:{bill_id}", row["seller"])
    return bill_id


async def suspend(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    case_id: int,
    reason: str,
    scope: Literal["batches", "codes"] = "batches",
) -> int:
    """Stop the acting party's own sale of the goods in question (R-B5); the stop's number.

    `batches`: every package of the batches concerned that it holds; `codes`: only the scans of the case. Refused:
    `exception_suspended` twice, `exception_nothing_to_suspend` when the case names no known batch or code.
    """
    subject.require("quarantine.dispose")
    row, acting, roles = await record.locked(conn, registry, subject, case_id)
    if len(reason.strip()) < 2:
        raise _field(subject, "reason", "请填写暂停销售的原因", "say why")
    if await conn.fetchrow(store.SUSPENDED, case_id, acting) is not None:
        raise YaosuError("exception_suspended")
    items = await conn.fetch(store.ITEMS, case_id, PIECES_MAX)
    batches = sorted({(i["drug_id"], i["batch_id"]) for i in items if i["drug_id"] and i["batch_id"]})
    codes = sorted({(i["drug_id"], i["code"]) for i in items if i["drug_id"] and i["code"]})
    if not (batches if scope == "batches" else codes):
        raise YaosuError("exception_nothing_to_suspend")
    kind = registry.lists.text("exception_kind", row["kind"], "zh")
    stop_id = await stops.place(
        conn,
        kind="suspension",
        ref=case_id,
        number=row["case_no"],
        title=f"异常协查：{kind}",
        level=None,
        placed_by=acting,
        reason=reason.strip(),
        batches=batches if scope == "batches" else [],
        codes=codes if scope == "codes" else [],
        org=acting,
    )
    await conn.execute(store.SUSPEND, case_id, stop_id, acting, reason.strip())
    entry = await record.enter(
        conn, case_id, acting, subject.account_id, "suspended", reason.strip(), {"scope": scope}
    )
    await record.tell(conn, registry, row, roles, "notice_exception_suspended", entry, acting)
    await audit.record(conn, subject, "exception.suspend", ("exception", case_id), {"stop": stop_id})
    return stop_id


async def lift(conn: Connection, registry: Registry, subject: Subject, case_id: int, reason: str) -> None:
    """Let the acting party's goods be sold again, with the reason; also after the case is closed."""
    subject.require("quarantine.dispose")
    row, acting, roles = await record.locked(conn, registry, subject, case_id, open_only=False)
    if len(reason.strip()) < 2:
        raise _field(subject, "reason", "请填写恢复销售的依据", "say why")
    found = await conn.fetchrow(store.SUSPENDED, case_id, acting)
    if found is None:
        raise YaosuError("exception_not_suspended")
    await stops.lift(conn, found["stop_id"], reason.strip())
    await conn.execute(store.LIFT, found["id"], reason.strip())
    entry = await record.enter(conn, case_id, acting, subject.account_id, "lifted", reason.strip())
    await record.tell(conn, registry, row, roles, "notice_exception_lifted", entry, acting)
    await audit.record(conn, subject, "exception.lift", ("exception", case_id), {"stop": found["stop_id"]})


def _field(subject: Subject, field: str, zh: str, en: str) -> YaosuError:
    params = {"field": field, "reason": zh if subject.lang == "zh" else en}
    return YaosuError("invalid_request", {"count": 1}, [Finding("field_invalid", params, field)])
