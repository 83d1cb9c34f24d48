"""Another organisation's key learns nothing of the market's records and changes none of them.

Generated: every operation with a value in its path is asked for records that exist, by callers who are no party to
them. Their answers are searched for the text that stands in every private field of those records.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from hostile.world import SECRET, World, body_of, counts, operations

OUTSIDERS = ("outsider", "other")
SHARED = re.compile(
    r"/(orgs|products|resolve|code-lists|trace-systems|filings|public/codes|public/insurance|files/template.\{form\}|imports/\{kind\}|exports)(/|$)|^/api/v1/codes/"
)
"""What everybody may ask for: the directory, code lists, the verdict on a code in hand. Its private part is not."""


def _paths(world: World, path: str) -> list[str]:
    """The path with every combination of values that exist."""
    names = re.findall(r"\{(\w+)\}", path)
    values = [world.ids.get(name) or ["1"] for name in names]
    made = []
    for combination in itertools.product(*values):
        one = path
        for name, value in zip(names, combination, strict=True):
            one = one.replace("{" + name + "}", str(value))
        made.append(one)
    return made


def _requests(world: World, schema: dict[str, Any]) -> list[tuple[str, str, str, Any]]:
    found = []
    for method, path, operation in operations(schema):
        if "{" in path:
            media, body = body_of(schema, operation)
            found += [
                (method, path, one, body if media == "application/json" else None)
                for one in _paths(world, path)
            ]
    return found


@pytest.mark.parametrize("caller", OUTSIDERS)
def test_an_outsider_gets_nothing_of_any_record_by_its_number(
    world: World, schema: dict[str, Any], caller: str
) -> None:
    before = counts(world.database)
    wrong = {}
    with world.client(caller) as client:
        for method, template, path, body in _requests(world, schema):
            more: dict[str, Any] = {"headers": {"upload-offset": "0"}}
            if body is not None:
                more["json"] = body
            answer = client.request(method, path, **more)
            if SECRET in answer.text:
                wrong[f"{method} {path}"] = "tells: " + answer.text[:300]
            elif answer.status_code >= 500:
                wrong[f"{method} {path}"] = answer.text
            elif not SHARED.search(template) and answer.status_code not in (403, 404):
                # a body that is refused before the record is looked for tells nothing of the record either
                if method == "GET" or answer.status_code not in (400, 409, 415, 422):
                    wrong[f"{method} {path}"] = f"{answer.status_code} {answer.text[:300]}"
            elif SHARED.search(template) and method != "GET" and answer.status_code < 300:
                wrong[f"{method} {path}"] = f"changed: {answer.status_code} {answer.text[:300]}"
    assert not wrong
    after = counts(world.database)
    assert {t: n for t, n in after.items() if n != before[t] and t != "audit"} == {}


@pytest.mark.parametrize("caller", OUTSIDERS)
def test_lists_and_exports_of_an_outsider_hold_nothing_of_the_market(
    world: World, schema: dict[str, Any], caller: str
) -> None:
    wrong = {}
    with world.client(caller) as client:
        for method, path, operation in operations(schema):
            if method != "GET" or "{" in path:
                continue
            asked = [""]
            for parameter in operation.get("parameters", ()):
                if "org" in parameter["name"] or parameter["name"] in (
                    "owner",
                    "partner",
                    "holder",
                    "buyer",
                    "seller",
                ):
                    asked += [f"?{parameter['name']}={org}" for org in world.ids["org_id"]]
            for query in asked:
                answer = client.get(path + query)
                if answer.status_code >= 500 or SECRET in answer.text:
                    wrong[path + query] = (answer.status_code, answer.text[:300])
        for kind in ("orgs", "products", "code-lists"):
            assert SECRET not in client.get(f"/api/v1/exports/{kind}").text
    assert not wrong


def test_a_record_that_is_not_yours_and_one_that_is_not_there_look_the_same(
    world: World, schema: dict[str, Any]
) -> None:
    """Otherwise numbers could be tried to learn how much business a competitor does."""
    differ = {}
    with world.client("outsider") as client:
        for method, path, _ in operations(schema):
            names = re.findall(r"\{(\w+)\}", path)
            if method != "GET" or len(names) != 1 or SHARED.search(path) or not world.ids.get(names[0]):
                continue
            if names[0] in ("code", "batch_no", "kind"):
                continue
            for known in world.ids[names[0]]:
                absent = "00000000-0000-4000-8000-000000000009" if isinstance(known, str) else 2_000_000_000
                one = client.get(path.replace("{" + names[0] + "}", str(known)))
                other = client.get(path.replace("{" + names[0] + "}", str(absent)))
                if (one.status_code, one.json()) != (other.status_code, other.json()):
                    differ[path] = (one.text[:200], other.text[:200])
    assert not differ


NO_RECORD = {"kind", "name", "preview_id", "form"}
"""Path parameters that name no record of an organisation, or one that ends within the hour."""


def test_every_kind_of_record_that_a_path_can_name_is_there_to_be_asked_for(
    world: World, schema: dict[str, Any]
) -> None:
    """A new parameter has to be filled by `world.fill`, or crossing it would be tested against nothing."""
    names = {name for _, path, _ in operations(schema) for name in re.findall(r"\{(\w+)(?::\w+)?\}", path)}
    assert {name for name in names - NO_RECORD if not world.ids.get(name)} == set()


def test_the_parties_themselves_do_see_their_records(world: World) -> None:
    """The search above looks for a text that is really there."""
    bill = world.ids["bill_id"][0]
    for caller in ("maker", "wholesaler"):
        with world.client(caller) as client:
            assert SECRET in client.get(f"/api/v1/bills/{bill}").text
    with world.client("maker") as client:
        assert SECRET in client.get(f"/api/v1/uploads/{world.ids['upload_id'][0]}").text
        assert SECRET in client.get(f"/api/v1/code-requests/{world.ids['request_id'][0]}").text
    with world.client("wholesaler") as client:
        assert SECRET in client.get("/api/v1/accounts").text
        assert SECRET in client.get("/api/v1/keys").text


OWN = {
    "pool_id": ("hospital", "/dispensing/pools/{}"),
    "order_id": ("hospital", "/dispensing/split/orders/{}"),
    "number": ("hospital", "/narcotics/prescriptions/{}"),
    "lot_id": ("pharmacy", "/uncoded/lots/{}"),
    "proof_id": ("pharmacy", "/uncoded/proofs/{}"),
    "table_id": ("wholesaler", "/quality/self-checks/{}"),
    "document_id": ("wholesaler", "/quality/documents/{}"),
    "clue_id": ("wholesaler", "/quality/clues/{}"),
    "finding_id": ("maker", "/quality/findings/{}"),
    "check_id": ("maker", "/quality/checks/{}"),
    "case_id": ("wholesaler", "/exceptions/{}"),
    "lock_id": ("wholesaler", "/locks/{}"),
    "grant_id": ("wholesaler", "/grants/{}"),
    "group_id": ("hospital", "/groups/{}"),
    "webhook_id": ("wholesaler", "/webhooks/{}/deliveries"),
}
"""Who reads which record of the rooms, and where."""


@pytest.mark.parametrize("name", OWN)
def test_the_owner_of_a_record_reads_it_by_the_same_number_that_tells_strangers_nothing(
    world: World, name: str
) -> None:
    caller, path = OWN[name]
    with world.client(caller) as client:
        found = [client.get("/api/v1" + path.format(one)) for one in world.ids[name]]
    assert 200 in [answer.status_code for answer in found], [answer.text[:200] for answer in found]
