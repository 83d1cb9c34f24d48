"""SQL of the outbox: put in, claim, settle. Deliveries belong to their organisation; nothing here answers a caller."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from yaosu.db.engine import Connection
from yaosu.notify.pace import Pace

if TYPE_CHECKING:
    from yaosu.notify.outbox import Delivery, Entry, Outcome
    from yaosu.notify.states import Next

# Whoever puts something into a lane holds its lock until the commit, so that numbers rise in the order of commits.
# Few locks for all lanes: their number in one transaction stays bounded.
LANE_LOCKS = """
SELECT pg_advisory_xact_lock(7295461016000 + k) FROM (
    SELECT DISTINCT abs(hashtext(l) % 512) AS k FROM unnest($1::text[]) AS l ORDER BY 1) keys"""

# One with a key that is there already stays as it is. What has somebody before it in its lane waits.
INSERT = """
INSERT INTO delivery (org, target, target_id, event, kind, body, key, lane, bill_id, digest, waits)
SELECT org, target, target_id, event, kind, body, key, lane, nullif(bill_id, 0), digest,
    lane <> '' AND (lag(true) OVER (PARTITION BY target, target_id, lane ORDER BY n) IS TRUE OR EXISTS (
        SELECT 1 FROM delivery e WHERE e.target = v.target AND e.target_id = v.target_id AND e.lane = v.lane
            AND e.settled_at IS NULL))
FROM unnest($1::int[], $2::text[], $3::int[], $4::uuid[], $5::text[], $6::jsonb[], $7::text[], $8::text[],
    $9::bigint[], $10::bytea[]) WITH ORDINALITY
    AS v(org, target, target_id, event, kind, body, key, lane, bill_id, digest, n)
ORDER BY n
ON CONFLICT (target, target_id, key) WHERE key <> '' DO NOTHING
RETURNING id, event, digest"""

BY_KEY = """
SELECT d.key, d.target, d.target_id, d.id, d.event, d.digest, d.bill_id
FROM unnest($1::text[], $2::int[], $3::text[]) AS a(target, target_id, key)
JOIN delivery d ON d.target = a.target AND d.target_id = a.target_id AND d.key = a.key"""

# Addresses that have something due, one index step each, however long their queues are.
ADDRESSES = """
WITH RECURSIVE step AS (
    (SELECT target, target_id FROM delivery
     WHERE settled_at IS NULL AND NOT waits ORDER BY target, target_id LIMIT 1)
    UNION ALL
    SELECT n.target, n.target_id FROM step, LATERAL (
        SELECT target, target_id FROM delivery WHERE settled_at IS NULL AND NOT waits
            AND (target, target_id) > (step.target, step.target_id) ORDER BY target, target_id LIMIT 1) n
)
SELECT s.target, s.target_id FROM step s LEFT JOIN delivery_gate g ON g.target = s.target AND g.target_id = s.target_id
WHERE s.target = ANY ($1::text[]) AND coalesce(g.shut_till <= now(), true) AND EXISTS (
    SELECT 1 FROM delivery d WHERE d.target = s.target AND d.target_id = s.target_id AND d.settled_at IS NULL
        AND NOT d.waits AND d.next_at <= now())
