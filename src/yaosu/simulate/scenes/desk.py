"""Ways in that need nobody else: files, photos, EPCIS, and a HIS that speaks the 码上放心 interface (issue 4)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.sax.saxutils import quoteattr

from openpyxl import Workbook

from yaosu.db.engine import connect
from yaosu.exchange.top import keys
from yaosu.registry.resolver import load_registry
from yaosu.settings import master_secret
from yaosu.simulate.cast import with_check_digit
from yaosu.simulate.client import DemoError
from yaosu.simulate.planner import CHINA, scanner_text
from yaosu.simulate.scenes.stage import Stage, boxes_of
from yaosu.subject import ADMIN, Subject

PICTURE = "shelf.jpg"
"""The drawn shelf in the data folder; `console.stories` hands it out."""
TOP = "alibaba.alihealth.drugtrace.top.yljg."


# -- files ---------------------------------------------------------------------------------------------------------


def scan_gun_file(number: str, to_uscc: str, codes: Sequence[str], at: datetime) -> bytes:
    """扫码单据 XML 3.0 as a scan gun's docking station writes it."""
    lines = "".join(
        f'<Data Code={quoteattr(code)} CorpOrderID="{number}" Actor="库管员" ActDate="{at:%Y-%m-%d %H:%M:%S}" '
        f'ToCorpID="{to_uscc}"/>\n'
        for code in codes
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><Document Version="3.0" SN="" License=""><Events>'
        '<Event Name="SalesWareHouseOut" MainAction="WareHouseOut"><DataField>\n'
        f"{lines}</DataField></Event></Events></Document>"
    ).encode()


def workbook(number: str, partner: str, codes: Sequence[str | float], at: datetime) -> bytes:
    """Our template filled in; a code given as a number is what a spreadsheet makes of one that was not kept as text."""
    book = Workbook()
    sheet = book.active
    if sheet is None:
        raise DemoError("a new workbook without a sheet")
    sheet.append(["单据编号", "单据类型", "单据时间", "往来单位", "追溯码"])
    for code in codes:
        sheet.append([number, "201", f"{at:%Y-%m-%d %H:%M:%S}", partner, code])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


async def files(stage: Stage) -> None:
    """A scan gun's XML goes through; an Excel sheet has lost the last digits of a code, and says where."""
    (case,) = await stage.make("danshen", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    hospital = stage.world.cast.orgs["hospital_a"]

    async def given(name: str, content: bytes, send: bool) -> int:
        params = {"name": name, "send": "true" if send else "false"}
        answer = await stage.ask("wholesaler_a", "POST", "/files", params=params, content=content)
        return int(answer["id"])

    number, at = stage.number("XS"), stage.later()
    gun = await given(
        f"出库_{number}.xml", scan_gun_file(number, hospital.uscc, [b.code for b in boxes[:5]], at), True
    )
    done = await stage.until("wholesaler_a", f"/files/{gun}", lambda f: f["state"] == "done")
    if done["summary"]["accepted"] != 5:
        raise DemoError(f"files: five codes were to go through: {done}")
    number, at = stage.number("XS"), stage.later()
    lost: list[str | float] = [*(b.code for b in boxes[5:8]), float(boxes[8].code), boxes[9].code]
    sheet = await given(f"出库_{number}.xlsx", workbook(number, hospital.name, lost, at), False)
    stage.link("gun", f"/files/{gun}")
    stage.link("sheet", f"/files/{sheet}")


# -- photos and the sandbox ----------------------------------------------------------------------------------------


async def drawn_shelf(labels: Mapping[str, Sequence[str]]) -> bytes:
    """A shelf as JPEG, drawn by a process of its own: the barcode library leaves things behind when a process ends."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "yaosu.simulate.picture", stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    picture, _ = await child.communicate(json.dumps(labels).encode())
    if child.returncode != 0 or not picture:
        raise DemoError("capture: no picture was drawn")
    return picture


async def capture(stage: Stage) -> None:
    """A shelf with twelve labels of four families in one photo; and the firm's sandbox for its programmers."""
    (case,) = await stage.make("cold_granules", 1)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes_of(case)[:8], "wholesaler_a", "chain", "store_1")
    (gs1,) = await stage.make("atorvastatin", 1)
    await stage.pass_on([gs1], "maker_b", "wholesaler_a")
    await stage.pass_on(boxes_of(gs1)[:3], "wholesaler_a", "chain", "store_1")
    linear = [b.code for b in boxes_of(case)[:8]]
    matrix = [scanner_text(b) for b in boxes_of(gs1)[:3]]
    retail = [stage.world.cast.products["cold_granules"].links["retail_barcode"]]
    picture = await drawn_shelf({"linear": linear, "matrix": matrix, "retail": retail})
    (stage.world.data / PICTURE).write_bytes(picture)
    found = await stage.ask(
        "store_1", "POST", "/captures", content=picture, headers={"content-type": "image/jpeg"},
        params={"verify": "true"},
    )  # fmt: skip
    if len(found["codes"]) != len(linear) + len(matrix):
        raise DemoError(f"capture: {len(found['codes'])} trace codes read: {found}")
    await stage.post("@pharmacy", "/sandbox/reset")
    stage.link("picture", f"/stories/{PICTURE}")


