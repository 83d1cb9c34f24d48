"""Self-check tables, controlled documents and clues, from the first draft to the regulator's answer."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import docx as python_docx
import pypdf
import pytest
from asyncpg import IntegrityConstraintViolationError

from access.helpers import make_account, make_org
from circulation.helpers import Market, activate, make_market
from yaosu.access.scopes import scopes_of
from yaosu.db.engine import Connection
from yaosu.errors import YaosuError, message
from yaosu.notify import service as notify
from yaosu.papers import docx, pdf
from yaosu.papers.model import Heading, Text
from yaosu.quality import clues, documents, selfcheck
from yaosu.quality.documents import Head
from yaosu.quality.evidence import SOURCES
from yaosu.registry.resolver import load_registry
from yaosu.subject import Subject


async def staff(db: Connection, market: Market, org: int, role: str = "quality") -> Subject:
    """A real account of an organisation with that post."""
    number, _ = await make_account(db, org, role)
    card = market.registry.org(org)
    assert card is not None
    return Subject(
        "account",
        number,
        org,
        str(card.type),
        role,
        scopes_of(role, str(card.type)),
        region=card.region,
        name=f"员工{number}",
    )


async def office_of(db: Connection, region: str, sub_type: int | None = None) -> int:
    """An authority of a region; 1101 drug regulator, 1102 health commission, 1103 insurance bureau."""
    org = await make_org(db, 110, region)
    await db.execute("UPDATE org SET sub_type = $2 WHERE id = $1", org, sub_type)
    return org


async def regulator_of(db: Connection, region: str, sub_type: int | None = None) -> Subject:
    """An inspector of a region."""
    org = await office_of(db, region, sub_type)
    number, _ = await make_account(db, org, "regulator")
    scopes = scopes_of("regulator", "110")
    return Subject("account", number, org, "110", "regulator", scopes, region=region, name="检查员")


def text_of(content: bytes) -> str:
    """All text of a PDF without blanks."""
    reader = pypdf.PdfReader(io.BytesIO(content))
    return "".join("".join(page.extract_text().split()) for page in reader.pages)


# ---- self-check tables


def test_the_tables_are_those_of_the_notice_and_what_is_added_says_so() -> None:
    """R-E5: ten items for makers, eight of the notice for distributors, ours marked 平台补充."""
    forms = selfcheck.forms()
    assert [i.added for i in forms["maker"].items] == [False] * 10
    assert [i.added for i in forms["trade"].items] == [False] * 8 + [True] * 2
    assert all(i.added for i in forms["medical"].items)
    assert forms["trade"].items[8].printed.endswith("（平台补充）")
    for form in forms.values():
        for item in form.items:
            assert item.evidence and set(item.evidence) <= set(SOURCES)


async def filled(db: Connection, market: Market, subject: Subject) -> int:
    """A table with every line answered."""
    number = await selfcheck.begin(db, market.registry, subject)
    _, rows = await selfcheck.get(db, subject, number)
    answers = {r.item.code: ("yes", date(2026, 10, 1), "") for r in rows}
    answers[rows[-1].item.code] = ("na", None, "本企业不涉及")
    await selfcheck.fill(db, subject, number, answers, filler="王小明", contact="0991-5550100")
    return number


@pytest.mark.parametrize("who", ["maker", "wholesaler", "pharmacy", "hospital"])
async def test_every_line_has_evidence_in_words_and_a_link(db: Connection, who: str) -> None:
    """Computed for each kind of firm; where there is no record, it says so."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    subject = await staff(db, market, getattr(market, who))
    number = await selfcheck.begin(db, market.registry, subject)
    _, rows = await selfcheck.get(db, subject, number)
    for row in rows:
        for one in row.evidence:
            assert message(one["code"]).zh and one["href"].startswith("/")
            said = message(one["code"]).text("zh", one["params"])
            assert "—" not in said.replace("（—）", ""), said
    known = {one["code"]: one["known"] for row in rows for one in row.evidence}
    assert known["quality_ev_deliveries"] is False
    if who == "wholesaler":
        (receipts,) = [o for r in rows for o in r.evidence if o["code"] == "quality_ev_receipts"]
        assert (receipts["params"]["bills"], receipts["params"]["noticed"]) == (1, 1)


