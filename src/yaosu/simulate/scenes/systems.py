"""Between two systems: 医保, 码上放心, the coordination platform, a supervision feed (issue 4).

The counterparts are played by the other system (`simulate.partner`), a real second process reached over HTTP.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from yaosu.exchange.xietong import envelope
from yaosu.simulate.cast import Cast, made_up_uscc
from yaosu.simulate.client import DemoError
from yaosu.simulate.scenes.desk import top_call, top_key
from yaosu.simulate.scenes.stage import Stage, boxes_of
from yaosu.simulate.setup import Setup

OURS = "药溯演示省追溯系统"
"""What the other system calls ours."""


def settled(found: Mapping[str, Any]) -> bool:
    """Whether a bill's deliveries have all been answered for good."""
    items = found["items"]
    return bool(items) and all(
        d["settled_at"] is not None or d["advice"] == "delivery_at_rest" for d in items
    )


# -- 医保 ------------------------------------------------------------------------------------------------------------


def doubled(case: Mapping[str, Any]) -> bool:
    """Whether a case is about a code that another institution settled."""
    return bool(case["rule"] == "settled_elsewhere")


async def insured(stage: Stage) -> None:
    """Sales go to the insurance bureau by themselves; a code that another pharmacy settled before is
    taken there with a doubt.
    """
    other, shop = stage.other, "P37010200031"
    body = {
        "code": shop,
        "name": stage.world.cast.orgs["store_1"].name,
        "region": "370102",
        "profile": "national",
    }
    issued = await stage.post("~bureau", "/insurance/institutions", body)
    rival = {
        "code": "P37010300032",
        "name": "另一定点药店（演示）",
        "region": "370103",
        "profile": "national",
    }
    await stage.post("~bureau", "/insurance/institutions", rival)
    # the bureau knows whose codes these are, not where the boxes have been
    maker = stage.world.cast.orgs["maker_a"]
    granules = stage.world.cast.products["cold_granules"]
    system = await stage.put(
        "~operator",
        "/trace-systems",
        {"name": OURS, "operator": "演示运营单位", "query_url": str(stage.world.client.base_url) + "/q"},
    )
    far = Setup(other.running_api, Cast({"maker_a": maker}, {}, {"lapses_soon": ""}), stage.today)
    await far.organisations()
    other.running_api.act_for("maker_a", "operator")
    await far.file_own(granules, system_id=system["id"])
    link = await _reports_to_bureau(stage, "@pharmacy", body, issued, "收银员", "YS990001")
    line = {"drug_id": stage.world.drugs["cold_granules"], "fixmedins_hilist_id": "YS0001", "price": "18.50"}
    await stage.put("@pharmacy", "/yibao/mapping", {"lines": [line]})
    (case,) = await stage.make("cold_granules", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:12], "wholesaler_a", "chain", "store_1")
    sold = await stage.move(321, "store_1", boxes[:2], header={"from_person": "收银员"})
    sent = await stage.until("store_1", "/exchange/deliveries", settled, bill_no=sold["bill_no"])
    if {d["state"] for d in sent["items"]} != {"processed"}:
        raise DemoError(f"insured: the first sale was not taken: {sent}")
    await stage.post(
        "~bureau", "/insurance/settlement-checks",
        {"act": "DEMO-OTHER-1", "institution": rival["code"], "record": True,
         "lines": [{"quantity": 1, "codes": [boxes[2].code]}]},
    )  # fmt: skip
    again = await stage.move(321, "store_1", boxes[2:3], header={"from_person": "收银员"})
    said = await stage.until("store_1", "/exchange/deliveries", settled, bill_no=again["bill_no"])
    cases = await stage.until("~bureau", "/insurance/cases", lambda found: any(map(doubled, found["items"])))
    case_id = next(c["id"] for c in cases["items"] if doubled(c))
    # the same bureau works here too, so that the pharmacy has its dossier
    await stage.post("insurer", "/insurance/institutions", body | {"org": stage.org("store_1")})
    await stage.put(
        "@pharmacy", f"/insurance/explanations/{boxes[2].code}",
        {"text": "该盒由上级批发企业购进，随货同行单与发票齐全；本店仅售出一次，请核对另一家的上传。"},
    )  # fmt: skip
    stage.link("connection", f"/exchange/{link['id']}")
    stage.link("sold", f"/exchange/deliveries/{sent['items'][0]['id']}")
    stage.link("refused", f"/exchange/deliveries/{said['items'][0]['id']}")
    stage.link("why", f"/exchange/why?code={boxes[2].code}")
    stage.link("unsold", f"/exchange/why?code={boxes[5].code}")
    stage.link("dossier", f"/insurance/dossier?code={boxes[2].code}")
    stage.link("case", f"/insurance/cases/{case_id}")
    stage.bill("bill", again)


