"""The coordination platform: one home for every code, resolving, distribution, the envelope (R-A1, R-A4)."""

from __future__ import annotations

import base64
import io
import uuid
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from exchange.xietong.helpers import (
    FIRM_A,
    FIRM_B,
    Member,
    Platform,
    firm_content,
    platform,
    product_content,
    rule_content,
)
from yaosu import gm
from yaosu.exchange.xietong import envelope

pytestmark = pytest.mark.asyncio(loop_scope="module")
_numbers = iter(range(1, 10_000))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with platform(database, tmp_path_factory.mktemp("platform")) as found:
        yield found


async def a_system(hub: Platform, **more: str) -> Member:
    return await hub.register(f"追溯系统{next(_numbers)}", **more)


def a_prefix() -> str:
    return f"8{next(_numbers):06d}"


async def test_a_firm_its_rule_and_its_product_are_filed_in_this_order(hub: Platform) -> None:
    one, prefix = await a_system(hub), a_prefix()
    said = await one.tell("1003", rule_content(FIRM_A, prefix))
    assert (said["success"], said["msg_code"]) == (False, "xietong_firm_not_filed")
    await one.tell("1001", firm_content(FIRM_A))
    said = await one.tell("1002", product_content(FIRM_A, prefix))
    assert said["msg_code"] == "xietong_rule_missing"
    said = await one.tell("1003", rule_content(FIRM_A, prefix))
    assert said["success"]
    assert said["filing_no"].startswith("XT")
    assert (await one.tell("1002", product_content(FIRM_A, prefix)))["success"]


async def test_a_prefix_of_another_system_is_refused_and_its_holder_named(hub: Platform) -> None:
    one, other, prefix = await a_system(hub), await a_system(hub), a_prefix()
    await one.file(FIRM_A, prefix)
    await other.tell("1001", firm_content(FIRM_B))
    said = await other.tell("1003", rule_content(FIRM_B, prefix))
    assert said["msg_code"] == "xietong_taken"
    assert one.system.name in said["msg_info"]
    assert "企业011M" in said["msg_info"]
    # nothing of it was kept: the platform still names the first as home
    answer = await hub.http.get("/xietong/resolve", params={"code": f"{prefix}0008797666601"})
    assert answer.json()["system"] == one.system.name


async def test_a_product_code_under_two_products_is_refused(hub: Platform) -> None:
    one = await a_system(hub)
    box, case, other_box = a_prefix(), a_prefix(), a_prefix()
    await one.tell("1001", firm_content(FIRM_A))
    assert (await one.tell("1003", rule_content(FIRM_A, box, case, other_box)))["success"]
    assert (await one.tell("1002", product_content(FIRM_A, box, case)))["success"]
    said = await one.tell("1002", product_content(FIRM_A, other_box, case))
    assert said["msg_code"] == "xietong_taken"
    assert case in said["msg_info"]


async def test_a_custom_pattern_that_reads_anothers_codes_is_refused(hub: Platform) -> None:
    one, other = await a_system(hub), await a_system(hub)
    await one.tell("1001", firm_content(FIRM_A))
    await other.tell("1001", firm_content(FIRM_B))
    issuer = f"zy{next(_numbers)}"
    rule = {
        **rule_content(FIRM_A, "x", rule_no="7"),
        "scheme": "custom",
        "prefixes": [],
        "issuer": issuer,
        "pattern": "QF[0-9]{12}",
        "samples": ["QF123456789012"],
    }
    assert (await one.tell("1003", rule))["success"]
    theirs = {**rule, "usc_id": FIRM_B, "issuer": f"{issuer}b", "pattern": "Q[A-Z][0-9]{12}"}
    said = await other.tell("1003", theirs)
    assert said["msg_code"] == "xietong_taken"
    answer = await hub.http.get("/xietong/resolve", params={"code": "QF123456789012"})
    assert answer.json()["system"] == one.system.name