async def test_what_the_regulator_received_of_a_firms_bills_stands_beside_the_answer(db: Connection) -> None:
    """R-E5, items 9 and 8 of the notice: on time, late and owed, by the feed of the place and its signed receipts."""
    market = await make_market(db)
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases[:1])
    await market.pass_on(market.wholesaler, market.pharmacy, goods.boxes_of(0)[:1])
    subject = await staff(db, market, market.wholesaler)

    async def told() -> dict[str, Any]:
        number = await selfcheck.begin(db, market.registry, subject)
        _, rows = await selfcheck.get(db, subject, number)
        (found,) = [one for row in rows if row.item.code == "t8" for one in row.evidence]
        return found

    assert (await told())["code"] == "quality_ev_deliveries"
    bills = [
        r["id"] for r in await db.fetch("SELECT id FROM bill WHERE owner = $1 ORDER BY id", market.wholesaler)
    ]
    assert len(bills) == 2
    feeds = [
        await db.fetchval(
            "INSERT INTO connection (org, everyone, channel, title, url, region, since) "
            "VALUES ($1, true, 'jianguan', $2, '', $3, '2020-01-01') RETURNING id",
            *(market.maker, title, region),
        )
        for title, region in (("山东监管", "37"), ("新疆监管", "65"))
    ]
    await db.execute("INSERT INTO jianguan_feed (connection, seq, acked) VALUES ($1, 3, 2)", feeds[0])
    # the first bill stands in two events, both received; the second was numbered and not received
    for seq, bill in enumerate((bills[0], bills[0], bills[1]), 1):
        await db.execute(
            "INSERT INTO jianguan_event (feed, seq, event_id, kind, org, day, qty, codes, bill_id, part, digest, body) "
            "VALUES ($1, $2::int, gen_random_uuid(), 'bill', 'x', now(), 1, 1, $3, $2::int, '', '')",
            *(feeds[0], seq, bill),
        )
    found = await told()
    assert found["code"] == "quality_ev_feeds" and found["known"]
    figures = {k: found["params"][k] for k in ("titles", "owed", "held", "waiting", "late")}
    assert figures == {"titles": "山东监管", "owed": 2, "held": 1, "waiting": 1, "late": 0}
    await db.execute(
        "UPDATE bill SET recorded_at = recorded_at - interval '25 hours' WHERE id = $1", bills[1]
    )
    assert (await told())["params"]["late"] == 1


async def test_a_table_is_signed_only_when_complete_and_then_never_changes(db: Connection) -> None:
    """The evidence of that day stays; a change behind the system's back shows in the hash."""
    market = await make_market(db)
    subject = await staff(db, market, market.wholesaler)
    number = await selfcheck.begin(db, market.registry, subject)
    with pytest.raises(YaosuError) as refused:
        await selfcheck.sign(db, subject, number, "李建国")
    assert refused.value.code == "quality_table_incomplete"
    number = await filled(db, market, subject)
    with pytest.raises(YaosuError) as refused:
        await selfcheck.sign(db, subject, number, "  ")
    assert refused.value.code == "quality_sign_name"
    await selfcheck.sign(db, subject, number, "李建国")
    before = await selfcheck.get(db, subject, number)
    assert selfcheck.intact(*before)
    with pytest.raises(YaosuError) as refused:
        await selfcheck.fill(db, subject, number, {"t1": ("no", None, "x")})
    assert refused.value.code == "quality_table_signed"
    goods = await activate(market)
    await market.pass_on(market.maker, market.wholesaler, goods.cases)
    assert [r.evidence for r in (await selfcheck.get(db, subject, number))[1]] == [
        r.evidence for r in before[1]
    ]
    await db.execute(
        "UPDATE quality_selfcheck_item SET answer = 'no' WHERE selfcheck_id = $1 AND code = 't1'", number
    )
    assert not selfcheck.intact(*(await selfcheck.get(db, subject, number)))


