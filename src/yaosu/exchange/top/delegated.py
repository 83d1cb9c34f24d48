"""For whom an app key may call: its own organisation, those it acts for by what it is, its principals (R-B7, R-B8)."""

from __future__ import annotations

from yaosu.db.engine import Pool
from yaosu.exchange.top import store
from yaosu.registry.acting import acts_for
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


async def may_act(pool: Pool, registry: Registry, subject: Subject, org: int, for_org: int) -> bool:
    """Whether a key of `org` may name `for_org` as the organisation it calls for.

    By a delegation too: what single bills or records that opens is decided where they are posted and read.
    """
    if acts_for(registry, org, for_org):
        return True
    found: bool = await pool.fetchval(store.DELEGATED, org, for_org)
    return found