ORDER BY s.target, s.target_id"""

# A paced address is claimed from by one process at a time; others pass it over.
GATE = """
INSERT INTO delivery_gate (target, target_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"""
LOCK_GATE = """
SELECT extract(epoch FROM now() - next_call)::float AS spare FROM delivery_gate
WHERE target = $1 AND target_id = $2 AND shut_till <= now() FOR UPDATE SKIP LOCKED"""
USE_GATE = """
UPDATE delivery_gate SET next_call = greatest(next_call, now()) + make_interval(secs => $3)
WHERE target = $1 AND target_id = $2"""
SHUT_GATE = """
INSERT INTO delivery_gate (target, target_id, shut_till) VALUES ($1, $2, now() + make_interval(secs => $3))
ON CONFLICT (target, target_id) DO UPDATE SET shut_till = greatest(delivery_gate.shut_till, excluded.shut_till)"""

# The longest due of each address; a claim is a lease, and stays marked until it is settled.
CLAIM = """
WITH picked AS (
    SELECT d.id, d.claimed FROM unnest($1::text[], $2::int[], $3::int[]) AS a(target, target_id, few)
    CROSS JOIN LATERAL (
        SELECT id FROM delivery WHERE target = a.target AND target_id = a.target_id
            AND settled_at IS NULL AND NOT waits AND next_at <= now() ORDER BY next_at, id LIMIT a.few) due
    JOIN delivery d ON d.id = due.id AND d.next_at <= now() AND d.settled_at IS NULL AND NOT d.waits
    LIMIT $4 FOR UPDATE OF d SKIP LOCKED
), cut AS (
    INSERT INTO delivery_attempt (delivery_id, n, what, state, answer)
    SELECT d.id, d.attempts, 'send', 'unknown', 'interrupted' FROM picked p JOIN delivery d ON d.id = p.id
    WHERE p.claimed ON CONFLICT DO NOTHING
)
UPDATE delivery d SET next_at = now() + make_interval(secs => ($5::float[])[array_position($6::text[], d.target)]),
    attempts = d.attempts + 1, claimed = true
FROM picked p WHERE d.id = p.id
RETURNING d.id, d.org, d.target, d.target_id, d.event, d.kind, d.body, d.attempts, d.bill_id, d.key, d.lane, d.state,
    d.remote, d.tries, p.claimed"""

# Only by whoever claimed it last. Held meanwhile by a person: it stays held unless this attempt settled it.
SETTLE = """
UPDATE delivery SET state = CASE WHEN state = 'held' AND NOT $5 THEN 'held' ELSE $3 END,
    answer_status = $6, answer = $7, remote = CASE WHEN $8 = '' THEN remote ELSE $8 END,
    details = coalesce($9::jsonb, details), tries = $10, claimed = false,
    next_at = CASE WHEN $4::float IS NULL OR (state = 'held' AND NOT $5) THEN 'infinity'
        ELSE now() + make_interval(secs => $4) END,
    settled_at = CASE WHEN $5 THEN now() END
WHERE id = $1 AND attempts = $2 AND claimed RETURNING id"""

# Whoever settles waits for no row but its own: what somebody holds just now is left to the next sweep. So people, who
# change many deliveries of a connection at once, and senders never wait for each other in a circle.

# The next of a lane whose first one has settled.
RELEASE = """
UPDATE delivery SET waits = false WHERE id = (
    SELECT id FROM delivery WHERE waits AND id = (
        SELECT id FROM delivery WHERE target = $1 AND target_id = $2 AND lane = $3 AND settled_at IS NULL
        ORDER BY id LIMIT 1)
    FOR UPDATE SKIP LOCKED)"""

# Lanes whose first one waits for nobody: left behind by two transactions that did not see each other.
SWEEP = """
WITH RECURSIVE lanes AS (
    (SELECT target, target_id, lane, id, waits FROM delivery WHERE settled_at IS NULL AND lane <> ''
     ORDER BY target, target_id, lane, id LIMIT 1)
    UNION ALL
    SELECT n.* FROM lanes, LATERAL (
        SELECT target, target_id, lane, id, waits FROM delivery WHERE settled_at IS NULL AND lane <> ''
            AND (target, target_id, lane) > (lanes.target, lanes.target_id, lanes.lane)
        ORDER BY target, target_id, lane, id LIMIT 1) n
)
UPDATE delivery SET waits = false WHERE id IN (
    SELECT d.id FROM lanes JOIN delivery d ON d.id = lanes.id WHERE lanes.waits FOR UPDATE OF d SKIP LOCKED)"""

# They answer again: what failed for want of an answer is due now, the soonest first, a portion at a time.
LINE_IS_BACK = """
UPDATE delivery SET next_at = now() WHERE id IN (
    SELECT d.id FROM (
        SELECT id FROM delivery WHERE target = $1 AND target_id = $2 AND settled_at IS NULL AND NOT waits
            AND next_at > now() + interval '1 second' AND next_at < 'infinity' ORDER BY next_at LIMIT 500) soon
    JOIN delivery d ON d.id = soon.id
    WHERE NOT d.claimed AND d.settled_at IS NULL AND d.state IN ('failed', 'unknown', 'pending')
        AND (d.answer_status IS NULL OR d.answer_status IN (502, 503, 504)) AND d.attempts > 0
    FOR UPDATE OF d SKIP LOCKED)"""

ATTEMPT = """
INSERT INTO delivery_attempt (delivery_id, n, what, state, status, took_ms, answer)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (delivery_id, n) DO UPDATE SET answer = excluded.answer, state = excluded.state, status = excluded.status
    WHERE delivery_attempt.answer = 'interrupted'"""

# The content of what was settled long ago; its digest stays, so that the same key still means the same thing.
PRUNE = """
UPDATE delivery SET body = '{}', pruned = true WHERE id IN (
    SELECT id FROM delivery WHERE settled_at < now() - make_interval(days => $2) AND NOT pruned
        AND CASE WHEN $1::text IS NULL THEN target <> ALL ($3::text[]) ELSE target = $1 END
    ORDER BY settled_at LIMIT 5000 FOR UPDATE SKIP LOCKED)"""


def digest_of(body: Mapping[str, Any]) -> bytes:
    """SHA-256 of a body in canonical form."""
    return hashlib.sha256(
        orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
    ).digest()


async def insert(conn: Connection, entries: Sequence[Entry]) -> list[tuple[int, UUID, bytes | None]]:
    """Number, event and digest of each entry, in their order; of the one that is there already where a key repeats."""
    lanes = sorted({f"{e.target} {e.target_id} {e.lane}" for e in entries if e.lane})
    if lanes:
        await conn.execute(LANE_LOCKS, lanes)
    first: dict[tuple[str, int, str], Entry] = {}
    for e in entries:
        if e.key:
            first.setdefault((e.target, e.target_id, e.key), e)
    known = await by_key(conn, list(first))
    new = {id(e) for k, e in first.items() if k not in known}
    fresh = [e for e in entries if not e.key or id(e) in new]
    made: dict[UUID, tuple[int, UUID, bytes | None]] = {}
    if fresh:
        rows = await conn.fetch(
            INSERT,
            [e.org for e in fresh],
            [e.target for e in fresh],
            [e.target_id for e in fresh],
            [e.event for e in fresh],
            [e.kind for e in fresh],
            [dict(e.body) for e in fresh],
            [e.key for e in fresh],
            [e.lane for e in fresh],
            [e.bill_id or 0 for e in fresh],
            [digest_of(e.body) for e in fresh],
        )
        made = {r["event"]: (r["id"], r["event"], r["digest"]) for r in rows}
        if len(made) < len(fresh):
            # another transaction was quicker with the same key
            known |= await by_key(conn, list(first))
    found = []
    for e in entries:
        key = (e.target, e.target_id, e.key)
        one = made.get(e.event) or (known.get(key) if e.key else None) or made[first[key].event]
        found.append(one)
    return found


async def by_key(
    conn: Connection, keys: Sequence[tuple[str, int, str]]
) -> dict[tuple[str, int, str], tuple[int, UUID, bytes | None]]:
    """What is on record under keys."""
    if not keys:
        return {}
    rows = await conn.fetch(BY_KEY, [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys])
    return {(r["target"], r["target_id"], r["key"]): (r["id"], r["event"], r["digest"]) for r in rows}


async def bills_of_keys(
    conn: Connection, keys: Sequence[tuple[str, int, str]]
) -> dict[tuple[str, int, str], int | None]:
    """The bill of what is on record under keys."""
    if not keys:
        return {}
    rows = await conn.fetch(BY_KEY, [k[0] for k in keys], [k[1] for k in keys], [k[2] for k in keys])
    return {(r["target"], r["target_id"], r["key"]): r["bill_id"] for r in rows}


async def claim(
    conn: Connection,
    paces: Mapping[str, Pace],
    per_address: int,
    most: int,
    busy: Mapping[tuple[str, int], int],
) -> tuple[list[Delivery], bool]:
    """What is sent or asked about now, as many of each address as its pace allows, and whether a pace held any up.

    `busy`: attempts that this process has under way at each address.
    """
    from yaosu.notify.outbox import Delivery

    few: list[tuple[str, int, int]] = []
    held_up = False
    for row in await conn.fetch(ADDRESSES, list(paces)):
        target, target_id = row["target"], row["target_id"]
        pace = paces[target]
        under_way = busy.get((target, target_id), 0)
        room = per_address - under_way
        if room <= 0 or (under_way and room < per_address // 2):
            continue  # full, or not worth a claim yet: a few at a time cost no more than one
        if not pace.calls_per_s:
            few.append((target, target_id, room))
            continue
        allowed = await _allowed(conn, target, target_id, pace)
        held_up |= allowed < room
        if allowed:
            few.append((target, target_id, min(room, allowed)))
    if not few:
        return [], held_up
    names = list(paces)
    rows = await conn.fetch(
        CLAIM,
        [f[0] for f in few],
        [f[1] for f in few],
        [f[2] for f in few],
        most,
        [float(paces[n].lease_s) for n in names],
        names,
    )
    claimed = [Delivery(*row.values()) for row in rows]
    for target, target_id, _ in few:
        pace = paces[target]
        used = sum(1 for d in claimed if (d.target, d.target_id) == (target, target_id))
        if pace.calls_per_s and used:
            await conn.execute(USE_GATE, target, target_id, used / pace.calls_per_s)
    return sorted(claimed, key=lambda d: d.id), held_up


async def _allowed(conn: Connection, target: str, target_id: int, pace: Pace) -> int:
    await conn.execute(GATE, target, target_id)
    row = await conn.fetchrow(LOCK_GATE, target, target_id)
    if row is None:
        return 0
    every = 1 / pace.calls_per_s
    # GCRA: a call is due when the theoretical time of the next one is no more than the burst ahead
    ahead = min(float(row["spare"]), 0.0) + (pace.burst - 1) * every
    return int(ahead / every + 1e-9) + 1 if ahead >= -1e-9 else 0


async def settle(conn: Connection, delivery: Delivery, outcome: Outcome, then: Next) -> bool:
    """Record what is known now; False when the claim was not ours any more."""
    details = dict(outcome.details) if outcome.details is not None else None
    done = await conn.fetchval(
        SETTLE,
        delivery.id,
        delivery.attempts,
        then.state,
        then.pause_s,
        then.settled,
        outcome.status,
        outcome.answer,
        outcome.remote[:200],
        details,
        min(then.tries, 32000),
    )
    if done is not None and then.settled and delivery.lane:
        await conn.execute(RELEASE, delivery.target, delivery.target_id, delivery.lane)
    return done is not None


async def record_attempt(
    conn: Connection, delivery: Delivery, what: str, state: str, outcome: Outcome, took_ms: int
) -> None:
    """One attempt, word for word."""
    await conn.execute(
        ATTEMPT, delivery.id, delivery.attempts, what, state, outcome.status, took_ms, outcome.answer
    )


async def close_gate(conn: Connection, target: str, target_id: int, seconds: float) -> None:
    """Leave an address alone for a while."""
    await conn.execute(SHUT_GATE, target, target_id, seconds)


async def line_is_back(conn: Connection, target: str, target_id: int) -> None:
    """Bring forward what failed at an address for want of an answer."""
    await conn.execute(LINE_IS_BACK, target, target_id)


async def prune(conn: Connection, target: str | None, days: int, others: Sequence[str]) -> int:
    """Forget the content of what was settled more than `days` ago; how many. `target` None: all but `others`."""
    tag: str = await conn.execute(PRUNE, target, days, list(others))
    return int(tag.rsplit(" ", 1)[1])
