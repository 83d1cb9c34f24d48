"""签到 (9001) of a connection: once a day before the first call, where the profile or the connection asks for it.

A platform that demands it blocks everything without (interfaces.md §3.1). The number is kept for the day; when the
platform no longer knows it, it is forgotten and the next try signs in anew. 签退 (9002) ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from yaosu.db.engine import Connection
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.model import Link
from yaosu.exchange.yibao import store
from yaosu.exchange.yibao.settings import text
from yaosu.insurance.envelope import Answer
from yaosu.insurance.profiles import Profile

KIND = "sign_no"
YES = frozenset({"1", "是", "yes", "true"})
WORDS = ("签到", "sign_no")
"""Words of a refusal that mean: the number does not hold."""


def wanted(link: Link, like: Profile) -> bool:
    """Whether this connection signs in by itself; a number entered by hand goes before."""
    return not text(link, "sign_no") and (like.signin or text(link, "sign_in").lower() in YES)


def day_of(now: datetime) -> int:
    """The day under which a number is kept."""
    return int(f"{now:%Y%m%d}")


async def known(conn: Connection, link: Link, now: datetime) -> str:
    """The number of today; "" when nobody signed in yet."""
    return await connections.counterpart(conn, link.id, KIND, day_of(now)) or ""


def body(link: Link) -> dict[str, dict[str, str]]:
    """`input` of 9001. The addresses are those entered; a server has no till's own."""
    return {
        "signIn": {
            "opter_no": text(link, "opter")[:30],
            "mac": text(link, "sign_mac")[:20] or "00-00-00-00-00-00",
            "ip": text(link, "sign_ip")[:20] or "127.0.0.1",
        }
    }


def number_of(answer: Answer) -> str:
    """The number in an answer to 9001; "" when there is none."""
    for name in ("signinoutb", "signInOutb", "data"):
        node = answer.output.get(name)
        if isinstance(node, Mapping) and node.get("sign_no"):
            return str(node["sign_no"])[:30]
    return str(answer.output.get("sign_no") or "")[:30]


async def keep(conn: Connection, link: Link, now: datetime, number: str) -> None:
    """Remember the number for today."""
    await connections.remember(conn, link.id, KIND, day_of(now), number)


async def forget(conn: Connection, link: Link, now: datetime) -> None:
    """Today's number no longer holds."""
    await conn.execute(store.FORGET_SIGN, link.id, day_of(now))


def lost(answer: Answer) -> bool:
    """Whether an answer says that the number does not hold."""
    return not answer.passed and any(word in answer.err_msg for word in WORDS)