# -- EPCIS ---------------------------------------------------------------------------------------------------------


def _document(events: Sequence[Mapping[str, Any]], header: Mapping[str, Any] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                     {"yaosu": "https://yaosu.org/ns/epcis#"}],
        "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": datetime.now(CHINA).isoformat(),
        "epcisBody": {"eventList": list(events)},
    }  # fmt: skip
    return made | ({"epcisHeader": header} if header is not None else {})


def _master(box: str, case: str, gln: str) -> dict[str, Any]:
    """What the maker says of its product and of itself."""
    own, cbv, kind = "urn:yaosu:mda:", "urn:epcglobal:cbv:mda#", "urn:epcglobal:epcis:vtype:"
    told = {
        f"{cbv}regulatedProductName": "演示瑞舒伐他汀钙片", f"{cbv}dosageFormType": "片剂",
        f"{cbv}strengthDescription": "10mg", f"{cbv}netContentDescription": "28片/盒", f"{own}shelfLife": "24",
        f"{own}shelfLifeUnit": "M", f"{own}registrationClass": "chemical", f"{own}approvalNo": "国药准字HJ20990001",
        f"{own}prepUnitsPer": "28",
    }  # fmt: skip
    outer = {
        f"{own}containedClass": f"https://id.gs1.org/01/{box}",
        f"{own}contains": "4",
        f"{own}levelName": "箱",
    }

    def element(uri: str, attributes: Mapping[str, str]) -> dict[str, Any]:
        return {"id": uri, "attributes": [{"id": k, "attribute": v} for k, v in attributes.items()]}

    classes = [
        element(f"https://id.gs1.org/01/{box}", told),
        element(f"https://id.gs1.org/01/{case}", outer),
    ]
    me = [element(f"https://id.gs1.org/417/{gln}", {f"{own}self": "true"})]
    return {
        "epcisMasterData": {
            "vocabularyList": [
                {"type": f"{kind}EPCClass", "vocabularyElementList": classes},
                {"type": f"{kind}Party", "vocabularyElementList": me},
            ]
        }
    }


async def epcis(stage: Stage) -> None:
    """A maker that speaks nothing but EPCIS: product, commissioning, packing, shipping; the buyer receives and asks."""
    box = with_check_digit("0699990400010", 14)
    case = with_check_digit("1699990400010", 14)
    mine, theirs = with_check_digit("699990400001", 13), with_check_digit("699990400002", 13)
    boxes = [f"https://id.gs1.org/01/{box}/21/E{n}" for n in range(1, 5)]
    carton = f"https://id.gs1.org/01/{case}/21/K1"

    async def tell(document: Mapping[str, Any]) -> None:
        """Captured, and its job run to a good end."""
        sent = await stage.world.send("maker_b", "POST", "/capture", root="/epcis", json=document)
        where = "/" + sent.headers["location"].split("/epcis/", 1)[1]
        for _ in range(150):
            job = (await stage.world.send("maker_b", "GET", where, root="/epcis")).json()
            if not job["running"]:
                break
            await asyncio.sleep(0.2)
        if not job.get("success"):
            raise DemoError(f"epcis: {job}")

    def event(kind: str, action: str, step: str, **more: Any) -> dict[str, Any]:
        at = stage.later()
        return {"type": kind, "eventTime": at.isoformat(timespec="milliseconds"), "eventTimeZoneOffset": "+08:00",
                "action": action, "bizStep": step, **more}  # fmt: skip

    lot = {
        "cbvmda:lotNumber": "EP2601",
        "cbvmda:itemExpirationDate": f"{stage.today.year + 2}-01-31",
        "yaosu:productionDate": f"{stage.today.year}-02-01",
    }
    await tell(_document([], _master(box, case, mine)))
    buyer = {"gln": theirs, "uscc": stage.world.cast.orgs["wholesaler_b"].uscc}
    await stage.ask("wholesaler_b", "PUT", "/parties", buyer, root="/epcis")
    made = {"disposition": "active", "ilmd": lot}
    number = stage.number("XS")
    await tell(
        _document(
            [
                event("ObjectEvent", "ADD", "commissioning", epcList=boxes, **made),
                event("ObjectEvent", "ADD", "commissioning", epcList=[carton], **made),
                event("AggregationEvent", "ADD", "packing", parentID=carton, childEPCs=boxes),
                event(
                    "ObjectEvent", "OBSERVE", "shipping", epcList=[carton], disposition="in_transit",
                    destinationList=[{"type": "owning_party", "destination": "urn:epc:id:pgln:6999904.00002"}],
                    **{"yaosu:billNo": number},
                ),
            ]
        )
    )  # fmt: skip
    code = f"(01){case}(21)K1"
    got = await stage.move(
        102, "wholesaler_b", [code], from_org=stage.org("maker_b"), notice=number, at=stage.present()
    )
    asked = await stage.ask("wholesaler_b", "GET", "/events", root="/epcis", params={"MATCH_anyEPC": carton})
    if len(asked["epcisBody"]["queryResults"]["resultsBody"]["eventList"]) < 2:
        raise DemoError(f"epcis: {asked}")
    stage.bill("got", got)
    stage.link("code", f"/trace?code={code}")