async def test_a_filed_table_is_seen_by_the_regulator_of_the_region_only(db: Connection) -> None:
    """A draft is not; another region's regulator sees nothing; the message page of the regulator tells."""
    market = await make_market(db)
    subject = await staff(db, market, market.wholesaler)
    near, city, far = (
        await regulator_of(db, "370000"),
        await regulator_of(db, "370100", sub_type=1101),
        await regulator_of(db, "650000"),
    )
    # closer still, but of other remits
    for sub_type in (1102, 1103):
        await office_of(db, "370102", sub_type)
    number = await filled(db, market, subject)
    for office in (near, far):
        with pytest.raises(YaosuError):
            await selfcheck.get(db, office, number)
    with pytest.raises(YaosuError) as refused:
        await selfcheck.file(db, market.registry, subject, number)
    assert refused.value.code == "quality_table_not_signed"
    await selfcheck.sign(db, subject, number, "李建国")
    # the firm is in 370102: the city's regulator is closer than the province's
    assert await selfcheck.file(db, market.registry, subject, number) == city.org_id
    assert [m.kind for m in await notify.messages(db, city)] == ["notice_quality_filed"]
    for office in (near, city):
        head, _ = await selfcheck.get(db, office, number)
        assert head["state"] == "filed"
        assert [r["id"] for r in await selfcheck.listed(db, office)] == [number]
    with pytest.raises(YaosuError) as refused:
        await selfcheck.get(db, far, number)
    assert refused.value.code == "not_found"
    assert await selfcheck.listed(db, far) == []
    with pytest.raises(YaosuError):
        await selfcheck.get(db, await staff(db, market, market.other), number)


async def test_the_table_is_printed_in_the_official_layout(db: Connection) -> None:
    """Header, five columns, footer as in the annex of the notice; PDF and DOCX say the same."""
    market = await make_market(db)
    subject = await staff(db, market, market.maker)
    number = await filled(db, market, subject)
    await selfcheck.sign(db, subject, number, "李建国")
    paper = selfcheck.paper(*(await selfcheck.get(db, subject, number)))
    text = text_of(pdf.render(paper))
    for part in (
        "药品追溯体系建设评价自查自纠对照表（生产企业）", "企业名称（盖章）", "自查日期", "企业地址",
        "序号", "自查内容", "是否已完成",
        "整改完毕日期", "备注", "填报人：王小明", "联系方式：0991-5550100", "企业负责人签字：李建国", "第1页共",
    ):  # fmt: skip
        assert part in text, part
    document = python_docx.Document(io.BytesIO(docx.render(paper)))
    grid = document.tables[1]
    assert [c.text for c in grid.rows[0].cells] == ["序号", "自查内容", "是否已完成", "整改完毕日期", "备注"]
    assert len(grid.rows) == 11


# ---- controlled documents


HEAD = Head("trace_system", "QM-ZS-001", "药品信息化追溯管理制度", "质量管理部", "质量负责人")


@pytest.mark.parametrize("name", list(documents.TEMPLATES))
def test_each_template_is_a_whole_document_that_can_be_printed(name: str) -> None:
    """Headings and articles, nothing left of the markup."""
    found = documents.blocks(documents.template(name))
    assert sum(isinstance(b, Heading) for b in found) >= 8
    assert sum(len(b.text) for b in found) > 700
    assert not any("#" in b.text for b in found)


def test_markup_is_headings_and_paragraphs_and_everything_else_is_text() -> None:
    """HTML in a document stays what was typed."""
    found = documents.blocks("# 一\n甲\n乙\n\n<b>丙</b>\n## 二\n#不\n#### 四级")
    assert found == [
        Heading("一", 1), Text("甲\n乙"), Text("<b>丙</b>"), Heading("二", 2), Heading("不", 1), Text("#### 四级"),
    ]  # fmt: skip


async def test_a_document_is_approved_by_a_second_person_and_then_stays(db: Connection) -> None:
    """draft → approved → in force → superseded; the writer cannot approve, nobody can change what was approved."""
    market = await make_market(db)
    writer = await staff(db, market, market.wholesaler)
    boss = await staff(db, market, market.wholesaler, "admin")
    number = await documents.create(db, market.registry, writer, HEAD, documents.template("trade"))
    with pytest.raises(YaosuError) as refused:
        await documents.approve(db, writer, number, documents.today())
    assert refused.value.code == "quality_document_self"
    with pytest.raises(YaosuError) as refused:
        await documents.approve(db, boss, number, documents.today() - timedelta(days=1))
    assert refused.value.code == "quality_document_date"
    await documents.approve(db, boss, number, documents.today())
    with pytest.raises(YaosuError) as refused:
        await documents.save(db, writer, number, "改")
    assert refused.value.code == "quality_document_draft"
    with pytest.raises(IntegrityConstraintViolationError):
        async with db.transaction():
            await db.execute(
                "UPDATE quality_document_version SET content = 'x' WHERE document_id = $1", number
            )
    assert await documents.revise(db, writer, number, "增加应急") == 2
    await documents.save(db, writer, number, "# 一、新版\n内容", "增加应急")
    await documents.approve(db, boss, number, documents.today() + timedelta(days=30))
    _, _, states = await documents.get(db, writer, number)
    assert states == {1: "in_force", 2: "approved"}
    _, versions, _ = await documents.get(db, writer, number)
    later = documents.today() + timedelta(days=31)
    assert documents.states(versions, later) == {1: "superseded", 2: "in_force"}


