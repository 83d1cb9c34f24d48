"""Locks by the MAH or an office, a firm's own suspension of sale, and their release (R-E4, R-B5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import asyncpg

from yaosu.access import audit
from yaosu.access.visibility import record_read, visible
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.notify.service import tell_many
from yaosu.people import free_text
from yaosu.recall import service, store_lock
from yaosu.recall.model import BATCHES_MAX, CODES_MAX, Lock
from yaosu.recall.remit import in_charge, is_office, over_product, product_of, regulates
from yaosu.registry.acting import acts_for
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.stops import service as stops
from yaosu.subject import Subject

MANAGE = "stop.manage"
Kind = Literal["lock", "suspension"]


async def listed(
    conn: Connection,
    subject: Subject,
    live: bool | None = True,
    before: int = service.NEWEST,
    limit: int = 50,
) -> list[Lock]:
    """Locks and suspensions the subject may see, newest first; `live` None for released ones too."""
    subject.require(service.READ)
    return await store_lock.listed(conn, visible(subject), before, live, limit)


async def shown(conn: Connection, subject: Subject, lock_id: int) -> Lock:
    """One of them; refused (`not_found`)."""
    subject.require(service.READ)
    lock = await store_lock.one(conn, visible(subject), lock_id)
    if lock is None:
        raise YaosuError("not_found", {"what": "停售或锁定" if subject.lang == "zh" else "Lock"})
    if visible(subject).records_reads and lock.kind == "suspension":
        await record_read(conn, subject, f"lock {lock.number}", lock.issuer)
    return lock


async def place(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    *,
    kind: Kind,
    drug_id: int,
    batch_nos: Sequence[str],
    codes: Sequence[str],
    reason: str,
    reason_text: str = "",
    org: int | None = None,
) -> int:
    """Stop goods from the commit on; the number of record.

    A suspension is the firm's own and binds its own bills. A lock binds everybody: it is for the product's firm and
    the office in charge of that firm; another office locks goods of one holder (`org`) or single codes in its region.
    Refused: `lock_reason_unknown`, `lock_beyond_remit`, `recall_not_yours`, `invalid_request`.
    """
    subject.require(MANAGE)
    free_text.refuse(reason_text=reason_text)
    product = product_of(registry, drug_id)
    item = registry.lists.item("lock_reason", reason)
    allowed = item.attrs.get("kinds", ()) if item is not None else ()
    if item is None or not isinstance(allowed, (list, tuple)) or kind not in allowed:
        raise YaosuError("lock_reason_unknown", {"reason": reason})
    wanted = [b.strip() for b in batch_nos if b.strip()]
    raws = [c.strip() for c in codes if c.strip()]
    if not wanted and not raws:
        raise YaosuError("recall_nothing_named")
    if len(wanted) > BATCHES_MAX or len(raws) > CODES_MAX:
        raise YaosuError("stops_too_many_codes", {"limit": CODES_MAX})
    batch_ids, units = await service.named_goods(conn, registry, product, list(dict.fromkeys(wanted)), raws)
    texts = [code for code, _, _ in units]
    bound = await _bound(conn, registry, subject, product, kind, org, batch_ids, texts)
    issuer = subject.org_id if subject.org_id is not None else product.mah_id
    label = f"{item.zh}：{reason_text.strip()}" if reason_text.strip() else item.zh
    lock_id, number = 0, ""
    for attempt in range(5):
        number = await service.next_number(conn, store_lock.LAST_NUMBER, "SD" if kind == "lock" else "ZT")
        try:
            async with conn.transaction():
                lock_id = await conn.fetchval(
                    store_lock.INSERT,
                    *(kind, drug_id, issuer, bound, number, reason, reason_text.strip(), subject.account_id),
                )
            break
        except asyncpg.UniqueViolationError:
            if attempt == 4:
                raise
    if batch_ids:
        await conn.execute(store_lock.PUT_BATCHES, drug_id, lock_id, sorted(batch_ids))
    if texts:
        await conn.execute(store_lock.PUT_CODES, drug_id, lock_id, texts)
    stop_id = await stops.place(
        conn,
        kind=kind,
        ref=lock_id,
        number=number,
        title=product.generic_name,
        level=None,
        placed_by=issuer,
        reason=label,
        batches=[(drug_id, b) for b in batch_ids],
        codes=[(drug_id, c) for c in texts],
        org=bound,
    )
    await conn.execute(store_lock.SET_STOP, lock_id, stop_id)
    await audit.record(
        conn, subject, "lock.place", ("lock", lock_id), {"number": number, "kind": kind, "reason": reason}
    )
    if kind == "lock":
        card = registry.org(issuer)
        params = {
            "issuer": card.name if card is not None else "—",
            "number": number,
            "product": f"{product.generic_name} {product.strength}",
            "reason": label,
        }
        holders = [bound] if bound is not None else await _holders(conn, drug_id, batch_ids, texts)
        told = {*holders, product.mah_id} - {issuer}
        await tell_many(conn, told, "notice_lock", params, f"/locks/{lock_id}", f"lock:{lock_id}")
    return lock_id


async def _bound(
    conn: Connection,
    registry: Registry,
    subject: Subject,
    product: Product,
    kind: Kind,
    org: int | None,
    batch_ids: Sequence[int],
    codes: Sequence[str],
) -> int | None:
    """Whose bills are stopped; None for everybody's. Refused when the subject may not."""
    if kind == "suspension":
        own = subject.org
        if org is None or org == own:
            return own
        if not acts_for(registry, own, org):
            raise YaosuError("recall_not_yours")
        return org
    if over_product(subject, registry, product):
        if org is not None and registry.org(org) is None:
            raise YaosuError("field_invalid", {"field": "org", "reason": str(org)})
        return org
    if not is_office(subject):
        raise YaosuError("recall_not_yours")
    if not regulates(subject, registry):
        raise YaosuError("lock_beyond_remit")
    sight = visible(subject)
    if org is not None and in_charge(subject, registry, org):
        if codes or await store_lock.holds(conn, sight, product.id, batch_ids, org):
            return org
    elif org is None and codes and not batch_ids:
        seen = await store_lock.codes_seen(conn, sight, product.id, codes)
        if seen == len(set(codes)):
            return None
    raise YaosuError("lock_beyond_remit")