async def test_a_code_resolves_to_home_and_leads_the_public_there(hub: Platform) -> None:
    one = await a_system(hub, query_url="https://a.example/q/{code}", resolver_url="https://a.example")
    prefix = a_prefix()
    await one.file(FIRM_A, prefix)
    code = f"{prefix}0008797666601"
    found = (await hub.http.get("/xietong/resolve", params={"code": code})).json()
    assert found["query_url"] == f"https://a.example/q/{code}"
    assert (found["prefix"], found["scheme"]) == (prefix, "cn20")
    answer = await hub.http.get("/xietong/code", params={"code": code})
    assert (answer.status_code, answer.headers["location"]) == (302, f"https://a.example/q/{code}")
    assert (
        await hub.http.get("/xietong/resolve", params={"code": "80000000008797666601"})
    ).status_code == 404


async def test_a_gs1_code_resolves_as_it_is_scanned(hub: Platform) -> None:
    one = await a_system(hub)
    await one.tell("1001", firm_content(FIRM_A))
    rule = {**rule_content(FIRM_A, "06924561884074"), "scheme": "gs1"}
    assert (await one.tell("1003", rule))["success"]
    for scanned in ("]d201069245618840742112345", "(01)06924561884074(21)12345"):
        answer = await hub.http.get("/xietong/resolve", params={"code": scanned})
        assert answer.json()["prefix"] == "06924561884074"


async def test_the_same_event_is_taken_once_and_changed_content_needs_a_new_one(hub: Platform) -> None:
    one, event_id = await a_system(hub), str(uuid.uuid4())
    first = await one.tell("1001", firm_content(FIRM_A), event_id)
    again = await one.tell("1001", firm_content(FIRM_A), event_id)
    assert (first["msg_code"], again["msg_code"]) == ("ok", "xietong_repeated")
    assert again["success"]
    other = await one.tell("1001", {**firm_content(FIRM_A), "name": "另一企业"}, event_id)
    assert (other["success"], other["msg_code"]) == (False, "xietong_event_differs")


async def test_an_answer_is_signed_and_belongs_to_its_question(hub: Platform) -> None:
    from yaosu.exchange.xietong.wire import answer_params

    one = await a_system(hub)
    params = one.params("1001", firm_content(FIRM_A))
    said = await one.post(params)
    assert envelope.genuine(answer_params(said), one.key)
    assert said["process_id"] == params["process_id"]
    assert not envelope.genuine({**answer_params(said), "success": "false"}, one.key)


async def test_a_system_may_sign_with_sm2_and_then_must(hub: Platform) -> None:
    private, public = gm.new_keys()
    one = await a_system(hub, public_key=public.hex())
    params = {
        k: v for k, v in one.params("1001", firm_content(FIRM_A)).items() if k not in ("sign", "sign_type")
    }
    assert (await one.post(envelope.sign(params, one.key)))["msg_code"] == "xietong_sign"
    assert (await one.post(envelope.sign(params, "", private.hex())))["success"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("app_id", ""),
        ("event_id", "17"),
        ("event_id", "zz" * 16),
        ("event_type", "30"),
        ("sub_type", ""),
        ("sub_type", "2002"),
        ("sub_type", "1000"),
        ("timestamp", "2026-02-30 10:00:00"),
        ("timestamp", "yesterday"),
        ("data", ""),
        ("process_id", "x"),
        ("usc_id", "统一"),
        ("sign", "no"),
        ("sign_type", "MD5"),
    ],
)
async def test_a_bad_parameter_is_named(hub: Platform, field: str, value: str) -> None:
    one = await a_system(hub)
    params = one.params("1001", firm_content(FIRM_A))
    if field in ("sign", "sign_type"):
        params[field] = value
    else:
        bare = {k: v for k, v in params.items() if k not in ("sign", "sign_type")}
        params = {**envelope.sign({**bare, field: value}, one.key), field: value}
    said = await one.post(params)
    assert not said["success"]
    assert (said["msg_code"], said["field"]) == ("xietong_field", field)


