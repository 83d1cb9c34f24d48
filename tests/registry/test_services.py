"""Organisations, products, filings and code lists: what is kept, what is refused, and with which reason."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest

from registry.helpers import OPERATOR, make_filing, make_org, make_product, subject_of, uscc
from yaosu.db.engine import Connection, Pool
from yaosu.errors import YaosuError
from yaosu.registry import lists, service, service_orgs, service_products
from yaosu.registry.drafts import FilingDraft, LevelDraft, LicenceDraft, LinkDraft, OrgDraft
from yaosu.registry.resolver import load_registry


def codes(error: pytest.ExceptionInfo[YaosuError]) -> set[str]:
    return {f.code for f in error.value.findings}


# -- organisations --------------------------------------------------------------------------------


async def test_one_code_is_one_organisation_and_the_refusal_names_the_record(db: Connection) -> None:
    number = uscc(61_000_001)
    first = await make_org(db, uscc=number, name="甲药厂")
    with pytest.raises(YaosuError) as refused:
        await make_org(db, uscc=number.lower(), name="乙药厂")
    assert refused.value.code == "org_taken" and refused.value.http == 409
    assert refused.value.findings[0].params["id"] == first


async def test_the_same_name_in_other_brackets_is_refused_until_it_was_looked_at(db: Connection) -> None:
    await make_org(db, 2, name="国药控股（山东）有限公司")
    draft = OrgDraft("国药控股(山东) 有限公司", 2, "370102", uscc(61_000_002))
    with pytest.raises(YaosuError) as refused:
        await service.create_org(db, OPERATOR, draft)
    assert refused.value.code == "org_name_taken"
    made = await service.create_org(db, OPERATOR, draft, same_name_ok=True)
    assert made.card.uscc == draft.uscc


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"uscc": "91370102000000015X"}, "uscc_check_digit"),
        ({"uscc": ""}, "org_id_missing"),
        ({"name": " "}, "value_missing"),
        ({"name": "甲\x00乙"}, "value_characters"),
        ({"region": "999999"}, "region_unknown"),
        ({"region": "3701"}, "region_unknown"),
        ({"type": 6}, "value_not_in_list"),
        ({"sub_type": 41}, "org_sub_type_of_other"),
        ({"type": 7, "sub_type": 72}, "org_domestic_agent_missing"),
        ({"parent_id": 2_000_000_000}, "org_relation_unknown"),
        ({"contact_email": "nobody"}, "value_shape"),
    ],
)
async def test_a_wrong_field_is_named_with_its_reason(
    db: Connection, change: dict[str, object], code: str
) -> None:
    draft = replace(OrgDraft("甲药厂", 1, "370102", uscc(61_000_003)), **change)  # type: ignore[arg-type]
    with pytest.raises(YaosuError) as refused:
        await service.create_org(db, OPERATOR, draft)
    assert refused.value.code == "org_invalid"
    assert code in codes(refused) | {f.code for f in refused.value.findings}


async def test_a_county_we_do_not_list_is_accepted_in_a_city_we_know(db: Connection) -> None:
    assert await make_org(db, region="370199")


async def test_a_village_clinic_and_a_foreign_firm_need_no_credit_code(db: Connection) -> None:
    clinic = await make_org(
        db, 3, name="某村卫生室", uscc="", other_id_kind=1, other_id="PDY10001X37010", sub_type=320
    )
    with pytest.raises(YaosuError) as refused:
        await make_org(db, 3, name="另一卫生室", uscc="", other_id_kind=1, other_id="PDY10001X37010")
    assert refused.value.findings[0].params["id"] == clinic


async def test_parents_cannot_form_a_circle(db: Connection) -> None:
    head = await make_org(db, 4, name="总部", sub_type=41)
    store = await make_org(db, 4, name="门店", sub_type=42, parent_id=head)
    org = await service.get_org(db, OPERATOR, head)
    with pytest.raises(YaosuError) as refused:
        draft = replace(service_orgs.draft_of(org), parent_id=store)
        await service.update_org(db, OPERATOR, head, draft, org.version)
    assert codes(refused) == {"org_parent_circle"}
    assert [o.id for o in await service.list_orgs(db, OPERATOR, parent_id=head)] == [store]


async def test_an_organisation_changes_its_contacts_but_not_its_registration(db: Connection) -> None:
    org_id = await make_org(db, 2)
    mine = subject_of(org_id, 2)
    org = await service.get_org(db, mine, org_id)
    draft = service_orgs.draft_of(org)
    changed = await service.update_org(db, mine, org_id, replace(draft, contact_phone="0531-1234567"), 1)
    assert changed.contact_phone == "0531-1234567" and changed.version == 2
    with pytest.raises(YaosuError) as refused:
        await service.update_org(db, mine, org_id, replace(draft, type=4), 2)
    assert refused.value.code == "org_field_not_yours"
    other = subject_of(await make_org(db, 2), 2)
    with pytest.raises(YaosuError) as refused:
        await service.update_org(db, other, org_id, draft, 2)
    assert refused.value.code == "forbidden"


async def test_a_regulator_sees_contacts_in_its_remit_only(db: Connection) -> None:
    here = await make_org(db, 2, region="370102", contact_name="李四")
    there = await make_org(db, 2, region="530102", contact_name="王五")
    regulator = subject_of(
        await make_org(db, 110, region="370000"), 110, "org.read", "supervise.read", region="370000"
    )
    assert (await service.get_org(db, regulator, here)).contact_name == "李四"
    assert (await service.get_org(db, regulator, there)).contact_name == ""


async def test_every_change_of_an_organisation_is_in_the_audit_record_without_its_contacts(
    db: Connection,
) -> None:
    org_id = await make_org(db, contact_phone="13912345678")
    row = await db.fetchrow(
        "SELECT action, details::text AS d FROM audit WHERE object_type = 'org' AND object_id = $1",
        str(org_id),
    )
    assert row is not None and row["action"] == "org.create" and "13912345678" not in row["d"]


async def test_licences_that_lapsed_or_lapse_soon_are_listed(db: Connection) -> None:
    org_id = await make_org(db)
    mine = subject_of(org_id, 1)
    today = date(2026, 6, 1)
    for number, days in (("A", -1), ("B", 30), ("C", 400)):
        await service.put_licence(
            db, mine, org_id, LicenceDraft(5, number, None, today + timedelta(days=days))
        )
    await service.put_licence(db, mine, org_id, LicenceDraft(8, "D"))
    found = await service.licence_warnings(db, mine, today)
    assert [(one.number, f.code) for one, f in found] == [
        ("A", "licence_expired"),
        ("B", "licence_ends_soon"),
    ]


async def test_searching_finds_names_by_beginning_then_by_middle(db: Connection) -> None:
    middle = await make_org(db, 2, name="山东仁和堂医药有限公司")
    begin = await make_org(db, 4, name="仁和堂大药房")
    found = await service.search_orgs(db, OPERATOR, "仁 和堂")
    assert [o.id for o in found] == [begin, middle]
    assert await service.search_orgs(db, OPERATOR, "仁和%") == []


# -- products -------------------------------------------------------------------------------------


async def test_a_code_of_another_product_is_refused_naming_that_product(db: Connection) -> None:
    mah = await make_org(db)
    first = await make_product(db, mah, links=[("retail_barcode", "6924561884074")])
    with pytest.raises(YaosuError) as refused:
        await make_product(
            db,
            mah,
            levels=[("盒", 1, "8385795")],
            links=[("retail_barcode", "6924561884074")],
            generic_name="另一药",
        )
    assert refused.value.code == "product_code_taken" and refused.value.http == 409
    assert refused.value.findings[0].params["id"] == first
    with pytest.raises(YaosuError) as refused:
        await make_product(db, mah, file=False)
    assert {f.params["value"] for f in refused.value.findings} == {"8385793", "8385794"}


async def test_two_packs_of_one_drug_share_its_national_drug_code_but_other_drugs_do_not(
    db: Connection,
) -> None:
    mah = await make_org(db)
    links = [("bwm", "86904879000126")]
    small = await make_product(db, mah, links=links)
    large = await make_product(db, mah, levels=[("盒", 1, "8385795")], links=links, package_size="48粒/盒")
    assert [p.id for p in await service.find_product(db, OPERATOR, "86904879000126")] == [small, large]
    with pytest.raises(YaosuError) as refused:
        await make_product(db, mah, levels=[("盒", 1, "8385796")], links=links, generic_name="另一药")
    assert refused.value.code == "product_code_taken"


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("bwm", "86904879000127", "national_drug_code_check_digit"),
        ("retail_barcode", "6924561884075", "gtin_check_digit"),
        ("yibao", "Q1", "yibao_shape"),
        ("nonsense", "1", "value_not_in_list"),
    ],
)
async def test_a_wrong_linked_code_is_refused(db: Connection, kind: str, value: str, code: str) -> None:
    mah = await make_org(db)
    with pytest.raises(YaosuError) as refused:
        await make_product(db, mah, links=[(kind, value)])
    assert codes(refused) == {code}


async def test_an_overseas_holder_needs_its_domestic_agent_who_then_manages_its_products(
    db: Connection,
) -> None:
    agent = await make_org(db, 2)
    holder = await make_org(
        db, 7, "000000", uscc="", other_id_kind=3, other_id="DE-HRB-1", sub_type=72, domestic_agent_id=agent
    )
    maker = await make_org(
        db, 1, "000000", uscc="", other_id_kind=3, other_id="DE-HRB-2", name="Foreign maker"
    )
    drug_id = await make_product(
        db, holder, maker, approval_no="国药准字HJ20201234", registration_class="chemical"
    )
    product = await service.get_product(db, OPERATOR, drug_id)
    assert product.imported
    mine = subject_of(agent, 2)
    draft = replace(service_products.draft_of(product), trade_name="代理名")
    assert (await service.update_product(db, mine, drug_id, draft, 1)).trade_name == "代理名"


async def test_levels_in_use_cannot_change_but_may_be_topped(db: Connection) -> None:
    mah = await make_org(db)
    drug_id = await make_product(db, mah)
    await make_filing(db, mah, ["8385799"])
    product = await service.get_product(db, OPERATOR, drug_id)
    draft = service_products.draft_of(product)

    async def coded(conn: Connection, drug: int) -> bool:
        return drug == drug_id

    service.in_use_checks.append(coded)
    try:
        half = replace(draft, levels=(draft.levels[0], replace(draft.levels[1], contains=100)))
        with pytest.raises(YaosuError) as refused:
            await service.update_product(db, OPERATOR, drug_id, half, 1)
        assert refused.value.code == "ladder_in_use"
        higher = replace(draft, levels=(*draft.levels, LevelDraft(3, 50, "8385799", name="托盘")))
        made = await service.update_product(db, OPERATOR, drug_id, higher, 1)
    finally:
        service.in_use_checks.remove(coded)
    assert made.ratio == "1:50:10000"


async def test_a_level_that_changes_its_identifier_leaves_the_old_prefix_without_product(
    db: Connection,
) -> None:
    mah = await make_org(db)
    drug_id = await make_product(db, mah)
    await make_filing(db, mah, ["8385799"])
    product = await service.get_product(db, OPERATOR, drug_id)
    registry = await load_registry(db)
    draft = service_products.draft_of(product)
    levels = (replace(draft.levels[0], identifier="8385799"), draft.levels[1])
    await service.update_product(db, OPERATOR, drug_id, replace(draft, levels=levels), 1)
    await registry.refresh(db)
    assert registry.resolve_prefix("8385793").kind == "unknown"
    assert registry.resolve_prefix("8385799").drug_id == drug_id


async def test_a_link_cannot_name_a_level_that_does_not_exist(db: Connection) -> None:
    mah = await make_org(db)
    drug_id = await make_product(db, mah)
    product = await service.get_product(db, OPERATOR, drug_id)
    draft = replace(service_products.draft_of(product), links=(LinkDraft("gtin", "16924561884071", 7),))
    with pytest.raises(YaosuError) as refused:
        await service.update_product(db, OPERATOR, drug_id, draft, 1)
    assert codes(refused) == {"product_link_level"}


# -- filings --------------------------------------------------------------------------------------


async def test_a_prefix_is_filed_once_and_the_refusal_names_whose_it_is(db: Connection) -> None:
    first, second = await make_org(db, name="先备案药厂"), await make_org(db)
    await make_filing(db, first, ["8444444"])
    with pytest.raises(YaosuError) as refused:
        await make_filing(db, second, ["8444445", "8444444"])
    assert refused.value.code == "filing_overlaps"
    assert refused.value.findings[0].params["name"] == "先备案药厂"


async def test_codes_can_be_requested_for_filed_prefixes_of_our_own_system_only(db: Connection) -> None:
    org_id = await make_org(db)
    filing = await make_filing(db, org_id, ["8444444"])
    assert await service.require_filed(db, "8444444") == filing
    other = await service.put_system(db, OPERATOR, "另一平台", "", "")
    await make_filing(db, org_id, ["8444445"], system_id=other.id)
    for prefix, code in (("8444446", "prefix_not_filed"), ("8444445", "prefix_elsewhere")):
        with pytest.raises(YaosuError) as refused:
            await service.require_filed(db, prefix)
        assert refused.value.code == code
    found = await service.get_filing(db, OPERATOR, filing)
    draft = FilingDraft(org_id, "cn20", "规则", date(2025, 1, 1), found.prefixes, status=0)
    await service.refile(db, OPERATOR, filing, draft, found.version)
    with pytest.raises(YaosuError) as refused:
        await service.require_filed(db, "8444444")
    assert refused.value.code == "filing_withdrawn"


async def test_boxes_of_a_withdrawn_filing_still_resolve(db: Connection) -> None:
    mah = await make_org(db)
    drug_id = await make_product(db, mah)
    filing = (await service.list_filings(db, subject_of(mah, 1)))[0]
    draft = FilingDraft(mah, "cn20", "规则", date(2025, 1, 1), filing.prefixes, status=0)
    await service.refile(db, OPERATOR, filing.id, draft, filing.version)
    assert (await load_registry(db)).resolve_prefix("8385793").drug_id == drug_id


async def test_a_prefix_in_use_cannot_leave_its_filing(db: Connection) -> None:
    mah = await make_org(db)
    await make_product(db, mah)
    filing = (await service.list_filings(db, subject_of(mah, 1)))[0]
    draft = FilingDraft(mah, "cn20", "规则", date(2025, 1, 1), ("8385793",))
    with pytest.raises(YaosuError) as refused:
        await service.refile(db, OPERATOR, filing.id, draft, filing.version)
    assert refused.value.code == "filing_prefix_in_use"


def custom(org_id: int, issuer: str, pattern: str, *samples: str) -> FilingDraft:
    return FilingDraft(
        org_id, "custom", "企业自定义", date(2025, 1, 1), pattern=pattern, issuer=issuer, samples=samples
    )


async def test_a_custom_pattern_is_filed_resolves_and_refuses_an_overlapping_one(db: Connection) -> None:
    mah = await make_org(db)
    filing = await service.file_rule(db, OPERATOR, custom(mah, "acme-box", r"AC[0-9]{12}", "AC000000000012"))
    assert filing.prefixes == ("acme-box",)
    drug_id = await make_product(db, mah, levels=[("盒", 1, "acme-box")], scheme="custom", file=False)
    registry = await load_registry(db)
    assert registry.resolve_prefix("acme-box").drug_id == drug_id
    assert [c.issuer for c in registry.customs] == ["acme-box"]
    for draft, code in (
        (custom(mah, "other", r"A[A-Z][0-9]{12}", "AX000000000012"), "filing_overlaps"),
        (custom(mah, "acme-box", r"ZZ[0-9]{12}", "ZZ000000000012"), "filing_overlaps"),
        (custom(mah, "wide", r"[0-9]+", "123"), "pattern_matches_standard"),
        (custom(mah, "evil", r"(a+)+b", "ab"), "pattern_unsafe"),
        (custom(mah, "odd", r"QQ[0-9]{3}", "QQ12"), "filing_sample_misfit"),
    ):
        with pytest.raises(YaosuError) as refused:
            await service.file_rule(db, OPERATOR, draft)
        assert code in codes(refused), draft.issuer


async def test_nobody_files_for_another_firm(db: Connection) -> None:
    mine, other = await make_org(db), await make_org(db)
    draft = FilingDraft(other, "cn20", "规则", date(2025, 1, 1), ("8444444",))
    with pytest.raises(YaosuError) as refused:
        await service.file_rule(db, subject_of(mine, 1), draft)
    assert refused.value.code == "filing_not_yours"
    filing = await make_filing(db, other, ["8444444"])
    with pytest.raises(YaosuError) as refused:
        await service.get_filing(db, subject_of(mine, 1), filing)
    assert refused.value.http == 404


async def test_a_query_address_must_be_a_web_address(db: Connection) -> None:
    org_id = await make_org(db)
    for url in ("javascript:alert(1)", "//x", "https://", "ftp://x.cn", "http://[::1"):
        draft = FilingDraft(org_id, "cn20", "规则", date(2025, 1, 1), ("8444444",), query_url=url)
        with pytest.raises(YaosuError) as refused:
            await service.file_rule(db, OPERATOR, draft)
        assert codes(refused) == {"filing_url"}, url


# -- code lists -----------------------------------------------------------------------------------


def test_all_bill_types_of_the_field_have_names() -> None:
    found = {int(i.code) for i in lists.get("bill_type")}
    assert found == {
        *range(101, 121), *range(201, 224), 237, 320, 321, 322, 323, 326, 327
    } - {105, 213}  # fmt: skip


def test_every_prefecture_and_province_is_known() -> None:
    regions = lists.delivered().whole("region").items
    assert sum(i.attrs["rank"] == "province" for i in regions) == 34
    assert sum(i.attrs["rank"] == "city" and not i.attrs.get("hidden") for i in regions) == 333
    assert lists.region_path("370102") == "山东省 济南市 历下区"


def test_a_deadline_differs_by_region_and_date() -> None:
    known = lists.delivered()
    assert known.item("deadline", "all_products", date(2025, 12, 1), "370102").attrs["mandatory"] is False  # type: ignore[union-attr]
    assert known.item("deadline", "all_products", date(2026, 1, 1), "370102").attrs["date"] == date(
        2026, 1, 1
    )  # type: ignore[union-attr]
    assert known.item("deadline", "all_products", date(2026, 1, 1), "650102").attrs["date"] == date(
        2026, 3, 1
    )  # type: ignore[union-attr]
    assert known.item("deadline", "all_products", date(2026, 1, 1), "110101") is None


def test_the_recall_clock_is_the_edition_of_the_day() -> None:
    known = lists.delivered()
    assert known.item("recall_clock", 2, date(2022, 10, 31)).attrs["notice_hours"] == 48  # type: ignore[union-attr]
    assert known.item("recall_clock", 2, date(2022, 11, 1)).attrs["notice_hours"] == 72  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "broken",
    [
        "{code: '1', zh: a, en: b}, {code: '1', zh: c, en: d}",
        "{code: 1, zh: a, en: b}",
        "{code: '1', zh: a}",
        "{code: '1', zh: a, en: b, valid_from: soon}",
        "{code: '1', zh: a, en: b, valid_from: 2026-01-02, valid_to: 2026-01-01}",
        "{code: '1', zh: a, en: b, region: '370'}",
    ],
)
def test_a_malformed_delivered_list_does_not_load(broken: str) -> None:
    text = f"{{list: x, zh: x, en: x, source: s, version: 1, items: [{broken}]}}"
    with pytest.raises(lists.ListError):
        lists.parse(text, "x.yaml")


async def test_the_operators_item_wins_keeps_the_columns_and_leaves_its_versions(db: Connection) -> None:
    registry = await load_registry(db)
    for hours in ("一", "二"):
        await service.override_item(
            db, OPERATOR, "product_flag", "narcotic", f"麻醉{hours}", "Narcotic", "某通知"
        )
    assert await registry.refresh(db)
    item = registry.lists.item("product_flag", "narcotic")
    assert item is not None and (item.zh, item.version) == ("麻醉二", 2) and item.attrs["controlled"] is True
    assert lists.delivered().text("product_flag", "narcotic") == "麻醉药品"
    with pytest.raises(YaosuError) as refused:
        await service.override_item(db, OPERATOR, "product_flag", "narcotic", "x", "x", "")
    assert refused.value.code == "code_list_item_invalid"


# -- freshness ------------------------------------------------------------------------------------


async def test_a_change_that_commits_after_a_later_one_is_not_missed(pool: Pool) -> None:
    async with pool.acquire() as slow, pool.acquire() as quick, pool.acquire() as reader:
        registry = await load_registry(reader)
        insert = "INSERT INTO org (uscc, name, name_norm, type, region) VALUES ($1, $1, $1, 1, '370102') RETURNING id"
        transaction = slow.transaction()
        await transaction.start()
        early = await slow.fetchval(insert, uscc(62_000_001))
        late = await quick.fetchval(insert, uscc(62_000_002))
        await registry.refresh(reader)
        assert registry.org(late) is not None and registry.org(early) is None
        await transaction.commit()
        assert await registry.refresh(reader)
        assert registry.org(early) is not None
        assert not await registry.refresh(reader)


async def test_two_registrations_of_one_code_at_once_leave_one_record(pool: Pool) -> None:
    async def register(name: str) -> str:
        async with pool.acquire() as conn, conn.transaction():
            try:
                await make_org(conn, uscc=uscc(62_000_003), name=name)
            except YaosuError as error:
                return error.code
        return "ok"

    said = await asyncio.gather(*(register(f"同时{n}") for n in range(4)))
    assert sorted(said) == ["ok", "org_taken", "org_taken", "org_taken"]
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM org WHERE uscc = $1", uscc(62_000_003)) == 1
