"""Which methods an organisation's type calls: pharmacies, hospitals, and everybody else (domain facts §2.2)."""

from __future__ import annotations

from dataclasses import dataclass

P = "alibaba.alihealth."


@dataclass(frozen=True, slots=True)
class Family:
    """The methods of one kind of organisation. "" where the family has none. `codes_max`: codes in one upload."""

    name: str
    upload: str
    retail: str
    status: str
    skipped: str
    upstream: str
    upstream_detail: str
    relation: str
    find: str
    by_ref: str
    delete: str
    codes_max: int
    retail_max: int


def _terminal(name: str) -> Family:
    top = f"{P}drugtrace.top.{name}."
    return Family(
        name,
        top + "uploadinoutbill",
        top + "uploadretail",
        top + "query.billstatus",
        top + "listbillprocesspartsuccess",
        top + "listupout",
        top + "listupout.detail",
        top + "query.relation",
        f"{P}drug.{name}.getentinfolist",
        top + "query.getbyrefentid",
        "",
        10_000,
        3_500,
    )


PHARMACY, HOSPITAL = _terminal("lsyd"), _terminal("yljg")
TRADE = Family(
    "msc",
    f"{P}drug.msc.uploadinoutbill",
    "",
    f"{P}drug.msc.bill.searchstatus",
    f"{P}drug.msc.listbillprocesspartsuccess",
    f"{P}drug.kyt.wes.listupout",
    f"{P}drug.kyt.wes.upbill.detailwithcode",
    f"{P}drug.code.kyt.wes.querycoderelation",
    f"{P}drug.msc.getentinfolist",
    f"{P}drug.msc.getbyrefentid",
    f"{P}drug.code.kyt.wes.delbillinfo",
    10_000,
    0,
)
TOKEN = f"{P}drug.code.kyt.wes.license.token.get"
"""Methods of the paid tier (`wes`) take a token that is asked for with the firm's licence."""


def needs_token(method: str) -> bool:
    """Whether a method belongs to the paid tier."""
    return ".wes." in method and method != TOKEN


def family_of(org_type: int) -> Family:
    """The family of a type of organisation (list `org_type`)."""
    return {4: PHARMACY, 3: HOSPITAL}.get(org_type, TRADE)