async def test_the_published_misspelling_of_timestamp_is_taken_and_forms_too(hub: Platform) -> None:
    one = await a_system(hub)
    params = {
        k: v for k, v in one.params("1001", firm_content(FIRM_A)).items() if k not in ("sign", "sign_type")
    }
    params["tiemstamp"] = params.pop("timestamp")
    answer = await hub.http.post("/xietong/exchange", data=envelope.sign(params, one.key))
    assert answer.json()["success"], answer.text


async def test_a_wrong_signature_an_old_time_and_a_stranger_are_refused(hub: Platform) -> None:
    one = await a_system(hub)
    params = one.params("1001", firm_content(FIRM_A))
    assert (await one.post({**params, "usc_id": FIRM_B}))["msg_code"] == "xietong_sign"
    old = {k: v for k, v in params.items() if k not in ("sign", "sign_type")}
    old["timestamp"] = envelope.stamp(datetime.now(UTC) - timedelta(hours=1))
    assert (await one.post(envelope.sign(old, one.key)))["msg_code"] == "xietong_time"
    assert (await one.post({**params, "app_id": "nobody"}))["msg_code"] == "xietong_app_unknown"


def _zip(*files: tuple[str, bytes]) -> str:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    "data",
    [
        "not base64 at all!",
        base64.b64encode(b"not a zip").decode(),
        _zip(("a.json", b"{}"), ("b.json", b"{}")),
        _zip(("a.json", b"[1]")),
        _zip(("a.json", b'{"a": 1, "a": 2}')),
        _zip(("a.json", b"\xff\xfe")),
        _zip(("a.json", b"[" * 100_000)),
        # 300 MB of blanks in 300 KB
        _zip(("a.json", b" " * 300_000_000)),
    ],
    ids=["base64", "zip", "two", "list", "twice", "utf8", "deep", "bomb"],
)
async def test_data_that_cannot_be_read_are_refused_with_the_reason(hub: Platform, data: str) -> None:
    one = await a_system(hub)
    params = {
        k: v for k, v in one.params("1001", firm_content(FIRM_A)).items() if k not in ("sign", "sign_type")
    }
    said = await one.post(envelope.sign({**params, "data": data}, one.key))
    assert (said["success"], said["msg_code"], said["field"]) == (False, "xietong_data", "data")


async def test_base_data_go_to_every_other_system_and_to_later_ones_too(hub: Platform) -> None:
    one, other = await a_system(hub), await a_system(hub)
    before = max((int(e["n"]) for e in await other.mail()), default=0)
    prefix = a_prefix()
    await one.file(FIRM_A, prefix)
    got = await other.mail(before)
    assert [e["sub_type"] for e in got] == ["1001", "1003", "1002"]
    assert {e["from_app_id"] for e in got} == {one.system.app_id}
    assert all(envelope.genuine(e, other.key) for e in got)
    assert [int(e["n"]) for e in got] == [before + 1, before + 2, before + 3]
    late = await a_system(hub)
    told = [envelope.unpack(envelope.decode(e["data"])) for e in await late.mail(0, 200)]
    assert any(t.get("prefixes") == [prefix] for t in told)
    assert any(t.get("app_id") == one.system.app_id for t in told)
    assert not any(e["from_app_id"] == one.system.app_id for e in await one.mail(0, 200))


def _ship(owner: str, to: str, *codes: str) -> dict[str, object]:
    return {
        "owner": owner,
        "bill_no": "CK1",
        "type": 201,
        "happened_at": "2026-05-01T10:00:00+08:00",
        "to": to,
        "codes": list(codes),
    }


async def test_application_data_go_to_the_home_and_to_the_receivers_system_only(hub: Platform) -> None:
    home, seller, buyer, nobody = [await a_system(hub) for _ in range(4)]
    firms = [f"9137010200{next(_numbers):06d}0X" for _ in range(3)]
    prefix = a_prefix()
    await home.file(firms[0], prefix)
    await seller.file(firms[1])
    await buyer.file(firms[2])
    places = [
        max((int(e["n"]) for e in await m.mail(0, 200)), default=0) for m in (home, seller, buyer, nobody)
    ]
    said = await seller.tell("2002", _ship(firms[1], firms[2], f"{prefix}0008797666601"))
    assert (said["success"], said["distributed"]) == (True, 2), said
    counts = [
        len(await m.mail(place)) for m, place in zip((home, seller, buyer, nobody), places, strict=True)
    ]
    assert counts == [1, 0, 1, 0]


