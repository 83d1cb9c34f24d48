"""Split dispensing and pools as HIS, machines and people at a browser meet them (R-C9)."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from access.helpers import PASSWORD, key_headers, make_account
from circulation.helpers import Goods, Market, activate, make_market
from yaosu.db.engine import Pool
from yaosu.registry.resolver import Registry

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTML = {"accept": "text/html"}
V1 = "/api/v1/dispensing"


@dataclass
class Place:
    """A hospital with ten boxes, its key, and a browser."""

    market: Market
    goods: Goods
    client: httpx.AsyncClient
    keys: dict[str, dict[str, str]]
    logins: dict[str, str]

    async def enter(self, who: str) -> str:
        """Sign in; the token for forms."""
        self.client.cookies.clear()
        form = {"login": self.logins[who], "password": PASSWORD}
        assert (await self.client.post("/login", data=form, headers=HTML)).status_code == 303
        found = re.search(
            r'name="csrf-token" content="([^"]+)"', (await self.client.get("/account", headers=HTML)).text
        )
        assert found is not None
        return found.group(1)

    async def call(self, path: str, body: dict[str, Any], who: str = "hospital") -> httpx.Response:
        """A call with a key."""
        self.client.cookies.clear()
        return await self.client.post(V1 + path, json=body, headers=self.keys[who])

    async def read(self, path: str, who: str = "hospital") -> httpx.Response:
        """A read with a key."""
        self.client.cookies.clear()
        return await self.client.get(V1 + path, headers=self.keys[who])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(pool: Pool, client: httpx.AsyncClient) -> AsyncIterator[Place]:
    async with pool.acquire() as conn:
        market = await make_market(conn)
        goods = await activate(market, cases=4)
        await market.pass_on(market.maker, market.wholesaler, goods.cases)
        await market.pass_on(market.wholesaler, market.hospital, goods.cases)
        keys = {w: await key_headers(conn, getattr(market, w)) for w in ("hospital", "pharmacy", "maker")}
        logins = {}
        for who in ("hospital", "pharmacy", "maker"):
            _, logins[who] = await make_account(conn, getattr(market, who), "admin")
        _, logins["reader"] = await make_account(conn, market.hospital, "reader")
        registry: Registry = client._transport.app.state.yaosu.parts["registry"]  # type: ignore[attr-defined]
        await registry.refresh(conn)
        yield Place(market, goods, client, keys, logins)
    client.cookies.clear()


async def test_a_ward_round_drawn_by_a_machine_names_codes_and_split_flags_for_the_insurer(
    place: Place,
) -> None:
    made = await place.call("/pools", {"name": "三病区包药机", "kind": "machine"})
    assert made.status_code == 200, made.text
    pool_id, drug = made.json()["id"], place.market.drug_id
    case = place.goods.cases[0]
    loaded = await place.call(f"/pools/{pool_id}/load", {"number": "ZC-1", "codes": [case]})
    assert loaded.json()["items"][0]["boxes"] == 10 and loaded.json()["bill"]["status"] == "accepted"
    round_ = {
        "number": "BY-0730",
        "draws": [{"drug_id": drug, "units": 3, "prescription_no": f"ZY-{n}"} for n in range(20)],
    }
    drawn = await place.call(f"/pools/{pool_id}/draw", round_)
    assert drawn.status_code == 200, drawn.text
    answer = drawn.json()
    assert (answer["status"], answer["accepted"], answer["refused"]) == ("accepted", 20, 0)
    parts = [p for line in answer["lines"] for p in line["parts"]]
    assert {p["trdn_flag"] for p in parts} == {"1"} and sum(p["units"] for p in parts) == 60
    assert {p["code"] for p in parts} <= set(place.goods.boxes_of(0))
    again = await place.call(f"/pools/{pool_id}/draw", round_)
    assert again.json()["replayed"] and again.json()["bill_id"] == answer["bill_id"]
    other = await place.call(f"/pools/{pool_id}/draw", {**round_, "draws": round_["draws"][:1]})
    assert (other.status_code, other.json()["code"]) == (409, "split_number_taken")
    single = {"number": "BY-1", "drug_id": drug, "units": 2, "prescription_no": "ZY-99", "count": 3}
    assert (await place.call(f"/pools/{pool_id}/draw", single)).json()["accepted"] == 3
    shown = (await place.read(f"/pools/{pool_id}")).json()
    assert shown["levels"][0]["units"] == 240 - 66
    back = {"number": "CT-1", "lines": [{"code": parts[0]["code"], "units": 1, "prescription_no": "ZY-0"}]}
    assert (await place.call(f"/pools/{pool_id}/returns", back)).json()["type"] == 116
    short = {"number": "BY-2", "drug_id": drug, "units": 500, "mode": "atomic"}
    refused = await place.call(f"/pools/{pool_id}/draw", short)
    assert (refused.status_code, refused.json()["code"]) == (422, "split_lines_refused")
    empty = await place.call(f"/pools/{pool_id}/draw", {"number": "BY-3"})
    assert empty.json()["code"] == "split_no_lines"
    for path in (f"/pools/{pool_id}", f"/split/orders/{answer['order_id']}"):
        assert (await place.read(path, "pharmacy")).status_code == 404
    assert (await place.call(f"/pools/{pool_id}/draw", single, "pharmacy")).status_code == 404


async def test_a_box_goes_through_its_life_over_the_api(place: Place) -> None:
    box = place.goods.boxes_of(1)[0]
    looked = (await place.call("/split/look", {"codes": [box, "1"]})).json()["items"]
    assert [i["ok"] for i in looked] == [True, False] and looked[0]["left"] == 24
    lines = [
        {"code": box, "units": 6, "prescription_no": "CF-1", "dosage": "每次2粒"},
        {"code": box, "units": 4},
    ]
    done = await place.call("/split", {"number": "CL-1", "lines": lines})
    assert done.status_code == 200, done.text
    assert [line["units"] for line in done.json()["lines"]] == [6, 4]
    lost = {"number": "CS-1", "reason": "掉落污染", "lines": [{"code": box, "units": 2}]}
    assert (await place.call("/split/losses", lost)).json()["status"] == "accepted"
    again = await place.call("/split/losses", lost)
    assert again.json()["replayed"], again.text
    returned = {"number": "CT-2", "lines": [{"code": box, "units": 3, "prescription_no": "CF-1"}]}
    assert (await place.call("/split/returns", returned)).json()["kind"] == "return"
    one = (await place.read("/split/box?code=" + quote(box))).json()
    assert (one["left"], one["dispensed"], one["lost"]) == (15, 7, 2)
    assert [e["change"] for e in one["entries"]] == [0, -10, -2, 3]
    assert sum(e["change"] for e in one["entries"]) == one["left"] - one["total"]
    listed = (await place.read("/split/boxes?state=open&limit=1")).json()
    assert listed["items"][0]["code"] == box and listed["next"]
    assert (await place.read("/split/boxes?before=" + quote(listed["next"]))).status_code == 200
    assert (await place.read("/split/boxes?before=x")).status_code == 422
    for path in ("/split/boxes?format=xlsx", "/split/boxes?format=pdf", f"/split/box?code={box}&format=pdf"):
        file = await place.read(path)
        assert file.status_code == 200 and file.content[:2] in (b"PK", b"%P")
    assert (await place.read("/split/box?code=" + quote(box), "pharmacy")).status_code == 404
    assert (await place.read("/split/boxes", "pharmacy")).json()["items"] == []
    assert (await place.call("/split", {"number": "CL-2", "lines": lines}, "maker")).status_code == 422
    closed = await place.call("/split/expired/close", {"number": "CS-9", "reason": "过期"})
    assert (closed.status_code, closed.json()["code"]) == (409, "split_nothing_expired")


async def test_every_page_opens_and_its_forms_do_what_they_say(place: Place) -> None:
    token = await place.enter("hospital")
    box = place.goods.boxes_of(2)[0]
    header = {"x-csrf-token": token}
    lines = [{"code": box, "units": 6, "prescription_no": "CF-7"}]
    answer = await place.client.post(f"{V1}/split", json={"number": "CL-7", "lines": lines}, headers=header)
    order = answer.json()["order_id"]

    async def page(path: str) -> str:
        found = await place.client.get(path, headers=HTML)
        assert found.status_code == 200, (path, found.text[:400])
        return found.text

    async def form(path: str, **fields: Any) -> httpx.Response:
        return await place.client.post(path, data={"_csrf": token, **fields}, headers=HTML)

    assert "CF-7" in await page(f"/split/orders/{order}")
    for path in ("/split", f"/split?code={box}", "/split/boxes", "/split/boxes?state=expired", "/pools"):
        await page(path)
    assert "CF-7" in await page(f"/split/box?code={box}")
    back = await form("/split/box/return", code=box, number="CT-7", units="2", prescription_no="CF-7")
    assert back.status_code == 303
    lost = await form("/split/box/loss", code=box, number="CS-7", units="99", reason="污染")
    assert lost.status_code == 422 and "超过该盒剩余" in lost.text
    assert (
        await form("/split/box/loss", code=box, number="CS-7", units="1", reason="污染")
    ).status_code == 303
    made = await form("/pools", name="二病区", kind="ward")
    where = made.headers["location"]
    codes = place.goods.boxes_of(2)[:3]
    checked = await place.client.post(f"{where}/check", json={"codes": [*codes, "x"]}, headers=header)
    assert [r["severity"] for r in checked.json()["results"]] == ["ok", "ok", "ok", "refused"]
    loaded = await place.client.post(
        f"{where}/load", json={"bill_no": "ZC-7", "codes": codes}, headers=header
    )
    assert loaded.json()["accepted"] == 3, loaded.text
    shown = await page(where)
    assert codes[1] in shown
    drug = place.market.drug_id
    assert (await form(f"{where}/levels", drug_id=str(drug), refill_below="100")).status_code == 303
    assert "待补充" in await page(where)
    wrong = await form(f"{where}/count", number="CC-7", reason="清点", code=codes, units=["99", "", ""])
    assert wrong.status_code == 422 and "多于账上" in wrong.text
    counted = await form(f"{where}/count", number="CC-8", reason="清点", code=codes, units=["17", "", ""])
    assert counted.status_code == 303
    assert (await form(f"{where}/unload", codes=codes[:1])).status_code == 303
    assert (await form(f"{where}/unblock")).status_code == 303


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("reader", "/split", 403),
        ("reader", "/split/boxes", 200),
        ("reader", "/pools", 200),
        ("maker", "/split", 403),
        ("pharmacy", "/split", 200),
        ("pharmacy", "/pools/1", 404),
        ("pharmacy", "/split/orders/1", 404),
        ("pharmacy", "/split/box?code=x", 404),
        ("hospital", "/pools/999999", 404),
        ("hospital", "/split/boxes?drug=x", 422),
    ],
)
async def test_a_page_opens_for_those_who_may(place: Place, who: str, path: str, status: int) -> None:
    await place.enter(who)
    assert (await place.client.get(path, headers=HTML)).status_code == status


@pytest.mark.parametrize("code", ["\\ud800", "\\u0000", "x" * 4097, ""])
async def test_hostile_text_gets_a_clear_error_and_never_a_failure(place: Place, code: str) -> None:
    token = await place.enter("hospital")
    header = {"x-csrf-token": token, "content-type": "application/json"}
    made = await place.client.post(
        f"{V1}/pools", json={"name": f"池{len(code)}{code[1:3]}", "kind": "ward"}, headers=header
    )
    pool_id = made.json()["id"]
    one = f'{{"code": "{code}", "units": 1}}'
    calls = {
        f"{V1}/split/look": f'{{"codes": ["{code}"]}}',
        f"{V1}/split": f'{{"number": "H", "lines": [{{"code": "{code}", "units": 1}}]}}',
        f"{V1}/split/returns": f'{{"number": "H", "lines": [{{"code": "{code}", "units": 1}}]}}',
        f"{V1}/split/losses": f'{{"number": "H", "reason": "破损", "lines": [{{"code": "{code}", "units": 1}}]}}',
        f"{V1}/pools/{pool_id}/load": f'{{"number": "H", "codes": ["{code}"]}}',
        f"{V1}/pools/{pool_id}/unload": f'{{"codes": ["{code}"]}}',
        f"{V1}/pools/{pool_id}/count": f'{{"number": "H", "reason": "清点", "counts": [{one}]}}',
        f"/pools/{pool_id}/check": f'{{"codes": ["{code}"]}}',
        f"/pools/{pool_id}/load": f'{{"bill_no": "{code or 1}", "codes": ["{code}"]}}',
    }
    for path, body in calls.items():
        answer = await place.client.post(path, content=body.encode(), headers=header)
        assert answer.status_code in (200, 400, 422), (path, answer.status_code, answer.text[:300])
        if answer.status_code != 200:
            assert answer.json()["code"] and answer.json()["message"]


async def test_a_stranger_is_asked_to_sign_in(place: Place) -> None:
    place.client.cookies.clear()
    for path in ("/split/boxes", "/pools", "/split/box?code=x"):
        assert (await place.client.get(V1 + path)).status_code == 401
    for path in ("/split", "/split/boxes", "/pools"):
        assert (await place.client.get(path, headers=HTML)).status_code == 303
