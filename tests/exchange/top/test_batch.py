"""Many calls in one request, sent as the vendor's batch clients send them (interfaces §2.1, R-X10)."""

from __future__ import annotations

import gzip
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson
import pytest
import pytest_asyncio

from exchange.top.client import TopClient, china_now, from_xml, rows
from exchange.top.world import World, bill_time, make_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

L = "alibaba.alihealth.drugtrace.top.lsyd."
ACTIVE, PARTNERS, RETAIL = L + "querycodeactive", L + "query.listparts", L + "uploadretail"
STANDARD = "\r\n-S-\r\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(client: httpx.AsyncClient) -> AsyncIterator[World]:
    async with make_world(client) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def till(world: World) -> TopClient:
    return await world.client(world.market.pharmacy)


def signed(secret: str, params: Mapping[str, str], body: str, how: str) -> str:
    """The signature of a batch by its published rule."""
    joined = ("".join(k + params[k] for k in sorted(params)) + body).encode()
    if how == "md5":
        return hashlib.md5(secret.encode() + joined + secret.encode()).hexdigest().upper()
    return (
        hmac.new(secret.encode(), joined, {"hmac": "md5", "hmac-sha256": "sha256"}[how]).hexdigest().upper()
    )


async def sent(
    till: TopClient,
    calls: Sequence[Mapping[str, str]],
    public: Mapping[str, str] | None = None,
    *,
    how: str = "md5",
    separator: str = "",
    path: str = "/router/batch",
    change: str = "",
    pack: bool = False,
    **system: str,
) -> httpx.Response:
    """A batch as the Java and .NET clients put it together. `change` is added to the body after signing."""
    between = separator or STANDARD
    parts = [urlencode(one) or "N" for one in calls]
    if public:
        parts.insert(0, "#PUBLIC#" + urlencode(public))
    body = between.join(parts)
    params = {"v": "2.0", "app_key": till.app_key, "timestamp": china_now(), "format": "json", "sign_method": how,
              "partner_id": "top-sdk-java-20260921", **system}  # fmt: skip
    params["sign"] = signed(till.secret, params, body, how)
    headers = {"content-type": "text/plain;charset=UTF-8"}
    if separator:
        headers["top-api-separator"] = separator
    content = (body + change).encode()
    if pack:
        content, headers["content-encoding"] = gzip.compress(content), "gzip"
    return await till.http.post(path, params=params, content=content, headers=headers)


def taken(answer: httpx.Response, separator: str = STANDARD) -> list[Any]:
    """The answers one by one, as the clients split them."""
    assert answer.status_code == 200
    return [orjson.loads(one) for one in answer.text.split(separator)]


async def active(world: World, code: str) -> dict[str, str]:
    me = await world.alias(world.market.pharmacy)
    return {"method": ACTIVE, "ref_ent_id": me.ref_ent_id, "codes": code}


ROOT = ACTIVE.replace(".", "_") + "_response"


@pytest.mark.parametrize("how", ["md5", "hmac", "hmac-sha256"])
@pytest.mark.parametrize("separator", ["", "-S-", "{x}", "%7Bx%7D"])
async def test_calls_are_answered_in_their_order(
    world: World, till: TopClient, how: str, separator: str
) -> None:
    calls = [await active(world, f"8385793000000000000{n}") for n in range(3)]
    found = taken(await sent(till, calls, how=how, separator=separator), separator or STANDARD)
    assert [rows(one[ROOT]["models"]) for one in found] == [[call["codes"]] for call in calls]
    assert len({one[ROOT]["request_id"] for one in found}) == 3


@pytest.mark.parametrize("path", ["/router/batch", "/router/batch/", "/top/router/batch", "/gw/router/batch"])
async def test_published_paths_lead_to_it(world: World, till: TopClient, path: str) -> None:
    assert ROOT in taken(await sent(till, [await active(world, "1")], path=path))[0]


async def test_what_is_public_stands_for_every_call_that_does_not_say_otherwise(
    world: World, till: TopClient
) -> None:
    me = await world.alias(world.market.pharmacy)
    public = {"method": ACTIVE, "ref_ent_id": me.ref_ent_id, "codes": "83857930000000000007"}
    other = {"method": PARTNERS, "ent_name": "没有（这家）公司 & Co+", "page": "1", "page_size": "5"}
    first, second, third = taken(await sent(till, [{}, {"codes": "12"}, other], public))
    assert rows(first[ROOT]["models"]) == ["83857930000000000007"], (
        "N is a call without parameters of its own"
    )
    assert rows(second[ROOT]["models"]) == ["12"]
    assert third[PARTNERS.replace(".", "_") + "_response"]["result"]["model"]["total_num"] == 0


