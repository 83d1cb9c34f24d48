"""Filing of base data with the platform: firms, code rules, products; uniqueness across systems (R-A1, R-A4)."""

from __future__ import annotations

from typing import Any

from yaosu.codes import TraceCode, parse
from yaosu.codes.custom import CustomPattern, check_issuer, check_pattern
from yaosu.codes.model import Scheme
from yaosu.db.engine import Connection
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.xietong import store_hub as store
from yaosu.exchange.xietong.envelope import Content
from yaosu.registry import ladder
from yaosu.registry.model import CUSTOM, SCHEMES

PREFIXES_MAX = 10_000
SAMPLES_MAX = 50
LEVELS_MAX = 9


async def file(
    conn: Connection, system_id: int, meaning: str, content: Content, event: int
) -> dict[str, Any]:
    """File one piece of base data; what is answered (`filing_no` of a code rule)."""
    if meaning == "firm":
        return await _firm(conn, system_id, content, event)
    if meaning == "rule":
        return await _rule(conn, system_id, content, event)
    if meaning == "product":
        return await _product(conn, system_id, content, event)
    raise AssertionError(meaning)


async def _firm(conn: Connection, system_id: int, content: Content, event: int) -> dict[str, Any]:
    firm = content.text("usc_id", True, 40)
    content.text("name", True)
    content.whole("type", None, 1, 999)
    region = content.text("region", True, 6)
    if not (region.isdigit() and len(region) == 6):
        raise content.wrong("region", "应为 6 位行政区划代码", "six digits of GB/T 2260")
    customer = content.flag("customer", True)
    await conn.execute(store.PUT_FIRM, firm, system_id, customer, event, dict(content.values))
    return {}


async def _require_firm(conn: Connection, system_id: int, firm: str) -> None:
    rows = await conn.fetch(store.FIRM, firm)
    if all(r["system_id"] != system_id for r in rows):
        raise YaosuError("xietong_firm_not_filed", {"firm": firm})


async def _rule(conn: Connection, system_id: int, content: Content, event: int) -> dict[str, Any]:
    rule_no = content.text("rule_no", True, 64)
    firm = content.text("usc_id", True, 40)
    await _require_firm(conn, system_id, firm)
    scheme = content.text("scheme", True, 20)
    if scheme not in SCHEMES:
        raise content.wrong("scheme", "应为 cn20、gs1 或 custom", "cn20, gs1 or custom")
    content.text("rule_text", False, 4000, lines=True)
    query_url = content.text("query_url", False, 500)
    if query_url and not query_url.startswith(("http://", "https://")):
        raise content.wrong("query_url", "应为 http 或 https 地址", "an http or https address")
    status = content.whole("status", 1, 0, 1)
    issuer = pattern = ""
    upper = False
    samples: list[str] = []
    if scheme == CUSTOM:
        issuer, pattern = content.text("issuer", True, 40), content.text("pattern", True, 500)
        upper = content.flag("pattern_upper")
        samples = _texts(content, "samples", SAMPLES_MAX, 200, needed=True)
        prefixes = [issuer]
    else:
        prefixes = _prefixes(content, scheme)
    known = await conn.fetchrow(store.RULE, system_id, rule_no)
    rule_id = known["id"] if known is not None else 0
    await _free(conn, system_id, rule_id, prefixes)
    if scheme == CUSTOM:
        await _pattern_free(conn, content, rule_id, issuer, pattern, upper, samples)
    body = dict(content.values)
    if known is None:
        number = await conn.fetchval(store.NEXT_RULE)
        filing_no = f"XT{number:08d}"
        args = (scheme, issuer, pattern, upper, samples, query_url, filing_no, status, event, body)
        rule_id = await conn.fetchval(store.ADD_RULE, system_id, rule_no, firm, *args)
    else:
        filing_no = known["filing_no"]
        used = await conn.fetch(store.PREFIXES_USED, rule_id, prefixes)
        if used:
            value = used[0]["identifier"]
            raise content.wrong(
                "prefixes",
                f"{value} 已有备案产品，不能去除",
                f"{value} has a filed product and cannot be taken out",
            )
        fields = (firm, scheme, issuer, pattern, upper, samples, query_url, status, event, body)
        await conn.execute(store.SET_RULE, rule_id, *fields)
        await conn.execute(store.DROP_PREFIXES, rule_id, prefixes)
    await conn.execute(store.PUT_PREFIXES, prefixes, rule_id, system_id)
    return {"filing_no": filing_no}