async def test_whoever_changed_a_draft_wrote_part_of_it_and_does_not_approve_it(db: Connection) -> None:
    """R-E1: two people stand behind a version, whoever began it; the database holds that too."""
    market = await make_market(db)
    writer, other, boss = [await staff(db, market, market.wholesaler, "admin") for _ in range(3)]
    number = await documents.create(db, market.registry, writer, HEAD, documents.template("trade"))
    await documents.save(db, other, number, "# 全部改写\n内容")
    await documents.save(db, other, number, "# 又改\n内容")
    for one in (writer, other):
        with pytest.raises(YaosuError) as refused:
            await documents.approve(db, one, number, documents.today())
        assert refused.value.code == "quality_document_self"
    with pytest.raises(IntegrityConstraintViolationError):
        async with db.transaction():
            await db.execute(
                "UPDATE quality_document_version SET approved_by = $2, approved_at = now(), effective_on = now() "
                "WHERE document_id = $1",
                *(number, other.account_id),
            )
    assert await documents.approve(db, boss, number, documents.today()) == 1


async def test_reading_is_acknowledged_once_per_person(db: Connection) -> None:
    """The training record names who has not read it yet."""
    market = await make_market(db)
    writer = await staff(db, market, market.wholesaler)
    boss = await staff(db, market, market.wholesaler, "admin")
    reader = await staff(db, market, market.wholesaler, "warehouse")
    number = await documents.create(db, market.registry, writer, HEAD, "# 一\n内容")
    with pytest.raises(YaosuError) as refused:
        await documents.acknowledge(db, reader, number)
    assert refused.value.code == "quality_not_in_force"
    await documents.approve(db, boss, number, documents.today())
    for _ in range(2):
        await documents.acknowledge(db, reader, number)
    _, versions, _ = await documents.get(db, reader, number)
    people = await documents.trained(db, writer, market.wholesaler, versions[0]["id"])
    assert (people[0]["id"], people[0]["at"] is not None) == (reader.account_id, True)
    assert sum(p["at"] is None for p in people) == 2


async def test_the_self_check_finds_the_document_in_force(db: Connection) -> None:
    """R-E1 answers items 4 and 5 of the distributor's table."""
    market = await make_market(db)
    writer = await staff(db, market, market.wholesaler)
    boss = await staff(db, market, market.wholesaler, "admin")
    number = await selfcheck.begin(db, market.registry, writer)

    async def said() -> list[str]:
        _, rows = await selfcheck.get(db, writer, number)
        return [one["code"] for row in rows[3:5] for one in row.evidence]

    assert await said() == ["quality_ev_document_none", "quality_ev_in_qms_none"]
    document = await documents.create(db, market.registry, writer, HEAD, documents.template("trade"))
    assert await said() == ["quality_ev_document_none", "quality_ev_in_qms_none"]
    await documents.approve(db, boss, document, documents.today())
    assert await said() == ["quality_ev_document", "quality_ev_in_qms"]


async def test_a_document_is_printed_with_number_version_and_approver(db: Connection) -> None:
    """What hangs on the wall can be told apart from another version."""
    market = await make_market(db)
    writer = await staff(db, market, market.wholesaler)
    number = await documents.create(db, market.registry, writer, HEAD, documents.template("pharmacy"))
    head, versions, states = await documents.get(db, writer, number)
    text = text_of(pdf.render(documents.paper(head, versions[0], states[1])))
    for part in ("QM-ZS-001", "第1版（草稿）", "未批准", "先扫码、后结算", "质量管理部"):
        assert part in text, part