async def test_nobody_reports_for_a_firm_of_another_system(hub: Platform) -> None:
    one, other, prefix = await a_system(hub), await a_system(hub), a_prefix()
    firm = f"9137010200{next(_numbers):06d}0X"
    await one.file(firm, prefix)
    said = await other.tell("2002", _ship(firm, FIRM_B, f"{prefix}0008797666601"))
    assert said["msg_code"] == "xietong_not_your_firm"
    said = await one.tell("2002", _ship(firm, FIRM_B, "89999990008797666601"))
    assert said["msg_code"] == "xietong_not_home"


def _recall(firm: str, product: str, **more: object) -> dict[str, object]:
    return {
        "owner": firm, "kind": "recall", "act": "stop", "number": "ZH1", "product": product, "title": "含量不合格",
        "happened_at": "2026-05-01T10:00:00+08:00", "reason": "检验不合格", "level": 1, "batches": ["B1"], **more,
    }  # fmt: skip


async def test_a_recall_goes_to_every_system_and_only_the_home_of_the_product_may_tell_it(
    hub: Platform,
) -> None:
    home, one, other, prefix = await a_system(hub), await a_system(hub), await a_system(hub), a_prefix()
    firm = f"9137010200{next(_numbers):06d}0X"
    await home.file(firm, prefix)
    places = [max(int(e["n"]) for e in await m.mail(0, 200)) for m in (one, other)]
    said = await home.tell("2008", _recall(firm, prefix))
    assert said["success"], said
    mail = [(await m.mail(place))[0]["sub_type"] for m, place in zip((one, other), places, strict=True)]
    assert mail == ["2008", "2008"], "nobody knows better where the goods have gone"
    said = await one.tell("2008", _recall(firm, prefix))
    assert (said["msg_code"], said["field"]) == ("xietong_taken", "product")
    said = await one.tell("2008", _recall(firm, "8999998"))
    assert (said["msg_code"], said["field"]) == ("xietong_rule_missing", "product")
    said = await home.tell("2008", _recall(firm, prefix, level=9))
    assert (said["msg_code"], said["field"]) == ("xietong_content", "level")


async def test_what_was_made_goes_to_the_systems_of_holder_and_maker_and_to_nobody_else(
    hub: Platform,
) -> None:
    home, holders, nobody, prefix = await a_system(hub), await a_system(hub), await a_system(hub), a_prefix()
    maker, holder = [f"9137010200{next(_numbers):06d}0X" for _ in range(2)]
    await home.file(maker)
    await home.tell("1001", firm_content(holder, customer=False))
    await holders.tell("1001", firm_content(holder))
    assert (await home.tell("1003", rule_content(maker, prefix)))["success"]
    product = {**product_content(maker, prefix), "mah": holder}
    assert (await home.tell("1002", product))["success"]
    place = max(int(e["n"]) for e in await nobody.mail(0, 200))
    content = {"owner": maker, "type": 1, "bill_no": "JH1", "happened_at": "2026-05-01T10:00:00+08:00"}
    said = await home.tell("2001", {**content, "product": prefix, "batches": [{"batch_no": "B1", "qty": 6}]})
    assert (said["success"], said["distributed"]) == (True, 1), said
    assert (await holders.mail(0, 200))[-1]["sub_type"] == "2001"
    assert await nobody.mail(place) == []


async def test_a_place_without_the_role_takes_nothing(client: object) -> None:
    import httpx

    assert isinstance(client, httpx.AsyncClient)
    answer = await client.post("/xietong/mailbox", json={"app_id": "x"})
    assert answer.json()["msg_code"] == "xietong_role"