def _texts(content: Content, name: str, most: int, longest: int, needed: bool = False) -> list[str]:
    found = content.many(name, most, needed)
    for number, value in enumerate(found):
        if not isinstance(value, str) or not value or len(value) > longest:
            raise content.wrong(
                f"{name}.{number}", f"应为 1 至 {longest} 个字符的文本", f"text of 1 to {longest}"
            )
    return [str(v) for v in found]


def _prefixes(content: Content, scheme: str) -> list[str]:
    found: list[str] = []
    for number, raw in enumerate(_texts(content, "prefixes", PREFIXES_MAX, 40, needed=True)):
        key = ladder.identifier(scheme, raw, f"prefixes.{number}")
        if isinstance(key, Finding):
            raise content.wrong(f"prefixes.{number}", key.text("zh"), key.text("en"))
        if key not in found:
            found.append(key)
    return found


async def _free(conn: Connection, system_id: int, rule_id: int, prefixes: list[str]) -> None:
    taken = await conn.fetch(store.PREFIXES_TAKEN, prefixes, system_id, rule_id)
    _refuse_taken([(r["prefix"], r["system"], r["firm_name"] or r["firm"] or "—") for r in taken])


def _refuse_taken(taken: list[tuple[str, str, str]]) -> None:
    findings = [
        Finding("xietong_taken", {"value": value, "system": system, "firm": firm}, value)
        for value, system, firm in taken
    ]
    if findings:
        raise YaosuError("xietong_taken", findings[0].params, findings)


async def _pattern_free(
    conn: Connection,
    content: Content,
    rule_id: int,
    issuer: str,
    pattern: str,
    upper: bool,
    samples: list[str],
) -> None:
    """A pattern is well-formed, its samples fit it, and neither fits what another system filed."""
    for finding, name in ((check_issuer(issuer), "issuer"), (check_pattern(pattern), "pattern")):
        if finding is not None:
            said = Finding(finding.code, finding.params, name)
            raise content.wrong(name, said.text("zh"), said.text("en"))
    mine = CustomPattern(issuer, issuer, pattern, "upper" if upper else "none")
    for number, sample in enumerate(samples):
        read = parse(sample, [mine])
        if not isinstance(read, TraceCode) or read.scheme != Scheme.CUSTOM:
            raise content.wrong(f"samples.{number}", "不符合编码规则", "does not fit the pattern")
    for row in await conn.fetch(store.PATTERNS, rule_id):
        theirs = CustomPattern(
            row["issuer"], row["firm"], row["pattern"], "upper" if row["pattern_upper"] else "none"
        )
        for sample in (*samples, *row["samples"]):
            if all(isinstance(parse(sample, [one]), TraceCode) for one in (mine, theirs)):
                _refuse_taken([(sample[:60], row["system"], row["firm"])])


async def _product(conn: Connection, system_id: int, content: Content, event: int) -> dict[str, Any]:
    for name in ("generic_name", "dosage_form", "strength", "package_size"):
        content.text(name, True, 500)
    for name in ("mah", "manufacturer"):
        await _require_firm(conn, system_id, content.text(name, True, 40))
    identifiers: list[str] = []
    for number, level in enumerate(content.parts("levels", LEVELS_MAX, needed=True), 1):
        if level.whole("level", None, 1, LEVELS_MAX) != number:
            raise level.wrong("level", f"应为 {number}（自最小包装起连续）", f"should be {number}")
        level.whole("contains", None, 1, 1_000_000)
        key = ladder.identifier(
            level.text("scheme", True, 20), level.text("identifier", True, 60), "identifier"
        )
        if isinstance(key, Finding):
            raise level.wrong("identifier", key.text("zh"), key.text("en"))
        identifiers.append(key)
    product = identifiers[0]
    taken = await conn.fetch(store.CODES_TAKEN, identifiers, system_id, product)
    _refuse_taken([(r["identifier"], r["system"], r["name"] or "—") for r in taken])
    homes = {r["prefix"]: r["system_id"] for r in await conn.fetch(store.HOMES_OF_PREFIXES, identifiers)}
    for value in identifiers:
        if value not in homes:
            raise YaosuError("xietong_rule_missing", {"value": value})
        if homes[value] != system_id:
            await _free(conn, system_id, 0, [value])
    await conn.execute(store.PUT_PRODUCT, product, system_id, event, dict(content.values))
    await conn.execute(store.DROP_CODES, product)
    await conn.execute(store.PUT_CODES, product, system_id, identifiers, list(range(1, len(identifiers) + 1)))
    return {}
