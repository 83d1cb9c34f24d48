"""What every request passes: who asks, size, bytes, headers."""

from __future__ import annotations

import httpx
import pytest
import pytest_asyncio

from access.helpers import make_key, make_org
from yaosu.db.engine import Pool

PROBE = "/api/v1/openapi.json"


@pytest_asyncio.fixture(loop_scope="module")
async def key(pool: Pool) -> str:
    """A working key of a wholesaler."""
    async with pool.acquire() as conn:
        return await make_key(conn, await make_org(conn))


async def test_a_key_of_the_right_form_that_nobody_holds_is_refused_even_where_none_is_needed(
    client: httpx.AsyncClient,
) -> None:
    made_up = "yk_abcdefgh_" + "A" * 43
    for headers in (
        {"authorization": f"Bearer {made_up}"},
        {"x-api-key": made_up},
        {"authorization": "Basic x"},
    ):
        answer = await client.get(PROBE, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["code"] == "key_invalid"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_good_key_is_let_through_and_its_answers_are_not_kept(
    client: httpx.AsyncClient, key: str
) -> None:
    answer = await client.get(PROBE, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["a=%00", "a=%ff", "a=1&%00=b", "a=%ed%a0%80"])
async def test_bytes_that_no_text_can_hold_are_refused_in_the_query(
    client: httpx.AsyncClient, query: str
) -> None:
    answer = await client.get(f"{PROBE}?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed_body"