async def _holders(
    conn: Connection, drug_id: int, batch_ids: Sequence[int], codes: Sequence[str]
) -> list[int]:
    """Who has locked goods, and for single codes who they are on the way to."""
    rows = await conn.fetch(store_lock.HOLDERS, drug_id, list(batch_ids)) if batch_ids else []
    if codes:
        rows += await conn.fetch(store_lock.HOLDERS_OF_CODES, drug_id, list(codes))
    return sorted({r["org"] for r in rows})


async def release(conn: Connection, registry: Registry, subject: Subject, lock_id: int, reason: str) -> Lock:
    """Let the goods move again: by whoever placed it, or an office in charge of them. A reason is needed.

    Refused: `lock_not_yours`, `lock_released`.
    """
    subject.require(MANAGE)
    await shown(conn, subject, lock_id)
    lock = await store_lock.locked(conn, lock_id)
    assert lock is not None, "locks are never deleted"
    own = subject.kind == "system" or subject.org_id == lock.issuer
    placed_by_office = (card := registry.org(lock.issuer)) is not None and card.type == 110
    superior = is_office(subject) and in_charge(subject, registry, lock.issuer)
    # what an office locked is an office's to release; a firm's own suspension is the firm's
    if not own and not (superior and placed_by_office):
        raise YaosuError("lock_not_yours")
    if not reason.strip():
        raise YaosuError("field_invalid", {"field": "reason", "reason": "—"})
    free_text.refuse(reason=reason)
    if (
        await conn.fetchval(store_lock.RELEASE, lock_id, subject.account_id, subject.org_id, reason.strip())
        is None
    ):
        raise YaosuError("lock_released")
    if lock.stop_id is not None:
        await stops.lift(conn, lock.stop_id, reason.strip())
    await audit.record(conn, subject, "lock.release", ("lock", lock_id), {"number": lock.number})
    if lock.kind == "lock":
        goods = await conn.fetch(store_lock.BATCH_IDS_OF, lock_id)
        codes = await conn.fetch(store_lock.CODES_OF_LOCK, lock_id)
        holders = (
            [lock.org]
            if lock.org is not None
            else await _holders(
                conn, lock.drug_id, [r["batch_id"] for r in goods], [r["code"] for r in codes]
            )
        )
        params = {"number": lock.number, "reason": reason.strip()}
        product = product_of(registry, lock.drug_id)
        told = {*holders, product.mah_id} - {subject.org_id}
        await tell_many(
            conn,
            [o for o in told if o is not None],
            "notice_lock_released",
            params,
            f"/locks/{lock_id}",
            f"lock:{lock_id}:released",
        )
    return await shown(conn, subject, lock_id)
