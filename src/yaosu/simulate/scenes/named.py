"""People: real-name purchase and narcotics (issue 3 §4). Every number is of a region that does not exist."""

from __future__ import annotations

from typing import Any

from yaosu.simulate.client import DemoError
from yaosu.simulate.scenes.stage import Stage, boxes_of
from yaosu.simulate.setup import PASSWORD

NOWHERE = "379999"
"""No county has this number, so no identity card begins with it; the checks ask for the province only."""


def made_up_identity(born: str, order: int) -> str:
    """An identity-card number with its check character (GB 11643) that nobody can have."""
    body = f"{NOWHERE}{born}{order:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, weights, strict=True)) % 11]


def made_up_person(name: str, born: str, order: int) -> dict[str, Any]:
    """As the API takes a buyer or patient."""
    return {"kind": "1", "number": made_up_identity(born, order), "name": name, "phone": ""}


async def real_name(stage: Stage) -> None:
    """An ephedrine compound: the document, the limit over all shops, the register."""
    (case,) = await stage.make("pseudoephedrine", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:40], "wholesaler_a", "chain")
    await stage.pass_on(boxes[:20], "chain", "store_1")
    await stage.pass_on(boxes[20:40], "chain", "store_2")
    (other,) = await stage.make("cold_granules", 1)
    await stage.pass_on([other], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes_of(other)[:10], "wholesaler_a", "chain", "store_2")
    buyer = made_up_person("示例顾客甲", "19850412", 13)

    async def sell(
        shop: str, codes: list[str], who: dict[str, Any], expect: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        number = stage.number("LS")
        body = {
            "type": 321, "bill_no": number, "happened_at": stage.later().isoformat(), "codes": codes, "person": who,
            "header": {"from_person": "收银员"},
        }  # fmt: skip
        answer: dict[str, Any] = await stage.post(f"@{stage.login(shop)}", "/dispensing/sales", body)
        said = tuple(r["verdict"] for r in answer["results"] if r["severity"] != "ok")
        if said != expect:
            raise DemoError(f"real-name sale {number}: planned {expect}, answered {said}")
        return answer

    first = await sell("store_1", [boxes[0].code, boxes[1].code], buyer)
    # the same person in another shop of the platform, the same week; what anybody may buy is sold
    both = [boxes_of(other)[0].code, boxes[20].code]
    second = await sell("store_2", both, buyer, ("limit_per_person",))
    for n, name in enumerate(("示例顾客乙", "示例顾客丙", "示例顾客丁")):
        await sell("store_1", [boxes[2 + n].code], made_up_person(name, f"19{70 + n}0{n + 1}15", 21 + n))
    stage.bill("first", first)
    stage.bill("refused", second)


async def narcotics(stage: Stage) -> None:
    """药库 → 门诊药房 → 病区, each step by two people; a prescription with ampoules that are still out."""
    places = {}
    for key, name, kind in (
        ("safe", "示例医院药库", 3901), ("window", "示例医院门诊药房", 3903), ("ward", "示例医院外科病区", 3904),
    ):  # fmt: skip
        places[key] = (await stage.post("@hospital", "/places", {"name": name, "sub_type": kind}))["id"]
    (case,) = await stage.make("morphine_inj", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a", "hospital_a")

    async def settled(act: dict[str, Any]) -> dict[str, Any]:
        """The second pharmacist confirms at the first one's screen."""
        number = (act.get("act") or act)["id"]
        done: dict[str, Any] = await stage.post(
            "@hospital",
            f"/narcotics/acts/{number}/confirm",
            {"login": "hospital-checker", "password": PASSWORD},
        )
        return done.get("act") or done

    async def moved(giver: int | None, taker: int, codes: list[str]) -> None:
        body: dict[str, Any] = {"to_org": taker, "codes": codes, "happened_at": stage.later().isoformat()}
        if giver is not None:
            body["place"] = giver
        out = await settled(await stage.post("@hospital", "/narcotics/issues", body))
        body = {
            "place": taker, "from_org": giver or stage.org("hospital_a"), "codes": codes, "notice": out["bill_no"],
            "happened_at": stage.later().isoformat(),
        }  # fmt: skip
        await settled(await stage.post("@hospital", "/narcotics/receipts", body))

    codes = [b.code for b in boxes]
    await moved(None, places["safe"], codes)
    await moved(places["safe"], places["window"], codes[:6])
    await moved(places["window"], places["ward"], codes[:1])

    async def prescribed(
        number: str, days: int, who: dict[str, Any], case_kind: str, **more: Any
    ) -> dict[str, Any]:
        body = {
            "place": places["window"], "number": number, "drug_id": stage.world.drugs["morphine_inj"],
            "case_kind": case_kind, "patient": who, "department": "肿瘤科", "doctor": "示例医师",
            "diagnosis": "癌性疼痛",
            "dose_units": 1, "times_per_day": 2, "days": days, **more,
        }  # fmt: skip
        found: dict[str, Any] = await stage.post("@hospital", "/narcotics/prescriptions", body)
        return found

    patient = made_up_person("示例患者甲", "19580630", 35)
    rx = await prescribed(
        stage.number("MZ"), 3, patient, "pain", agent=made_up_person("示例家属", "19860918", 44)
    )
    body = {
        "place": places["window"], "prescription": rx["id"], "codes": codes[1:2], "units": 6,
        "happened_at": stage.later().isoformat(),
    }  # fmt: skip
    act = await settled(await stage.post("@hospital", "/narcotics/dispensings", body))
    rx2 = await prescribed(stage.number("MZ"), 1, made_up_person("示例患者乙", "19640122", 52), "pain")
    waiting = await stage.post(
        "@hospital", "/narcotics/dispensings",
        {"place": places["window"], "prescription": rx2["id"], "codes": codes[2:3], "units": 2,
         "happened_at": stage.later().isoformat()},
    )  # fmt: skip
    due = (await stage.get("@hospital", "/narcotics/ampoules", place=places["window"]))["items"]
    mine = next(d for d in due if d["bill_id"] == act["bill_id"])
    back = {
        "place": places["window"], "bill_id": mine["bill_id"],
        "items": [{"batch_id": mine["batch_id"], "qty": 4}], "handed_by": "患者家属",
    }  # fmt: skip
    await settled(await stage.post("@hospital", "/narcotics/ampoule-returns", back))
    stage.link("prescription", f"/narcotics/prescriptions/{rx['id']}")
    stage.link("act", f"/narcotics/acts/{act['id']}")
    stage.link("ampoules", f"/narcotics/ampoules?place={places['window']}")
    stage.link("waiting", f"/narcotics/acts/{(waiting.get('act') or waiting)['id']}")
    stage.link(
        "register",
        f"/narcotics/register?place={places['window']}&drug_id={stage.world.drugs['morphine_inj']}",
    )
