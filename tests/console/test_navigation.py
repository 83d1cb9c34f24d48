"""The navigation is short, each entry opens for whom it is shown to, and nobody is shown another's duty."""

from __future__ import annotations

import httpx
import pytest
from lxml import html as markup

from access.helpers import PASSWORD, make_account, make_org
from yaosu.db.engine import Pool
from yaosu.registry.resolver import Registry

HTML = {"accept": "text/html"}
ENTRIES_MAX = 7
PEOPLE = {
    "maker": (1, None, "admin"),
    "line": (1, None, "production"),
    "wholesaler": (2, None, "admin"),
    "hospital": (3, None, "admin"),
    "headquarters": (4, 41, "admin"),
    "pharmacy": (4, 42, "admin"),
    "till": (4, 42, "sales"),
    "logistics": (5, None, "admin"),
    "quality": (2, None, "quality"),
    "office": (110, None, "regulator_admin"),
    "operator": (None, None, "operator"),
    "bureau": (110, 1103, "insurer"),
}
LIMITED = {"quality", "bureau"}
"""People without an administrator's rights: pages must not offer them what they may not open."""
ONLY = {
    "/narcotics": {"hospital", "office"},
    "/stores": {"headquarters"},
    "/code-requests": {"maker", "line"},
    "/sell/real-name": {"headquarters", "pharmacy", "till"},
    "/groups": {"hospital"},
    "/quality/counts": {
        "maker",
        "line",
        "wholesaler",
        "hospital",
        "headquarters",
        "pharmacy",
        "till",
        "logistics",
        "quality",
    },
}
"""Entry → who finds it, of the people above."""


async def groups_of(pool: Pool, client: httpx.AsyncClient, who: str) -> list[list[str]]:
    """Addresses in the navigation by group, for a new account of that kind, which stays signed in."""
    kind, sub_type, role = PEOPLE[who]
    async with pool.acquire() as conn:
        org = None
        if kind is not None:
            org = await make_org(conn, kind, "370100")
            await conn.execute("UPDATE org SET sub_type = $2 WHERE id = $1", org, sub_type)
        _, login = await make_account(conn, org, role)
        registry: Registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
    client.cookies.clear()
    await client.post("/login", data={"login": login, "password": PASSWORD}, headers=HTML)
    page = markup.fromstring((await client.get("/", headers=HTML)).text)
    return [[a.get("href") for a in group.iter("a")] for group in page.find_class("side-group")]


@pytest.mark.parametrize("who", list(PEOPLE))
async def test_groups_are_short_and_every_entry_opens(
    pool: Pool, client: httpx.AsyncClient, who: str
) -> None:
    groups = await groups_of(pool, client, who)
    assert max(len(group) for group in groups) <= ENTRIES_MAX
    entries = [entry for group in groups for entry in group]
    assert len(entries) == len(set(entries))
    answers = {entry: (await client.get(entry, headers=HTML)).status_code for entry in entries}
    assert {entry: status for entry, status in answers.items() if status != 200} == {}
    for entry, people in ONLY.items():
        assert (entry in entries) == (who in people), entry
    shut = await shut_doors(client, entries) if who in LIMITED else {}
    client.cookies.clear()
    assert shut == {}


async def shut_doors(client: httpx.AsyncClient, entries: list[str]) -> dict[str, tuple[int, str]]:
    """Links of these pages' own content that refuse the reader they were offered to: status, and where they stood."""
    offered: dict[str, str] = {}
    for entry in entries:
        page = markup.fromstring((await client.get(entry, headers=HTML)).text)
        for main in page.iter("main"):
            for link in main.iter("a"):
                target = (link.get("href") or "").partition("#")[0]
                if target.startswith("/") and not target.startswith("/static"):
                    offered.setdefault(target, entry)
    seen = {
        link: (await client.get(link, headers=HTML)).status_code for link in offered if link not in entries
    }
    return {link: (status, offered[link]) for link, status in seen.items() if status >= 400}


async def test_help_is_the_readers_own_and_leads_only_where_the_reader_may_go(
    pool: Pool, client: httpx.AsyncClient
) -> None:
    for who, told, links in (
        ("bureau", "医保局", {"/insurance", "/insurance/dossier"}),
        ("office", "药品监管部门", {"/trace", "/bills"}),
        ("quality", "批发企业", {"/stock", "/quarantine"}),
    ):
        await groups_of(pool, client, who)
        page = markup.fromstring((await client.get("/help", headers=HTML)).text)
        assert told in page.find(".//h1").text_content()
        steps = page.find_class("help-steps")[0]
        offered = {a.get("href") for a in steps.iter("a")}
        assert links <= offered
        for link in offered:
            assert (await client.get(link, headers=HTML)).status_code == 200, link
    client.cookies.clear()
