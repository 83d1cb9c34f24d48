"""`yaosu bill …` and `yaosu delegation …`: what pages and API do, from a terminal (R-X3, R-B7, R-B8, R-C8, R-C9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from circulation.helpers import Market, activate, make_market
from yaosu.circulation.commands import app
from yaosu.db.engine import Pool

Do = Callable[..., Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(pool: Pool) -> AsyncIterator[Market]:
    async with pool.acquire() as conn:
        made = await make_market(conn)
        yield made
        await made.conserved()


@pytest.fixture
def do(database: str, tmp_path: Path) -> Do:
    """Run a command beside the test's loop: (exit code, standard output, standard error)."""

    async def run(*words: object, stdin: str | bytes | None = None) -> tuple[int, str, str]:
        env = {"YAOSU_DATABASE_URL": database, "YAOSU_DATA": str(tmp_path)}
        done = await asyncio.to_thread(CliRunner().invoke, app, [str(w) for w in words], input=stdin, env=env)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return run


async def shipped(market: Market, do: Do, number: str, codes: list[str]) -> int:
    """A shipment made from the command line; its number."""
    body = {
        "type": 201,
        "bill_no": number,
        "happened_at": "2026-09-30T10:00:00+08:00",
        "to_org": market.wholesaler,
        "codes": codes,
        "header": {"to_address": "济南市历下区"},
    }
    code, out, err = await do("submit", "-", "--org", market.maker, "--json", stdin=orjson.dumps(body))
    assert code == 0, out + err
    return int(orjson.loads(out)["bill_id"])


async def test_late_scans_are_added_after_a_look_at_what_it_would_do(market: Market, do: Do) -> None:
    goods = await activate(market)
    await shipped(market, do, "K-1", goods.boxes[:3])
    await market.move(102, market.wholesaler, goods.boxes[:1], from_org=market.maker)
    late = "\n".join(goods.boxes[3:5])
    words = ("correct", "-", "--org", market.maker, "--bill-no", "K-1", "--append", "--reason", "漏扫")
    code, out, _ = await do(*words, "--preview", "--json", stdin=late)
    seen = orjson.loads(out)
    assert (code, seen["possible"]) == (0, True)
    assert [one["code"] for one in seen["kept"]] == goods.boxes[:1]
    assert {one["code"] for one in seen["added"]} == set(goods.boxes[3:5])
    assert await market.status(goods.boxes[3]) == ("I", market.maker, None)
    code, out, _ = await do(*words, stdin=late)
    assert code == 0 and "新增" in out and "保留" in out
    assert await market.status(goods.boxes[3]) == ("O", market.maker, market.wholesaler)
    code, out, _ = await do("list", "--org", market.maker, "--bill-no", "K-1", "--json")
    latest = orjson.loads(out)[0]
    assert (latest["revision"], latest["header"]["to_address"]) == (2, "济南市历下区")
    code, out, _ = await do("show", latest["id"], "--org", market.maker)
    view = orjson.loads(out)
    assert [one["code"] for one in view["kept"]] == goods.boxes[:1]
    assert len(view["codes"]) == 5 and view["header"]["correct_reason"] == "漏扫"


async def test_a_wrong_receiver_is_corrected_by_naming_only_that(market: Market, do: Do) -> None:
    goods = await activate(market)
    await shipped(market, do, "K-2", goods.boxes[:2])
    fix = orjson.dumps({"bill_no": "K-2", "to_org": market.other})
    code, out, err = await do("correct", "-", "--org", market.maker, stdin=fix)
    assert code == 0, out + err
    assert await market.status(goods.boxes[0]) == ("O", market.maker, market.other)


async def test_a_void_says_first_what_it_would_take_back_and_refuses_what_others_rely_on(
    market: Market, do: Do
) -> None:
    goods = await activate(market)
    free = await shipped(market, do, "K-3", goods.boxes[:2])
    code, out, _ = await do("void", free, "--org", market.maker, "--preview", "--json")
    assert (code, sorted(orjson.loads(out)["taken_back"])) == (0, sorted(goods.boxes[:2]))
    assert await market.status(goods.boxes[0]) == ("O", market.maker, market.wholesaler)
    code, _, err = await do("void", free, "--org", market.maker)
    assert code == 1 and "invalid_request" in err and "reason" in err
    assert (await do("void", free, "--org", market.maker, "--reason", "选错"))[0] == 0
    assert await market.status(goods.boxes[0]) == ("I", market.maker, None)
    used = await shipped(market, do, "K-4", goods.boxes[2:4])
    await market.move(102, market.wholesaler, goods.boxes[2:4], from_org=market.maker)
    for more in (("--preview",), ("--reason", "选错")):
        code, _, err = await do("void", used, "--org", market.maker, *more)
        assert code == 1 and "later_fact" in err and goods.boxes[2] in err


