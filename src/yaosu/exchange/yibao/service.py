"""What a person or a HIS asks of the institution's side: rows of a bill, codes of a settlement, the mapping.

Institutions whose HIS reports itself take the rows from here (`preview`, `settlement_rows`), so that one scan
still serves both (R-C6). Persons' fields stand as asterisks: they are filled in on the way to the platform only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from yaosu.access import audit
from yaosu.access.visibility import visible
from yaosu.db.engine import Connection
from yaosu.edge.pages import CHINA
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.outbox import connections
from yaosu.exchange.outbox.loading import load
from yaosu.exchange.outbox.model import Link, RoutedBill
from yaosu.exchange.yibao import build, fill, store
from yaosu.exchange.yibao.model import CHANNEL
from yaosu.exchange.yibao.rows import Surroundings, fields_of, rows_of
from yaosu.insurance.envelope import msgid
from yaosu.insurance.fields import as_number, codes_of, tables
from yaosu.insurance.profiles import Profile
from yaosu.notify.outbox import Entry, enqueue_many
from yaosu.people.keeper import Keeper
from yaosu.registry.groups import home
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject

READ, MANAGE = "bill.read", "exchange.manage"
MAPPINGS_MAX = 5_000
PREP, PACKAGE = "2", "1"
"""min_prcunt_type: preparation unit, smallest package (our choice; a connection's settings may say others)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One row as it would go: fields (persons as asterisks) and what is wrong with it."""

    infno: str
    fields: Mapping[str, Any]
    findings: Sequence[Finding]

    def as_json(self, lang: str) -> dict[str, Any]:
        """The form of API answers."""
        return {
            "infno": self.infno,
            "fields": dict(self.fields),
            "findings": [
                {"code": f.code, "where": f.where, "message": f.text(lang), "next": f.next_step(lang)}
                for f in self.findings
            ],
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """What a bill gives: rows, why other parts are not reported, and what went out already."""

    bill: RoutedBill
    profile: Profile
    connected: bool
    rows: Sequence[Shown]
    skipped: Sequence[Finding]
    sent: Sequence[Mapping[str, Any]]


async def own_link(conn: Connection, registry: Registry, subject: Subject) -> Link | None:
    """The institution's active connection, without its secret; the oldest where there are several."""
    row = await conn.fetchrow(store.LINK, home(registry, subject.org))
    if row is None:
        return None
    return Link(row["id"], row["org"], CHANNEL, row["profile"], row["title"], row["url"], row["account"], {})


async def open_own(conn: Connection, registry: Registry, keeper: Keeper, subject: Subject) -> Link:
    """The institution's connection with its secret. Requires `exchange.manage`. Refused: `yibao_no_connection`."""
    subject.require(MANAGE)
    found = await own_link(conn, registry, subject)
    if found is None:
        raise YaosuError("yibao_no_connection")
    return await connections.open_link(conn, keeper, found.id)


async def _bill(conn: Connection, registry: Registry, subject: Subject, bill_id: int) -> RoutedBill:
    """A bill of the subject's institution, or of a place inside it; `not_found` for others'."""
    found = (await load(conn, registry, [bill_id])).get(bill_id)
    if found is None or home(registry, found.owner) != home(registry, subject.org):
        raise YaosuError("not_found", {"what": "单据" if subject.lang == "zh" else "Bill"})
    return found


async def preview(conn: Connection, registry: Registry, subject: Subject, bill_id: int) -> Preview:
    """The rows of a bill as they stand now, whether or not there is a connection (R-C6). Requires `bill.read`."""
    subject.require(READ)
    bill = await _bill(conn, registry, subject, bill_id)
    link = await own_link(conn, registry, subject)
    card = registry.org(bill.owner)
    like = build.profile_of(registry, link or _nowhere(subject.org), card.region if card is not None else "")
    route = registry.lists.item("yibao_route", bill.type)
    infno = str(route.attrs.get("infno") or "") if route is not None else ""
    around: Surroundings = await build.surroundings(conn, registry, bill, link.id if link else 0, infno)
    rows, skipped = rows_of(bill, registry.lists, like, around)
    entries = [
        {"drug": row.drug_id, "partner": row.partner, "fields": fields_of(row, f"Y{bill.id}-{n}")}
        for n, row in enumerate(rows, 1)
    ]
    shown: list[Shown] = []
    if entries:
        used = link or _nowhere(subject.org)
        at = await fill.context(conn, registry, None, used, like, entries, infno, bill.id)
        for entry in entries:
            made, findings = fill.complete(at, infno, entry)
            shown.append(Shown(infno, fill.mask(made), findings))
    sent = await store.of_bill(conn, visible(subject), bill.bill_no, bill.owner)
    told = [Finding(s.code, s.params) for s in skipped]
    return Preview(bill, like, link is not None, shown, told, sent)


def _nowhere(org: int) -> Link:
    return Link(0, org, CHANNEL, "", "", "", {}, {})


async def settlement_rows(
    conn: Connection, registry: Registry, subject: Subject, bill_id: int, fee_numbers: Mapping[str, str]
) -> list[dict[str, str]]:
    """`drug_trac_info` of 2207 for a sale: one entry for each code. `fee_numbers`: feedetl_sn by code or by drug_id;
    what has none gets `<bill number>-<n>`, n counting products and batches. Requires `bill.read`."""
    made = await preview(conn, registry, subject, bill_id)
    if made.bill.kind != "use":
        raise YaosuError("yibao_no_settlement", {"type": made.bill.type})
    link = await own_link(conn, registry, subject)
    words = link.account if link is not None else {}
    entries = []
    drugs = {line.code: str(line.drug_id) for line in made.bill.lines}
    for n, row in enumerate(made.rows, 1):
        split = str(row.fields.get("trdn_flag")) == "1"
        for code in codes_of(row.fields):
            number = (
                fee_numbers.get(code) or fee_numbers.get(drugs.get(code, "")) or f"{made.bill.bill_no}-{n}"
            )
            unit = words.get("min_prcunt_split") if split else words.get("min_prcunt_pack")
            entries.append(
                {
                    "feedetl_sn": number[:30],
                    "drug_trac_codg": code,
                    "trdn_flag": "1" if split else "0",
                    "min_prcunt_type": str(unit or (PREP if split else PACKAGE)),
                }
            )
    return entries


def as_input(made: Preview) -> dict[str, Any]:
    """The rows as a message's `infno` and `input`, in the form the profile would use."""
    if not made.rows:
        return {"infno": "", "input": {}}
    one = tables().transactions[made.rows[0].infno]
    listed = [dict(row.fields) for row in made.rows]
    if len(listed) == 1 or not one.batch_infno:
        return {"infno": one.infno, "input": {one.node: listed[0]}}
    return {"infno": one.batch_infno, "input": {one.batch_node: listed}}


def as_table(made: Preview) -> tuple[list[str], list[list[str]]]:
    """The rows as columns and texts, one line for each code, for a workbook."""
    known = tables()
    names: list[str] = []
    for row in made.rows:
        names += [n for n in row.fields if n not in names and n != "drugtracinfo"]
    columns = [f"{known.fields[n].zh} {n}" if n in known.fields else n for n in names]
    lines = []
    for row in made.rows:
        for code in codes_of(row.fields) or [""]:
            lines.append([row.infno, *(str(row.fields.get(n, "")) for n in names), code])
    return ["交易 infno", *columns, "药品追溯码 drug_trac_codg"], lines


async def mapping(conn: Connection, registry: Registry, subject: Subject) -> list[dict[str, Any]]:
    """Products the organisation has in stock or has mapped, with their catalogue numbers. Requires `exchange.read`."""
    subject.require("exchange.read")
    link = await own_link(conn, registry, subject)
    orgs = [o.id for o in registry.family_of(subject.org)] if registry.org(subject.org) is not None else []
    rows = await conn.fetch(store.MAPPING, link.id if link is not None else 0, orgs or [subject.org])
    found = []
    for row in rows:
        product = registry.product(row["drug_id"])
        if product is None:
            continue
        linked = sorted({v for kind, v, _ in product.links if kind == "yibao"})
        more = row["more"] or {}
        national = str(more.get("med_list_codg") or "") or (linked[0] if len(linked) == 1 else "")
        found.append(
            {
                "drug_id": row["drug_id"],
                "name": product.generic_name,
                "package": " ".join(p for p in (product.strength, product.package_size) if p),
                "med_list_codg": national,
                "choices": linked,
                "fixmedins_hilist_id": row["theirs"] or "",
                "fixmedins_hilist_name": str(more.get("name") or ""),
                "price": str(more.get("price") or ""),
                "complete": bool(national and row["theirs"]),
            }
        )
    return sorted(found, key=lambda r: (r["complete"], r["name"], r["drug_id"]))


@dataclass(frozen=True, slots=True)
class Mapped:
    """One line of the mapping as given."""

    drug_id: int
    theirs: str
    national: str = ""
    name: str = ""
    price: str = ""


async def put_mapping(conn: Connection, registry: Registry, subject: Subject, lines: Sequence[Mapped]) -> int:
    """Enter catalogue numbers; how many. Requires `exchange.manage`. Refused with every wrong line."""
    subject.require(MANAGE)
    link = await own_link(conn, registry, subject)
    if link is None:
        raise YaosuError("yibao_no_connection")
    wrong = []
    for n, line in enumerate(lines, 1):
        reason = ""
        if registry.product(line.drug_id) is None:
            reason = f"产品 {line.drug_id} 未登记"
        elif not line.theirs.strip() or len(line.theirs) > 30:
            reason = "机构目录编号应为 1—30 字"
        elif len(line.national) > 50 or len(line.name) > 200:
            reason = "编码或名称过长"
        elif line.price and ((price := as_number(line.price)) is None or price < 0):
            reason = "单价应为数值"
        if reason:
            wrong.append(Finding("yibao_mapping_invalid", {"line": n, "reason": reason}, f"lines[{n - 1}]"))
    if wrong:
        raise YaosuError("invalid_request", {"count": len(wrong)}, wrong[:200])
    for line in lines:
        more = {
            "med_list_codg": line.national.strip(),
            "name": line.name.strip(),
            "price": line.price.strip(),
        }
        kept = {k: v for k, v in more.items() if v}
        await conn.execute(store.PUT_MAPPING, link.id, line.drug_id, line.theirs.strip(), kept)
    await audit.record(conn, subject, "yibao.mapping", ("connection", link.id), {"lines": len(lines)})
    return len(lines)


async def report_stock(
    conn: Connection, registry: Registry, subject: Subject, at: datetime | None = None
) -> int:
    """3501 of what is in stock now, by batch, as deliveries of the connection; how many rows. Once a day: the same day
    again changes nothing. Requires `exchange.manage`. Refused: `yibao_no_connection`."""
    subject.require(MANAGE)
    link = await own_link(conn, registry, subject)
    if link is None:
        raise YaosuError("yibao_no_connection")
    now = (at or datetime.now(UTC)).astimezone(CHINA)
    card = registry.org(subject.org)
    like = build.profile_of(registry, link, card.region if card is not None else "")
    orgs = [subject.org, *(p.id for p in registry.places_of(subject.org))]
    day = f"{now:%Y-%m-%d}"
    if await conn.fetchval(store.DELIVERY, link.id, f"stock/{subject.org}/{day}/1") is not None:
        return 0
    grouped: dict[tuple[int, str], list[Any]] = {}
    for row in await conn.fetch(store.STOCK, orgs):
        grouped.setdefault((row["drug_id"], row["batch_no"]), []).append(row)
    entries = []
    for n, ((drug_id, batch_no), same) in enumerate(grouped.items(), 1):
        entries.append(
            {
                "drug": drug_id,
                "partner": None,
                "fields": {
                    "fixmedins_bchno": f"K{link.id}-{now:%Y%m%d}-{n}",
                    "invdate": day,
                    "inv_cnt": int(sum(r["qty"] for r in same)),
                    "manu_lotnum": batch_no,
                    "manu_date": str(same[0]["produced_on"]),
                    "expy_end": str(same[0]["expires_on"]),
                },
            }
        )
    most = like.batch if like.batch > 1 else 1
    parts = [entries[i : i + most] for i in range(0, len(entries), most)]
    if not parts:
        return 0
    code = str(link.account.get("fixmedins_code") or "")
    numbers = await store.numbers(conn, link.id, len(parts))
    await enqueue_many(
        conn,
        [
            Entry(
                link.org, CHANNEL, link.id, "yibao.3501A" if len(part) > 1 else "yibao.3501",
                {
                    "infno": "3501A" if len(part) > 1 else "3501",
                    "msgid": msgid(code, now, number),
                    "rows": part,
                    "bill": 0,
                },
                f"stock/{subject.org}/{day}/{n}",
            )
            for n, (number, part) in enumerate(zip(numbers, parts, strict=True), 1)
        ],
    )  # fmt: skip
    await audit.record(conn, subject, "yibao.stock", ("connection", link.id), {"rows": len(entries)})
    return len(entries)


async def overview(conn: Connection, subject: Subject) -> dict[str, Any]:
    """How many rows of the organisation are reported, owed, refused, by transaction; `warned` of those that were taken
    with a doubt. Requires `bill.read`."""
    subject.require(READ)
    rows = await conn.fetch(store.COUNTS, subject.org)
    states: dict[str, int] = {}
    for row in rows:
        states[row["state"]] = states.get(row["state"], 0) + row["n"]
    return {
        "states": states,
        "warned": sum(r["warned"] for r in rows),
        "by_transaction": [{"infno": r["infno"], "state": r["state"], "rows": r["n"]} for r in rows],
    }


async def recent(
    conn: Connection, subject: Subject, state: str, after: str, limit: int
) -> tuple[list[dict[str, Any]], str]:
    """The organisation's rows, latest bills first, and what asks for the following ones ("" at the end). `state`
    `warned`: taken with a doubt. Requires `bill.read`."""
    subject.require(READ)
    bill, _, bchno = after.partition(":")
    rows = await conn.fetch(store.RECENT, subject.org, state, int(bill or 0), bchno, limit + 1)
    found = [dict(r) for r in rows[:limit]]
    more = f"{found[-1]['bill_id']}:{found[-1]['bchno']}" if len(rows) > limit else ""
    return found, more