async def test_documents_are_their_owners_and_an_office_sees_those_approved(db: Connection) -> None:
    """Another firm: not found. The region's inspector: no drafts."""
    market = await make_market(db)
    writer = await staff(db, market, market.wholesaler)
    boss = await staff(db, market, market.wholesaler, "admin")
    office = await regulator_of(db, "370000")
    number = await documents.create(db, market.registry, writer, HEAD, "# 一\n内容")
    for reader in (await staff(db, market, market.other), office):
        with pytest.raises(YaosuError) as refused:
            await documents.get(db, reader, number)
        assert refused.value.code == "not_found"
    with pytest.raises(YaosuError) as refused:
        await documents.create(db, market.registry, writer, HEAD, "# 一\n内容")
    assert refused.value.code == "quality_document_number"
    await documents.approve(db, boss, number, documents.today())
    head, _, _ = await documents.get(db, office, number)
    assert head["title"] == HEAD.title


# ---- clues


async def test_a_clue_takes_its_trace_evidence_along_and_keeps_it(db: Connection) -> None:
    """R-E6: what the reporter saw then is what the regulator sees, whatever happens to the box later."""
    market = await make_market(db)
    goods = await activate(market)
    receipt = await market.pass_on(market.maker, market.wholesaler, goods.cases)
    office = await regulator_of(db, "370000")
    subject = await staff(db, market, market.wholesaler)
    number = await clues.send(
        db,
        market.registry,
        subject,
        "channel",
        "低价来源不明",
        "有人上门低价收购",
        [goods.boxes[0], "x"],
        [receipt.bill_id],
    )
    assert [m.kind for m in await notify.messages(db, office)] == ["notice_quality_clue"]
    found = await clues.get(db, office, number)
    assert clues.digest(found["evidence"]) == found["evidence_hash"]
    known, unknown = found["evidence"]["codes"]
    assert known["code"] == goods.boxes[0]
    assert known["events"]
    assert unknown["refused"]["code"]
    assert found["evidence"]["bills"][0]["id"] == receipt.bill_id
    await market.ship(market.wholesaler, market.pharmacy, [goods.boxes[0]])
    assert (await clues.get(db, office, number))["evidence"] == found["evidence"]


async def test_the_regulator_takes_note_and_answers_once(db: Connection) -> None:
    """The firm sees the state and is told; another region's office sees nothing."""
    market = await make_market(db)
    office, far = await regulator_of(db, "370000"), await regulator_of(db, "650000")
    subject = await staff(db, market, market.pharmacy)
    number = await clues.send(db, market.registry, subject, "resale", "回流药", "顾客出售整箱医保药")
    with pytest.raises(YaosuError) as refused:
        await clues.note(db, far, number)
    assert refused.value.code == "not_found"
    with pytest.raises(YaosuError) as refused:
        await clues.answer(db, subject, number, "自己答复自己")
    assert refused.value.code == "forbidden"
    await clues.note(db, office, number)
    assert (await clues.get(db, subject, number))["state"] == "noted"
    await clues.answer(db, office, number, "已立案")
    found = await clues.get(db, subject, number)
    assert (found["state"], found["answer"]) == ("answered", "已立案")
    with pytest.raises(YaosuError) as refused:
        await clues.answer(db, office, number, "再答")
    assert refused.value.code == "quality_clue_state"
    kinds = {m.kind for m in await notify.messages(db, subject)}
    assert {"notice_quality_clue_noted", "notice_quality_clue_answered"} <= kinds


async def test_a_bill_that_the_reporter_cannot_see_is_not_attached(db: Connection) -> None:
    """A clue is no way around visibility (D10)."""
    market = await make_market(db)
    goods = await activate(market)
    bill = await market.ship(market.maker, market.wholesaler, goods.cases)
    subject = await staff(db, market, market.other)
    with pytest.raises(YaosuError) as refused:
        await clues.send(db, market.registry, subject, "other", "甲", "乙", [], [bill.bill_id])
    assert refused.value.code == "quality_clue_bill"


async def test_without_a_regulator_on_the_platform_a_clue_waits_for_one(db: Connection) -> None:
    """It is kept, and seen by the office of the region that joins later."""
    market = await make_market(db)
    subject = await staff(db, market, market.wholesaler)
    number = await clues.send(db, market.registry, subject, "other", "甲", "乙")
    assert (await clues.get(db, subject, number))["regulator"] is None
    office = await regulator_of(db, "370100")
    await load_registry(db)
    assert [r["id"] for r in await clues.listed(db, office)] == [number]
    assert await clues.listed(db, replace(office, region="110000")) == []
