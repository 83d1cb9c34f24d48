"""Every page with a record's number in its address, and every form: a firm of the same kind gets nothing by trying.

The API's operations are tried in `test_tenants`; pages are routes of their own and are not in its document, so they
are taken from the application itself.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from access.helpers import PASSWORD
from hostile.world import SECRET, World, counts
from yaosu.api.app import create_app
from yaosu.settings import Settings

ELSEWHERE = ("/api/", "/epcis", "/router", "/gw", "/top/router", "/fsi", "/mbs", "/static")
"""Doors of programs: they know no session."""
OPEN = ("/login", "/logout", "/lang/{lang}")
"""Forms that anybody may send without a session's secret, because they take none away."""
NUMBERS = range(1, 6)
"""The world is new, so its records have small numbers; each is asked for, whoever it belongs to."""
CHOICES = {
    "act": ("accept", "decline", "withdraw", "release", "approve"),
    "lang": ("en",),
    "form": ("pdf", "xlsx"),
    "kind": ("orgs",),
}
SHARED = re.compile(
    r"^/(orgs|products|q|c|01|lang|help|code-lists|stories|filings|files/template)\b|/public/"
)
"""What everybody may look at; its private part is not, and the private text is looked for all the same."""


@pytest.fixture(scope="module")
def pages(world: World, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """(method, path) of every page and form."""
    settings = Settings(tmp_path_factory.mktemp("routes"), world.database, "127.0.0.1", 1, world.base)
    found = [
        (method, route.path)
        for route in iter_route_contexts(create_app(settings, world.database).router.routes[1:])
        if route.path is not None and route.methods and not route.path.startswith(ELSEWHERE)
        for method in sorted(set(route.methods) - {"HEAD", "OPTIONS"})
    ]
    assert len(found) > 250, "the pages were not found"
    return found


def _filled(world: World, path: str) -> list[str]:
    names = re.findall(r"\{(\w+)(?::\w+)?\}", path)
    values: list[list[Any]] = []
    for name in names:
        if name in ("code", "raw", "batch_no"):
            values.append([world.ids[name][0]])
        else:
            values.append(list(CHOICES.get(name, NUMBERS if len(names) == 1 else NUMBERS[:3])))
    made = []
    for combination in itertools.product(*values):
        one = path
        for name, value in zip(names, combination, strict=True):
            one = re.sub(r"\{" + name + r"(:\w+)?\}", str(value), one)
        made.append(one)
    return made


def _token(browser: httpx.Client) -> str:
    found = re.search(r'name="csrf-token" content="([^"]+)"', browser.get("/account").text)
    assert found is not None
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize("caller", ["other", "outsider"])
def test_no_page_by_number_shows_a_stranger_what_is_not_his_and_no_form_changes_it(
    world: World, pages: list[tuple[str, str]], caller: str
) -> None:
    wrong: dict[str, str] = {}
    asked = 0
    with world.browser(caller) as browser:
        before = counts(world.database)
        fields = {
            "_csrf": _token(browser), "reason": "试一试", "text": "试一试", "note": "试一试",
            "code": world.goods.boxes[0], "codes": world.goods.boxes[0], "name": "试一试",
            "state": "held", "answer": "yes", "counted": "1",
        }  # fmt: skip
        for method, path in pages:
            if "{" not in path or path in OPEN:
                continue
            for one in _filled(world, path):
                asked += 1
                answer = browser.request(method, one, data=fields if method != "GET" else None)
                if answer.status_code >= 500 or SECRET in answer.text:
                    at = answer.text.find(SECRET)
                    wrong[f"{method} {one}"] = (
                        f"{answer.status_code} {answer.text[max(0, at - 100) : at + 60]}"
                    )
                elif method == "GET" and answer.status_code == 200 and not SHARED.search(one):
                    wrong[f"{method} {one}"] = "200"
        after = counts(world.database)
    assert asked > 300
    assert not wrong, "\n".join(f"{k}: {v}" for k, v in wrong.items())
    # what was refused may be written down as refused; nothing else came or went
    assert {t: n for t, n in after.items() if n != before[t] and t not in ("audit", "session")} == {}


def test_every_form_needs_the_sessions_secret(world: World, pages: list[tuple[str, str]]) -> None:
    wrong = {}
    with world.browser("wholesaler") as browser:
        for method, path in pages:
            if method == "GET" or path in OPEN:
                continue
            for given in ({}, {"_csrf": "0" * 43}):
                one = _filled(world, path)[0]
                answer = browser.request(method, one, data={**given, "reason": "试一试"})
                if answer.status_code != 403:
                    wrong[f"{method} {one} {given}"] = answer.status_code
        assert not wrong, "\n".join(f"{k}: {v}" for k, v in wrong.items())
        # nor does the right secret help a request that the browser says comes from elsewhere
        token = _token(browser)
        for headers in ({"origin": "https://elsewhere.example"}, {"sec-fetch-site": "cross-site"}):
            sent = browser.post("/account", data={"_csrf": token}, headers=headers)
            assert sent.status_code == 403, headers


def test_signing_in_gives_a_new_session_and_ends_the_one_that_was_there(world: World) -> None:
    """A session that somebody planted in a browser is not the one its user works in (fixation)."""
    planted = "planted-by-somebody-else-0123456789abcdef"
    with httpx.Client(base_url=world.base, timeout=60, headers={"origin": world.base}) as browser:
        known = {"login": world.logins["pharmacy"], "password": PASSWORD}
        browser.cookies.set("yaosu_session", planted)
        assert browser.post("/login", data=known).status_code == 303
        (mine,) = {c.value for c in browser.cookies.jar if c.name == "yaosu_session"} - {planted}
        again = httpx.Client(
            base_url=world.base, timeout=60, cookies={"yaosu_session": mine}, headers={"origin": world.base}
        )
        with again as second:
            assert second.post("/login", data=known).status_code == 303
        for ended in (mine, planted):
            with httpx.Client(base_url=world.base, timeout=60, cookies={"yaosu_session": ended}) as client:
                assert client.get("/api/v1/me").status_code == 401