async def _reports_to_bureau(
    stage: Stage, who: str, body: dict[str, Any], issued: dict[str, Any], operator: str, certificate: str
) -> dict[str, Any]:
    """Connect an institution to the bureau of the other system, with the keys that the bureau issued to it."""
    account = {
        "fixmedins_code": body["code"], "fixmedins_name": body["name"], "mdtrtarea_admvs": "370102", "opter": "001",
        "opter_name": operator, "phar_name": "示例药师", "phar_prac_cert_no": certificate, "prsc_dr_name": "无",
        "invoice_default": "无", "app_id": issued["app"], "platform_key": issued["bureau_key"],
    }  # fmt: skip
    made: dict[str, Any] = await stage.post(
        who, "/exchange/connections",
        {"channel": "yibao", "title": "演示省医保",
         "url": f"{stage.other.url}/fsi/api/rsfComIfsService/callService",
         "profile": "national", "account": account,
         "secret": {"secret": issued["secret"], "private_key": issued["private_key"]}},
    )  # fmt: skip
    return made


async def waiting(stage: Stage) -> None:
    """A product whose catalogue number nobody entered: nothing is sent, the delivery waits for a person."""
    body = {"code": "H37010200033", "name": stage.world.cast.orgs["hospital_a"].name, "region": "370102"}
    issued = await stage.post("~bureau", "/insurance/institutions", body)
    (case,) = await stage.make("metformin", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a", "hospital_a")
    link = await _reports_to_bureau(stage, "@hospital", body, issued, "药房窗口", "YS990002")
    used = await stage.move(323, "hospital_a", boxes[:1])
    found = await stage.until(
        "hospital_a", "/exchange/deliveries", lambda f: any(d["state"] == "failed" for d in f["items"]),
        bill_no=used["bill_no"],
    )  # fmt: skip
    stage.bill("bill", used)
    stage.link("delivery", f"/exchange/deliveries/{found['items'][0]['id']}")
    stage.link("connection", f"/exchange/{link['id']}")
    stage.link("mapping", "/yibao/mapping")


# -- 码上放心 as a client ----------------------------------------------------------------------------------------------

SYSTEM = "对方追溯系统（演示）"


async def top(stage: Stage) -> None:
    """Codes whose home is the other system: its maker ships there, the notice arrives here, the receipt goes back."""
    other, world = stage.other, stage.world
    product = other.cast.products["far_tablets"]
    known = Cast({"far_maker": other.cast.orgs["far_maker"]}, {product.key: product}, {"lapses_soon": ""})
    far = Setup(world.api, known, stage.today)
    await far.organisations()
    # nobody works here for it: a key of its own would say otherwise
    world.api.act_for("far_maker", "operator")
    system = await stage.put(
        "operator", "/trace-systems",
        {"name": SYSTEM, "operator": "演示运营单位", "query_url": f"{other.public}/q"},
    )  # fmt: skip
    # what upstream ships is believed from the address that the operator entered only
    await stage.put("operator", f"/top/gateways/{system['id']}", {"url": f"{other.url}/router/rest"})
    await far.file_own(product, system_id=system["id"])
    await far.products()
    (case,) = await stage.make_there(product, 1)
    number, at = stage.number("DF"), stage.later()
    answer = await stage.post(
        "~far_maker", "/movements",
        {"type": 201, "bill_no": number, "happened_at": at.isoformat(), "codes": [case.code],
         "to_org": other.ids["far_wholesaler"]},
    )  # fmt: skip
    if answer["status"] != "accepted":
        raise DemoError(f"top: {answer}")
    app_key, secret = await top_key(other.address, other.folder, other.ids["far_wholesaler"], 2, "药溯演示")
    ref = await _ref_ent_id(other.url, app_key, secret, world.cast.orgs["wholesaler_b"].name, stage)
    link = await stage.post(
        "@wholesaler2", "/exchange/connections",
        {"channel": "top", "title": SYSTEM, "url": f"{other.url}/router/rest",
         "account": {"app_key": app_key, "ref_ent_id": ref, "system": SYSTEM}, "secret": {"app_secret": secret}},
    )  # fmt: skip
    await stage.until(
        "wholesaler_b",
        "/notices",
        lambda found: any(n["bill_no"] == number for n in found["items"]),
        seconds=75,
    )
    got = await stage.move(
        102, "wholesaler_b", [case.code], from_org=far.ids["far_maker"], notice=number, at=stage.present()
    )
    sent = await stage.until("wholesaler_b", "/exchange/deliveries", settled, bill_no=got["bill_no"])
    there = await stage.until(
        "~far_wholesaler", "/bills", lambda found: bool(found["items"]), bill_no=got["bill_no"]
    )
    stage.bill("got", got)
    stage.link("connection", f"/exchange/{link['id']}")
    stage.link("sent", f"/exchange/deliveries/{sent['items'][0]['id']}")
    stage.link("there", f"/bills/{there['items'][0]['id']}")


async def _ref_ent_id(url: str, app_key: str, secret: str, name: str, stage: Stage) -> str:
    """The firm's own number over there, asked as every client asks it."""
    method = "alibaba.alihealth.drugtrace.top.lsyd.query.getentinfo"
    form = top_call(app_key, secret, method, {"ent_name": name}, stage.present())
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        (body,) = (await client.post("/router/rest", data=form)).json().values()
    if "result" not in body:
        raise DemoError(f"top: {body}")
    return str(body["result"]["model"]["ref_ent_id"])


# -- 协同平台 ----------------------------------------------------------------------------------------------------------


async def coordination(stage: Stage) -> None:
    """A box that leaves for a customer of another system: told through the platform, received there, booked here."""
    other = stage.other
    name = "药溯演示省系统"
    ours = await stage.post(
        "~operator", "/xietong/systems",
        {"name": name, "query_url": f"{stage.world.client.base_url}/q/".replace("//q", "/q"), "operator": "演示省"},
    )  # fmt: skip
    theirs = await stage.post(
        "~operator", "/xietong/systems",
        {"name": "第三家追溯系统（演示）", "query_url": "https://third.example.com/q/", "operator": "演示运营单位"},
    )  # fmt: skip
    firm = {
        "usc_id": made_up_uscc(41, "370602"),
        "name": "演示异地大药房",
        "type": 4,
        "region": "370602",
        "customer": True,
    }
    await _tell(other.url, theirs, "1001", firm, stage)
    link = await stage.post(
        "@operator", "/xietong/connections",
        {"org": stage.org("regulator"), "url": other.url, "app_id": ours["app_id"], "key": ours["key"],
         "title": "协同平台（演示）"},
    )  # fmt: skip
    known = await stage.until("operator", "/orgs", lambda found: bool(found["items"]), q=firm["usc_id"])
    await stage.until(
        "@operator", f"/xietong/connections/{link['id']}/filed",
        lambda found: bool(found["items"]) and all(i["state"] != "due" for i in found["items"]),
    )  # fmt: skip
    (case,) = await stage.make("metformin", 1)
    box = boxes_of(case)[0]
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    sent = await stage.move(201, "wholesaler_a", [box], to_org=known["items"][0]["id"], at=stage.present())
    mail = await _mail(other.url, theirs, stage)
    if not any(e["sub_type"] == "2002" for e in mail):
        raise DemoError(f"coordination: no shipping notice in the mailbox: {mail}")
    receipt = {
        "owner": firm["usc_id"], "bill_no": stage.number("DS"), "type": 102, "happened_at": stage.present().isoformat(),
        "from": stage.world.cast.orgs["wholesaler_a"].uscc, "notice": sent["bill_no"], "codes": [box.code],
    }  # fmt: skip
    await _tell(other.url, theirs, "2003", receipt, stage)
    await stage.until(
        "@operator", f"/xietong/connections/{link['id']}/inbox",
        lambda found: any(i["sub_type"] == "2003" and i["state"] == "done" for i in found["items"]),
    )  # fmt: skip
    stage.bill("sent", sent)
    stage.link("trace", f"/trace?code={box.code}")
    stage.link("connection", f"/xietong/connections/{link['id']}")


def _params(system: Mapping[str, Any], **more: str) -> dict[str, str]:
    made = {
        "app_id": system["app_id"],
        "process_id": str(uuid.uuid4()),
        "timestamp": envelope.stamp(datetime.now(UTC)),
    }
    return envelope.sign({**made, **more}, system["key"])


async def _say(url: str, path: str, params: Mapping[str, str]) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        said: dict[str, Any] = (await client.post(path, json=dict(params))).json()
    if not said.get("success"):
        raise DemoError(f"coordination: {path}: {said}")
    return said


async def _tell(
    url: str, system: Mapping[str, Any], sub_type: str, content: Mapping[str, Any], stage: Stage
) -> None:
    """One event of the third system, in the envelope. Its number rises from the story: told again, it is the same."""
    event = uuid.uuid5(uuid.NAMESPACE_URL, f"{stage.world.anchor}{sub_type}{content.get('bill_no', '')}")
    data = envelope.encode(envelope.pack(content))
    kind = "10" if sub_type.startswith("1") else "20"
    await _say(
        url,
        "/xietong/exchange",
        _params(system, event_id=str(event), event_type=kind, sub_type=sub_type, data=data),
    )


async def _mail(url: str, system: Mapping[str, Any], stage: Stage) -> list[dict[str, str]]:
    """The third system's mailbox, once a notice has come."""
    found: list[dict[str, str]] = []
    for _ in range(60):
        after = max((int(e["n"]) for e in found), default=0)
        said = await _say(url, "/xietong/mailbox", _params(system, after=str(after), limit="100"))
        found += said["events"]
        if any(e["sub_type"] == "2002" for e in found):
            break
        await asyncio.sleep(0.5)
    return found


# -- supervision ---------------------------------------------------------------------------------------------------


async def feed(stage: Stage) -> None:
    """Every bill of the province from now on goes to a supervision system; both sides prove that they hold the same."""
    other = stage.other
    source = await stage.post("~operator", "/jianguan/sources", {"name": "药溯演示省", "region": "37"})
    made = await stage.post(
        "@operator", "/jianguan/feeds",
        {"org": stage.org("regulator"), "source_id": source["source_id"], "key": source["key"], "url": other.url,
         "profile": "shandong", "region": "37", "title": "演示监管系统", "history": False},
    )  # fmt: skip
    (case,) = await stage.make("danshen", 1)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes_of(case)[:5], "wholesaler_a", "hospital_a")

    def through(found: Mapping[str, Any]) -> bool:
        one = next(f for f in found["items"] if f["id"] == made["id"])
        return bool(one["numbered"]) and one["held"] >= one["numbered"]

    await stage.until("@operator", "/jianguan/feeds", through)
    result = await stage.ask("@operator", "POST", f"/jianguan/feeds/{made['id']}/reconcile")
    if not result or not result["equal"]:
        raise DemoError(f"feed: the two sides differ: {result}")
    stage.link("feed", f"/jianguan/feeds/{made['id']}")
    stage.link("source", f"/jianguan/sources/{source['id']}")
