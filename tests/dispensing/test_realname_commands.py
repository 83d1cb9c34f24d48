"""`yaosu dispense realname …` and `yaosu person …` (R-C2)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from circulation.helpers import activate, make_market
from people.helpers import KEEPER, given
from registry.helpers import make_product
from yaosu.db.engine import connect
from yaosu.dispensing.realname_commands import app
from yaosu.people import commands as person
from yaosu.people import service
from yaosu.registry.resolver import load_registry

runner = CliRunner()


@dataclass
class Shop:
    """A pharmacy that sold to somebody."""

    org: int
    bill_no: str
    name: str
    number: str
    left: str
    """A box still on the shelf."""


@pytest.fixture(scope="module")
def shop(database: str) -> Shop:
    """One real-name sale on the module's database, through the write path."""

    async def seed() -> Shop:
        conn = await connect(database)
        market = await make_market(conn)
        levels = (("盒", 1, "8310001"), ("箱", 10, "8310002"), ("托盘", 40, "8310003"))
        drug = await make_product(
            conn, market.maker, levels=levels, flags=("ephedrine",), prescription="otc_a"
        )
        market = replace(
            market,
            drug_id=drug,
            registry=await load_registry(conn),
            prefixes=("8310001", "8310002", "8310003"),
        )
        goods = await activate(market)
        await market.pass_on(market.maker, market.pharmacy, goods.boxes[:3])
        who = given("塔依尔")
        seller = market.subject(market.pharmacy)
        buyer = await service.identify(conn, KEEPER, seller, who)
        sold = await market.move(321, market.pharmacy, goods.boxes[:2], person=buyer)
        assert sold.status == "accepted"
        await market.conserved()
        await conn.close()
        return Shop(market.pharmacy, sold.bill_no, who.name, who.number, goods.boxes[2])

    return asyncio.run(seed())


@pytest.fixture(autouse=True)
def _settings(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAOSU_DATABASE_URL", database)
    monkeypatch.setenv("YAOSU_MASTER_SECRET", bytes(range(32)).hex())


def test_the_register_is_printed_masked_and_in_full_for_a_reason(shop: Shop) -> None:
    arguments = ["register", "--org", str(shop.org), "--json"]
    masked = runner.invoke(app, arguments)
    assert masked.exit_code == 0, masked.output
    (row,) = json.loads(masked.output)
    assert (row["bill_no"], row["qty"], row["name"]) == (shop.bill_no, 2, "塔**")
    assert shop.number not in masked.output
    full = runner.invoke(app, [*arguments, "--reason", "药监检查第3号"])
    assert json.loads(full.output)[0]["number"] == shop.number
    assert runner.invoke(app, ["register", "--org", str(shop.org)]).exit_code == 0


def test_files_and_mistakes(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "register.pdf"
    done = runner.invoke(app, ["register", "--org", str(shop.org), "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert file.read_bytes().startswith(b"%PDF")
    assert runner.invoke(app, ["register", "--org", "99999"]).exit_code == 1
    assert runner.invoke(app, ["register", "--org", str(shop.org), "--since", "gestern"]).exit_code == 2
    assert runner.invoke(app, ["register", "--org", str(shop.org), "--out", "a.doc"]).exit_code == 2
    numbered = runner.invoke(app, ["register", "--org", str(shop.org), "--reason", f"查 {shop.number}"])
    assert numbered.exit_code == 1
    assert shop.number not in numbered.output


def test_repeated_buying_is_listed(shop: Shop) -> None:
    done = runner.invoke(app, ["repeat", "--org", str(shop.org), "--json"])
    assert (done.exit_code, json.loads(done.output)) == (0, [])


def test_a_new_key_is_made_and_everything_still_opens(shop: Shop) -> None:
    done = runner.invoke(person.app, ["rekey"])
    assert done.exit_code == 0, done.output
    full = runner.invoke(app, ["register", "--org", str(shop.org), "--json", "--reason", "换钥后核对"])
    assert json.loads(full.output)[0]["name"] == shop.name
    assert runner.invoke(person.app, ["erase"]).exit_code == 0


def test_under_another_master_secret_the_command_says_what_to_do(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YAOSU_MASTER_SECRET", bytes(32).hex())
    done = runner.invoke(app, ["register", "--org", str(shop.org)])
    assert done.exit_code == 1
    assert "YAOSU_MASTER_SECRET" in done.output


def test_a_sale_comes_in_by_a_file_and_nothing_of_the_person_is_printed_again(shop: Shop) -> None:
    who = given("阿依古丽")
    person = {"kind": who.kind, "number": who.number, "name": who.name}
    sale = {
        "type": 321,
        "bill_no": "LS-CLI",
        "happened_at": "2026-10-01T10:00:00+08:00",
        "codes": [shop.left],
    }
    words = ["sell", "-", "--org", str(shop.org)]
    alone = runner.invoke(app, words, input=json.dumps(sale))
    assert alone.exit_code == 1 and "real_name_needed" in alone.output
    whole = json.dumps({**sale, "bill_no": "LS-CLI-2", "person": person})
    for broken, code in (
        (whole[:-1], "malformed_body"),
        (json.dumps({**sale, "person": {**person, "number": who.number[:-1] + "?"}}), "identity_card_shape"),
        (json.dumps({**sale, "person": {**person, "extra": who.number}}), "invalid_request"),
    ):
        refused = runner.invoke(app, words, input=broken)
        assert refused.exit_code == 1 and code in refused.output, refused.output
        assert who.number[:-1] not in refused.output and who.name not in refused.output
    done = runner.invoke(app, [*words, "--json"], input=whole)
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["qty"]) == ("accepted", 1)
    assert isinstance(answer["person_id"], int)
    assert who.number not in done.output and who.name not in done.output
    again = runner.invoke(app, words, input=whole)
    assert again.exit_code == 0 and who.name not in again.output