async def test_a_separator_whose_header_is_written_like_a_form_is_understood(
    world: World, till: TopClient
) -> None:
    calls = [await active(world, "1"), await active(world, "2")]
    body = "<->".join(urlencode(one) for one in calls)
    params = {
        "v": "2.0",
        "app_key": till.app_key,
        "timestamp": china_now(),
        "format": "json",
        "sign_method": "md5",
    }
    params["sign"] = signed(till.secret, params, body, "md5")
    headers = {"content-type": "text/plain;charset=UTF-8", "top-api-separator": quote("<->")}
    answer = await till.http.post("/router/batch", params=params, content=body.encode(), headers=headers)
    assert len(taken(answer, "<->")) == 2


async def test_one_that_fails_stops_no_other(world: World, till: TopClient) -> None:
    good = await active(world, "1")
    stranger = await world.alias(world.market.hospital)
    wrong = [
        {**good, "method": "alibaba.no.such"},
        {k: v for k, v in good.items() if k != "method"},
        {**good, "ref_ent_id": stranger.ref_ent_id},
        {**good, "codes": ""},
    ]
    found = taken(await sent(till, [good, *wrong, good]))
    assert ROOT in found[0] and ROOT in found[-1]
    assert [one["error_response"]["code"] for one in found[1:-1]] == [22, 21, 15, 40]


async def test_a_call_cannot_name_another_caller_form_or_time(world: World, till: TopClient) -> None:
    other = await world.client(world.market.hospital)
    alias = await world.alias(world.market.hospital)
    call = {
        **await active(world, "1"),
        "ref_ent_id": alias.ref_ent_id,
        "app_key": other.app_key,
        "format": "xml",
    }
    (found,) = taken(await sent(till, [call]))
    assert found["error_response"]["sub_code"] == "isv.ent-no-auth"


async def test_sales_in_a_batch_are_booked_once_each_and_a_repeat_gets_the_same(
    world: World, till: TopClient
) -> None:
    market = world.market
    me = await world.alias(market.pharmacy)
    goods = await world.goods(market.pharmacy)
    public = {"method": RETAIL, "ref_user_id": me.ref_ent_id, "bill_type": "321", "bill_time": bill_time()}
    calls = [{"bill_code": world.number("B"), "trace_codes": box} for box in goods.boxes[:3]]
    found = taken(await sent(till, calls, public))
    root = RETAIL.replace(".", "_") + "_response"
    bills = [one[root]["model"] for one in found]
    assert len(set(bills)) == 3 and all(one[root]["response_success"] is True for one in found)
    again = taken(await sent(till, calls, public, pack=True))
    assert [one[root]["model"] for one in again] == bills
    query = "SELECT count(*) FROM bill WHERE owner = $1 AND bill_no = ANY ($2)"
    numbers = [one["bill_code"] for one in calls]
    assert await market.conn.fetchval(query, market.pharmacy, numbers) == 3


async def test_xml_and_simplified_answers_are_split_the_same_way(world: World, till: TopClient) -> None:
    calls = [await active(world, "1"), await active(world, "a\r\n-S-\r\nb")]
    answer = await sent(till, calls, format="xml")
    first, second = (from_xml(one) for one in answer.text.split(STANDARD))
    assert first["models"] == {"string": ["1"]} and "error_response" not in second
    plain = taken(await sent(till, calls, simplify="true"))
    assert plain[0]["models"] == ["1"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"change": "&x=1"}, 25),
        ({"sign_method": "sha1"}, 41),
        ({"v": "1.0"}, 34),
        ({"app_key": "10000000"}, 29),
        ({"timestamp": "2020-01-01 00:00:00"}, 31),
        ({"format": "yaml"}, 23),
    ],
)
async def test_what_is_wrong_with_the_whole_is_one_error(
    world: World, till: TopClient, changes: dict[str, str], code: int
) -> None:
    answer = await sent(till, [await active(world, "1"), await active(world, "2")], **changes)  # type: ignore[arg-type]
    assert answer.status_code == 200 and STANDARD not in answer.text
    error = from_xml(answer.text) if answer.text.startswith("<") else answer.json()
    assert int(error["error_response"]["code"]) == code


async def test_an_empty_and_an_endless_batch_are_refused(till: TopClient) -> None:
    assert (await sent(till, [])).json()["error_response"]["code"] == 40
    assert (await sent(till, [], {"method": ACTIVE})).json()["error_response"]["code"] == 40
    many = await sent(till, [{}] * 101, {"method": ACTIVE})
    assert many.json()["error_response"]["sub_code"] == "isv.too-many-calls"
    odd = await till.http.post("/router/batch?format=json", content=b"\xff\xfe")
    assert odd.json()["error_response"]["code"] == 32