async def test_parts_and_goods_without_codes_stand_on_the_bill_and_are_not_lost_by_a_list(
    market: Market, do: Do
) -> None:
    goods = {"drug_id": market.drug_id, "batch_no": "U1", "qty": 40}
    dates = {"produced_on": "2024-01-01", "expires_on": "2059-12-31"}
    body = {
        "type": 21,
        "bill_no": "W-1",
        "happened_at": "2026-01-30T10:00:00+08:00",
        "codes": [],
        "quantities": [{**goods, **dates}],
        "header": {"invoice_no": "F1", "invoice_date": "2024-03-01", "supplier": "某公司"},
    }
    code, out, err = await do("submit", "-", "--org", market.pharmacy, "--json", stdin=orjson.dumps(body))
    assert code == 0, out + err
    answer = orjson.loads(out)
    code, out, _ = await do("show", answer["bill_id"])
    (line,) = orjson.loads(out)["quantities"]
    assert (line["batch_no"], line["qty"], line["after"]) == ("U1", 40, "U")
    words = ("correct", "-", "--org", market.pharmacy, "--bill-no", "W-1", "--append")
    code, _, err = await do(*words, stdin="83857930000000000001")
    assert code == 1 and "quantities" in err
    # what the file leaves out stays: the header is corrected, the goods are not
    header = orjson.dumps({"bill_no": "W-1", "header": {"invoice_no": "F2"}})
    code, out, err = await do("correct", "-", "--org", market.pharmacy, "--json", stdin=header)
    assert code == 0, out + err
    code, out, _ = await do("show", orjson.loads(out)["bill_id"])
    shown = orjson.loads(out)
    assert [(q["batch_no"], q["qty"]) for q in shown["quantities"]] == [("U1", 40)]
    assert shown["header"]["invoice_no"] == "F2"


async def test_what_is_on_its_way_checked_and_in_quarantine_is_listed_for_whom_it_concerns(
    market: Market, do: Do
) -> None:
    goods = await activate(market)
    await shipped(market, do, "L-1", goods.boxes[:3])
    own = orjson.loads((await do("notices", "--org", market.wholesaler, "--json"))[1])
    assert ("L-1", 3) in [(n["bill_no"], n["outstanding"]) for n in own]
    assert orjson.loads((await do("notices", "--org", market.hospital, "--json"))[1]) == []
    receipt = {"from_org": market.maker, "notice": "L-1"}
    await market.move(102, market.wholesaler, goods.boxes[:2] + goods.boxes[4:5], **receipt)
    (check,) = orjson.loads((await do("checks", "--org", market.maker, "--mismatch", "--json"))[1])
    assert (check["notice_no"], check["buyer"]["id"]) == ("L-1", market.wholesaler)
    for command in ("notices", "checks", "quarantine", "list", "direct"):
        code, out, err = await do(command, "--org", market.wholesaler)
        assert code == 0, out + err
    assert "L-1" in (await do("list", "--org", market.wholesaler))[1]
    code, out, _ = await do("types")
    assert code == 0 and "superviser" in out


async def test_a_direct_shipment_is_listed_for_the_firm_that_directs_it(market: Market, do: Do) -> None:
    goods = await activate(market)
    await market.pass_on(market.maker, market.other, goods.boxes[:2])
    body = {
        "type": 207,
        "bill_no": "ZD-1",
        "happened_at": "2026-10-01T10:00:00+08:00",
        "to_org": market.pharmacy,
        "direct_org": market.wholesaler,
        "codes": goods.boxes[:2],
    }
    code, out, err = await do("submit", "-", "--org", market.other, stdin=orjson.dumps(body))
    assert code == 0, out + err
    (one,) = orjson.loads((await do("direct", "--org", market.wholesaler, "--json"))[1])
    assert (one["bill_no"], one["role"], one["qty"]) == ("ZD-1", "directs", 2)


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        (("list", "--org", "99999"), None, 1, "not_found"),
        (("show", "999999999"), None, 1, "not_found"),
        (("show", str(2**63)), None, 2, ""),
        (("void", "999999999", "--org", "MAKER", "--reason", "选错"), None, 1, "not_found"),
        (("void", "999999999", "--org", "MAKER", "--preview"), None, 1, "not_found"),
        (("correct", "-", "--org", "MAKER"), '{"to_org": 1}', 2, "--bill-no"),
        (("correct", "-", "--org", "MAKER", "--bill-no", "NONE"), "x", 1, "not_found"),
        (("submit", "-", "--org", "MAKER"), '{"type": 201,', 1, "malformed_body"),
        (("submit", "-", "--org", "MAKER"), '{"type": 201, "type": 202}', 1, "malformed_body"),
        (("submit", "-", "--org", "MAKER"), '{"type": "x", "codes": 3}', 1, "invalid_request"),
        (("submit", "-", "--org", "MAKER"), b"\xff\xfe\x00", 1, "malformed_body"),
        (
            ("correct", "-", "--org", "MAKER", "--bill-no", "X"),
            '{"header": "x", "codes": 3}',
            1,
            "invalid_request",
        ),
        (("submit", "no such file", "--org", "MAKER"), None, 2, ""),
        (("count", "no such file", "--org", "MAKER", "--no", "P1"), None, 2, ""),
        (("count", "-", "--org", "MAKER", "--no", "P1"), b"\xff\xfe", 1, "malformed_body"),
    ],
)
async def test_a_mistake_is_named_with_its_code_in_both_languages_and_never_a_traceback(
    market: Market, do: Do, words: tuple[str, ...], stdin: str | bytes | None, code: int, said: str
) -> None:
    given = [str(market.maker) if w == "MAKER" else w for w in words]
    found, out, err = await do(*given, stdin=stdin)
    assert (found, out) == (code, "")
    assert said in err and "Traceback" not in err
    if code == 1:
        assert any("\u4e00" <= c <= "\u9fff" for c in err), "no Chinese"


async def test_somebody_elses_bill_is_not_voided(market: Market, do: Do) -> None:
    goods = await activate(market)
    bill = await shipped(market, do, "R-1", goods.boxes[:1])
    for org, said in ((market.wholesaler, "not_your_bill"), (market.hospital, "not_found")):
        code, _, err = await do("void", bill, "--org", org, "--reason", "不是我的")
        assert code == 1 and said in err
    assert (await do("show", bill, "--org", market.hospital))[0] == 1
    code, _, err = await do("correct", "-", "--org", market.hospital, "--bill-no", "R-1", stdin="x")
    assert code == 1 and "not_found" in err