# -- 码上放心 gateway -------------------------------------------------------------------------------------------------


def top_call(
    app_key: str, secret: str, method: str, fields: Mapping[str, str], at: datetime
) -> dict[str, str]:
    """A call as published clients sign it (md5)."""
    call = {
        "method": method, "app_key": app_key, "timestamp": f"{at.astimezone(CHINA):%Y-%m-%d %H:%M:%S}",
        "format": "json", "v": "2.0", "sign_method": "md5", "partner_id": "top-apitools", **fields,
    }  # fmt: skip
    joined = "".join(name + call[name] for name in sorted(call))
    call["sign"] = hashlib.md5(f"{secret}{joined}{secret}".encode()).hexdigest().upper()  # noqa: S324 - as published
    return call


async def top_key(address: str, data: Any, org: int, org_type: int, title: str) -> tuple[str, str]:
    """An app key of an organisation and its secret: made on the page 「码上放心接口」, for which there is no API."""
    conn = await connect(address)
    try:
        registry = await load_registry(conn)
        subject = Subject("account", None, org, str(org_type), "admin", frozenset({ADMIN}))
        async with conn.transaction():
            made, secret = await keys.add(
                conn, registry, keys.Sealing(master_secret(data)), subject, title, "admin"
            )
        return made.app_key, secret
    finally:
        await conn.close()


async def his(stage: Stage) -> None:
    """A HIS written for 码上放心: another address, key and secret, and its receipt stands here like any other."""
    (case,) = await stage.make("danshen", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.ship("wholesaler_a", "hospital_b", boxes[:6])
    world = stage.world
    app_key, secret = await top_key(world.address, world.data, stage.org("hospital_b"), 3, "示例 HIS")

    async def call(method: str, **fields: str) -> dict[str, Any]:
        form = top_call(app_key, secret, TOP + method, fields, stage.present())
        answer = await world.client.post("/router/rest", data=form, timeout=60)
        (body,) = answer.json().values()
        if answer.status_code != 200 or "code" in body or body.get("response_success") is False:
            raise DemoError(f"his: {method}: {answer.text[:2000]}")
        found: dict[str, Any] = body
        return found

    async def entity(name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await call("query.getentinfo", ent_name=name))["result"]["model"]
        return found

    me = await entity(world.cast.orgs["hospital_b"].name)
    seller = await entity(world.cast.orgs["wholesaler_a"].name)
    number = stage.number("HIS")
    common = {"physic_type": "3", "ref_user_id": me["ref_ent_id"], "client_type": "2"}
    await call(
        "uploadinoutbill", bill_code=number, bill_time=f"{stage.later():%Y-%m-%d %H:%M:%S}", bill_type="102",
        from_user_id=seller["ent_id"], to_user_id=me["ent_id"], trace_codes=",".join(b.code for b in boxes[:6]),
        **common,
    )  # fmt: skip
    await call("query.codedetail", ref_ent_id=me["ref_ent_id"], codes=boxes[0].code)
    listed = await stage.get("hospital_b", "/bills", bill_no=number)
    stage.link("bill", f"/bills/{listed['items'][0]['id']}")
    stage.link("trace", f"/trace?code={boxes[0].code}")
