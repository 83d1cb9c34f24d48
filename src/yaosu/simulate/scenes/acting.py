"""Acting for others: logistics, chains, direct shipments, medical groups (issue 3 §2)."""

from __future__ import annotations

from datetime import timedelta

from yaosu.simulate.scenes.stage import PEOPLE, Stage, boxes_of


async def logistics(stage: Stage) -> None:
    """A warehouse of the wholesaler in the hands of a logistics firm: only in and out, only there, for a year."""
    place = await stage.post(
        "@wholesaler",
        "/places",
        {"name": "示例批发委托仓（城阳）", "sub_type": 2901, "address": "青岛市城阳区示例路5号"},
    )
    stage.world.ids["warehouse_a"] = place["id"]
    body = {
        "agent": stage.org("logistics"), "kinds": ["in", "out"], "places": [place["id"]], "may_read": True,
        "valid_from": (stage.clock - timedelta(days=1)).isoformat(),
        "valid_until": (stage.clock + timedelta(days=365)).isoformat(), "note": "委托储运合同 示例-2026-01",
    }  # fmt: skip
    made = await stage.post("@wholesaler", "/delegations", body)
    await stage.post("@logistics", f"/delegations/{made['id']}/accept", {})
    cases = await stage.make("metformin", 3)
    await stage.pass_on(cases, "maker_a", "wholesaler_a")
    sent = await stage.ship("wholesaler_a", "warehouse_a", cases, 203)
    got = await stage.receive("warehouse_a", sent, cases, 203, "wholesaler_a", who="logistics")
    out = await stage.ship(
        "warehouse_a", "hospital_a", cases[:1], 201, who="logistics", carrier=stage.org("logistics")
    )
    stage.bill("received", got)
    stage.bill("shipped", out)


async def chain(stage: Stage) -> None:
    """Headquarters receives and returns for its stores and sees what each of them holds."""
    (case,) = await stage.make("cold_granules", 1)
    boxes = boxes_of(case)
    await stage.pass_on([case], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:40], "wholesaler_a", "chain")
    first = await stage.ship("chain", "store_3", boxes[:15], 203)
    got = await stage.receive("store_3", first, boxes[:15], 203, "chain", who="chain")
    waiting = await stage.ship("chain", "store_3", boxes[15:21], 203)
    stage.bill("for_store", got)
    stage.bill("waiting", waiting)


async def direct(stage: Stage) -> None:
    """直调: sold by the wholesaler, sent by the maker, checked by the hospital; all three see the same bill."""
    cases = await stage.make("atorvastatin", 1)
    sent = await stage.ship("maker_b", "hospital_b", cases, 207, direct_org=stage.org("wholesaler_b"))
    got = await stage.receive("hospital_b", sent, cases, 207, "maker_b")
    stage.bill("sent", sent)
    stage.bill("got", got)


async def medical_group(stage: Stage) -> None:
    """县域医共体: the hospital lends a listed drug to a township health centre, scanned at both ends."""
    group = await stage.post("@hospital", "/groups", {"name": "示例县域医共体", "kind": "county"})
    number = group["id"]
    for drug, reason in (("amoxicillin", "short"), ("metformin", "urgent")):
        body = {"drug_id": stage.world.drugs[drug], "reason": reason, "valid_from": stage.today.isoformat()}
        await stage.post("@hospital", f"/groups/{number}/drugs", body)
    await stage.post("@hospital", f"/groups/{number}/members", {"org": stage.org("clinic")})
    await stage.post("@clinic", f"/groups/{number}/accept", {})
    (pallet,) = await stage.make("amoxicillin", 1)
    boxes = boxes_of(pallet)
    await stage.pass_on([pallet], "maker_a", "wholesaler_a")
    await stage.pass_on(boxes[:30], "wholesaler_a", "hospital_a")
    # members transfer from the moment they joined, so this happens now
    sent = await stage.move(
        203, "hospital_a", boxes[:10], to_org=stage.org("clinic"), at=stage.present(), header=PEOPLE
    )
    got = await stage.move(
        104,
        "clinic",
        boxes[:10],
        from_org=stage.org("hospital_a"),
        notice=sent["bill_no"],
        at=stage.present(),
    )
    stage.link("group", f"/groups/{number}")
    stage.bill("sent", sent)
    stage.bill("got", got)
