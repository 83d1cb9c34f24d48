"""Persons: encrypted, matched, masked, unmasked with a reason, erased (R-C2, R-C4, design §6)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from people.helpers import KEEPER, card, given, purchase
from registry.helpers import make_org, make_product, subject_of
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.people import clock, envelope, gate, service
from yaosu.people.keeper import Keeper
from yaosu.registry.model import OrgType
from yaosu.registry.resolver import load_registry
from yaosu.settings import Settings
from yaosu.subject import SYSTEM, Subject

TILL = ("bill.write", "person.read", "person.unmask")


async def shop(conn: Connection, region: str = "650102") -> Subject:
    """A pharmacist who may do everything with persons."""
    return subject_of(
        await make_org(conn, OrgType.RETAIL, region=region), OrgType.RETAIL, *TILL, region=region
    )


async def everything(conn: Connection) -> str:
    """All rows of all tables as one text, as a thief with a dump would have them."""
    tables = await conn.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS t FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    found = []
    for row in tables:
        for one in await conn.fetch(f"SELECT t::text AS r FROM {row['t']} t"):
            found.append(one["r"])
            # bytes print as hexadecimal: look inside
            for part in one["r"].replace('"', ",").split(","):
                if part.startswith("\\\\x"):
                    found.append(bytes.fromhex(part[3:]).decode("latin-1"))
    return "\n".join(found)


async def test_the_same_document_is_the_same_person_at_every_shop(db: Connection) -> None:
    number = card()
    first = await service.identify(db, KEEPER, await shop(db), given("张三", number=number))
    second = await service.identify(db, KEEPER, await shop(db), given("张三丰", number=number.lower()))
    other = await service.identify(db, KEEPER, await shop(db), given("张三"))
    assert first == second != other


async def test_nothing_personal_is_readable_in_any_table(db: Connection) -> None:
    seller = await shop(db)
    one = given("阿卜杜拉", phone="13912345678")
    person = await service.identify(db, KEEPER, seller, one)
    await service.unmask(db, KEEPER, seller, person, "核对专册")
    body = f'{{"person": {{"number": "{one.number}", "name": "{one.name}"}}}}'.encode()
    sealed = await envelope.seal(db, KEEPER, [person], body)
    await db.execute("INSERT INTO submission (parts, body) VALUES (1, $1)", sealed)
    dump = await everything(db)
    assert "核对专册" in dump  # the dump does see text
    assert "enc:v1:" in dump  # and looks into bytes
    for secret in (one.number, one.number[6:14], one.name, one.phone):
        assert secret not in dump
        assert secret.encode().decode("latin-1") not in dump


async def test_everybody_sees_masks_and_only_of_persons_they_registered(db: Connection) -> None:
    seller, stranger = await shop(db), await shop(db)
    number = card(sequence=123)
    person = await service.identify(db, KEEPER, seller, given("张三", number=number))
    shown = await service.shown(db, KEEPER, seller, [person, 0])
    assert shown[person].name_masked == "张*"
    assert shown[person].number_masked == f"{number[:4]}**********{number[-4:]}"
    assert shown[person].phone_masked.count("*") >= 5
    assert await service.shown(db, KEEPER, stranger, [person]) == {}


async def test_a_shop_never_sees_the_name_another_shop_entered(db: Connection) -> None:
    here, there = await shop(db), await shop(db)
    number = card()
    person = await service.identify(db, KEEPER, here, given("张三", number=number))
    await service.identify(db, KEEPER, there, given("李四", number=number, phone=""))
    assert (await service.shown(db, KEEPER, here, [person]))[person].name_masked == "张*"
    mine = await service.unmask(db, KEEPER, there, person, "核对处方")
    assert (mine.name, mine.phone) == ("李四", "")


async def test_a_regulator_sees_persons_of_its_region_only(db: Connection) -> None:
    here, far = await shop(db), await shop(db, "370102")
    one = await service.identify(db, KEEPER, here, given())
    two = await service.identify(db, KEEPER, far, given())
    office = await make_org(db, OrgType.GOVERNMENT, region="650000")
    regulator = subject_of(office, 110, "supervise.read", "person.unmask", region="650000")
    assert set(await service.shown(db, KEEPER, regulator, [one, two])) == {one}
    await service.unmask(db, KEEPER, regulator, one, "专项检查")
    reads = await db.fetch("SELECT what, owner_org FROM read_record WHERE org_id = $1", office)
    assert [(r["what"], r["owner_org"]) for r in reads] == [(f"person {one} unmasked", here.org)]


async def test_seeing_somebody_in_full_needs_scope_and_reason_and_is_on_record(db: Connection) -> None:
    seller = await shop(db)
    one = given("张三")
    person = await service.identify(db, KEEPER, seller, one)
    clerk = subject_of(seller.org, 4, "bill.write", "person.read")
    with pytest.raises(YaosuError) as refused:
        await service.unmask(db, KEEPER, clerk, person, "好奇而已")
    assert refused.value.code == "forbidden"
    for reason, code in (("  ", "reason_needed"), (f"查 {one.number}", "reason_has_number")):
        with pytest.raises(YaosuError) as refused:
            await service.unmask(db, KEEPER, seller, person, reason)
        assert [f.code for f in refused.value.findings] == [code]
    opened = await service.unmask(db, KEEPER, seller, person, "药监检查第3号")
    assert (opened.number, opened.name, opened.phone) == (one.number, one.name, one.phone)
    entry = await db.fetchrow("SELECT * FROM audit WHERE action = 'person.unmask'")
    assert entry["object_id"] == str(person)
    assert entry["details"] == {"reason": "药监检查第3号"}
    stranger = await shop(db)
    with pytest.raises(YaosuError) as refused:
        await service.unmask(db, KEEPER, stranger, person, "别家的客人")
    assert refused.value.code == "not_found"


async def test_refusals_and_reprs_never_repeat_what_was_typed(db: Connection) -> None:
    wrong = given("张三", number="650102198001011230", phone="电话1380000")
    with pytest.raises(YaosuError) as refused:
        await service.identify(db, KEEPER, await shop(db), wrong)
    told = (
        repr(refused.value)
        + str(refused.value.as_json("zh"))
        + str(refused.value.as_json("en"))
        + repr(wrong)
    )
    for secret in (wrong.number, "19800101", "1380000", "张三"):
        assert secret not in told
    assert {f.code for f in refused.value.findings} == {"identity_card_check_digit", "person_phone_shape"}


async def test_under_another_master_secret_nothing_opens(db: Connection) -> None:
    seller = await shop(db)
    person = await service.identify(db, KEEPER, seller, given())
    with pytest.raises(YaosuError) as refused:
        await service.shown(db, Keeper(bytes(32)), seller, [person])
    assert refused.value.code == "person_unreadable"


async def test_a_cipher_does_not_open_in_another_row(db: Connection) -> None:
    seller = await shop(db)
    one = await service.identify(db, KEEPER, seller, given("张三"))
    two = await service.identify(db, KEEPER, seller, given("李四"))
    await db.execute(
        "UPDATE people.given g SET cipher = o.cipher FROM people.given o WHERE g.person = $1 AND o.person = $2",
        one,
        two,
    )
    with pytest.raises(YaosuError) as refused:
        await service.shown(db, KEEPER, seller, [one])
    assert refused.value.code == "person_unreadable"


async def test_a_new_key_is_used_at_once_and_old_ciphers_are_written_anew(db: Connection) -> None:
    seller = await shop(db)
    old = given("张三")
    person = await service.identify(db, KEEPER, seller, old)
    newest = await service.new_key(db, SYSTEM)
    after = await service.identify(db, KEEPER, seller, given("李四"))
    assert await db.fetchval("SELECT key_id FROM people.person WHERE id = $1", after) == newest
    assert await db.fetchval("SELECT key_id FROM people.person WHERE id = $1", person) < newest
    while await service.rekey(db, KEEPER, SYSTEM):
        pass
    left = (
        "SELECT count(*) FROM (SELECT key_id FROM people.person UNION ALL SELECT key_id FROM people.given) x "
    )
    assert await db.fetchval(left + "WHERE key_id <> $1", newest) == 0
    assert (await service.unmask(db, KEEPER, seller, person, "换钥后核对")).number == old.number
    # the match has no generations: the person is still the same
    assert await service.identify(db, KEEPER, seller, old) == person


async def test_a_sealed_submission_opens_only_with_scope_sight_and_reason(db: Connection) -> None:
    seller, stranger = await shop(db), await shop(db)
    persons = [await service.identify(db, KEEPER, seller, given()) for _ in range(2)]
    body = b'{"anything": "as received"}'
    sealed = await envelope.seal(db, KEEPER, persons, body)
    assert envelope.is_sealed(sealed)
    assert b"received" not in sealed
    assert await envelope.unseal(db, KEEPER, seller, sealed, "核对原始报文") == body
    for subject, code in ((stranger, "not_found"), (subject_of(seller.org, 4, "bill.write"), "forbidden")):
        with pytest.raises(YaosuError) as refused:
            await envelope.unseal(db, KEEPER, subject, sealed, "核对原始报文")
        assert refused.value.code == code
    with pytest.raises(YaosuError) as refused:
        await envelope.unseal(db, KEEPER, seller, body, "核对原始报文")
    assert refused.value.code == "not_sealed"


async def test_when_retention_ends_the_person_is_destroyed_and_quantities_stay(db: Connection) -> None:
    seller = await shop(db)
    maker = await make_org(db, OrgType.MAKER)
    drug = await make_product(
        db, maker, levels=(("盒", 1, "8185793"),), flags=("ephedrine",), prescription="otc_a"
    )
    registry = await load_registry(db)
    persons = [await service.identify(db, KEEPER, seller, given()) for _ in range(2)]
    body = await envelope.seal(db, KEEPER, persons[:1], b"{}")
    for number, (person, at) in enumerate(
        zip(persons, (datetime(2020, 5, 1, tzinfo=UTC), datetime(2022, 5, 1, tzinfo=UTC)), strict=True), 1
    ):
        await gate.record(db, number, [purchase(seller.org, drug, person, 2, happened_at=at)])
        await db.execute("UPDATE people.person SET last_at = $2 WHERE id = $1", person, at)
    now = datetime(2025, 5, 1, tzinfo=UTC)  # the last day of five years
    assert await service.erase_due(db, registry, now) == 0
    assert await service.erase_due(db, registry, now + timedelta(days=1)) == 1
    gone = await db.fetchrow("SELECT * FROM people.person WHERE id = $1", persons[0])
    assert (gone["hash"], gone["cipher"], gone["salt"]) == (None, None, None)
    assert gone["erased_at"] is not None
    assert await db.fetchval("SELECT count(*) FROM people.given WHERE person = $1", persons[0]) == 0
    assert await db.fetchval("SELECT sum(qty) FROM people.purchase WHERE person = $1", persons[0]) == 2
    assert set(await service.shown(db, KEEPER, seller, persons)) == {persons[1]}
    with pytest.raises(YaosuError) as refused:
        await envelope.unseal(db, KEEPER, seller, body, "核对原始报文")
    assert refused.value.code == "person_erased"


async def test_the_batchs_expiry_prolongs_retention_where_the_list_says_so(db: Connection) -> None:
    seller = await shop(db)
    maker = await make_org(db, OrgType.MAKER)
    drug = await make_product(
        db, maker, levels=(("盒", 1, "8185794"),), flags=("narcotic",), prescription="rx"
    )
    batch = await db.fetchval(
        "INSERT INTO batch (drug_id, batch_no, maker, produced_on, expires_on) VALUES ($1, 'B', $2, $3, $4) "
        "RETURNING id",
        drug,
        maker,
        date(2019, 1, 1),
        date(2024, 1, 31),
    )
    registry = await load_registry(db)
    person = await service.identify(db, KEEPER, seller, given())
    at = datetime(2020, 5, 1, tzinfo=UTC)
    await gate.record(db, 1, [purchase(seller.org, drug, person, batch_id=batch, happened_at=at)])
    await db.execute("UPDATE people.person SET last_at = $1", at)
    assert await service.erase_due(db, registry, datetime(2029, 1, 31, tzinfo=UTC)) == 0
    assert await service.erase_due(db, registry, datetime(2029, 2, 1, tzinfo=UTC)) == 1


async def test_a_person_of_whom_no_sale_came_is_forgotten_the_next_day(db: Connection) -> None:
    seller = await shop(db)
    person = await service.identify(db, KEEPER, seller, given())
    kept = await service.identify(db, KEEPER, seller, given())
    await gate.record(db, 1, [purchase(seller.org, 1, kept)])
    patient = await service.identify(db, KEEPER, seller, given())
    await service.keep(db, (patient, None))
    await db.execute("UPDATE people.person SET last_at = now() - interval '25 hours'")
    settings = Settings(data=None, database_url="", host="", port=0, public_url="")  # type: ignore[arg-type]
    await clock.tick(db, settings)
    await clock.tick(db, settings)
    assert set(await service.shown(db, KEEPER, seller, [person, kept, patient])) == {kept, patient}
