"""A connection's settings for 医保: what `account` and `secret` hold, checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass

from yaosu import gm
from yaosu.errors import Finding
from yaosu.exchange.outbox.model import Link
from yaosu.insurance.envelope import Head, Keys
from yaosu.insurance.profiles import Profile

# (name, Chinese, English, secret)
FIELDS: tuple[tuple[str, str, str, bool], ...] = (
    ("fixmedins_code", "定点医药机构编号", "Institution code", False),
    ("fixmedins_name", "定点医药机构名称", "Institution name", False),
    ("mdtrtarea_admvs", "就医地医保区划", "Insurance area code", False),
    ("opter", "经办人编号", "Operator number", False),
    ("opter_name", "经办人姓名", "Operator name", False),
    ("phar_name", "默认药师姓名", "Default pharmacist", False),
    ("phar_prac_cert_no", "默认药师执业资格证号", "Pharmacist's certificate number", False),
    ("prsc_dr_name", "无处方时的开方医师（如“无”）", "Prescriber where there is no prescription", False),
    ("invoice_default", "无发票号时填写（如“无”）", "Invoice number where there is none", False),
    ("psn_cert_default", "未登记购药人时的证件类型", "Document type where no buyer is registered", False),
    (
        "catalogue",
        "机构目录编号取本平台产品编号（填 own）",
        "Catalogue number is our product number (own)",
        False,
    ),
    ("recer_sys_code", "接收方系统代码", "Receiving system", False),
    ("sign_in", "每日自动签到（9001，填 1）", "Sign in every day by 9001 (1)", False),
    ("sign_mac", "签到 MAC 地址", "MAC address for the sign-in", False),
    ("sign_ip", "签到 IP 地址", "IP address for the sign-in", False),
    ("sign_no", "签到编号（手工）", "Sign-in number by hand", False),
    ("app_id", "应用编号（appId）", "Application id", False),
    ("platform_key", "平台公钥（SM2）", "Platform's public key (SM2)", False),
    ("paasid", "网关账号（x-tif-paasid）", "Gateway account", False),
    ("secret", "应用密钥（appSecret）", "Application secret", True),
    ("private_key", "机构私钥（SM2）", "Own private key (SM2)", True),
    ("paas_token", "网关口令（x-tif）", "Gateway token", True),
)
_LABEL = {name: zh for name, zh, _, _ in FIELDS}


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything to speak with: who we are and the keys."""

    head: Head
    keys: Keys


def text(link: Link, name: str) -> str:
    """A setting as text; '' when it is not there."""
    value = link.account.get(name)
    return "" if value is None else str(value).strip()


def ready(link: Link, like: Profile) -> tuple[Ready | None, list[Finding]]:
    """The settings in usable form, or what is missing or wrong with them (never a value)."""
    needed = ["fixmedins_code", "mdtrtarea_admvs", "opter", "opter_name"]
    wrong: list[Finding] = []
    if like.enc_type or like.signtype == "SM2":
        needed += ["app_id"] if like.enc_type else []
    for name in needed:
        if not text(link, name):
            wrong.append(_missing(name))
    secrets = (["secret"] if like.signtype or like.enc_type else []) + (
        ["private_key"] if like.signtype == "SM2" else []
    )
    if like.gateway == "csb":
        secrets.append("paas_token")
        if not text(link, "paasid"):
            wrong.append(_missing("paasid"))
    wrong += [_missing(name) for name in secrets if not link.secret.get(name)]
    private = peer = b""
    if like.signtype == "SM2":
        try:
            private = gm.private_key(link.secret.get("private_key", ""))
        except gm.KeyFormatError:
            wrong.append(Finding("yibao_key_unusable", {"name": _LABEL["private_key"]}, "private_key"))
        try:
            peer = gm.public_key(text(link, "platform_key"))
        except gm.KeyFormatError:
            wrong.append(Finding("yibao_key_unusable", {"name": _LABEL["platform_key"]}, "platform_key"))
    if like.enc_type and 0 < len(text(link, "app_id")) < 16:
        wrong.append(Finding("yibao_key_unusable", {"name": _LABEL["app_id"]}, "app_id"))
    if wrong:
        return None, wrong
    head = Head(
        text(link, "fixmedins_code")[:12],
        text(link, "fixmedins_name"),
        text(link, "mdtrtarea_admvs")[:6],
        text(link, "recer_sys_code") or "YAOSU",
        opter_type=like.opter_type,
        opter=text(link, "opter")[:30],
        opter_name=text(link, "opter_name")[:50],
        sign_no=text(link, "sign_no")[:30],
    )
    return Ready(head, Keys(text(link, "app_id"), link.secret.get("secret", ""), private, peer)), []


def _missing(name: str) -> Finding:
    return Finding("yibao_setting_missing", {"field": name, "name": _LABEL.get(name, name)}, name)
