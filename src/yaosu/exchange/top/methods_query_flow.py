"""Where a code has been: upstream's bills of it, our own bills of it, its way through the trade (R-X4, R-B10)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from yaosu.access.visibility import visible
from yaosu.errors import YaosuError
from yaosu.exchange.top import store_query as store
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import Names, fit, names_of, text
from yaosu.exchange.top.values_bills import sides, type_name
from yaosu.exchange.top.values_goods import code_values, look, orgs_of, product_values
from yaosu.registry.lists import region_path
from yaosu.rules.bill_types import bill_types
from yaosu.trace import service as trace

P = "alibaba.alihealth."
SCOPE = "trace.read"

Json = dict[str, Any]


async def events_of(call: Call, raw: str) -> Json:
    """The history of a code as the caller may see it; its refusals in the incumbent's words."""
    async with call.conn() as conn:
        try:
            found: Json = await trace.history(conn, call.registry, call.subject, raw)
        except YaosuError as error:
            if error.code == "trace_no_unit":
                (seen,) = await look(call, conn, [raw])
                raise Failed(
                    *(seen.problem if seen.problem[0] else ("FAIL_BIZ_CODE_NOT_ACTIVE", "追溯码未激活"))
                ) from None
            if error.code == "trace_elsewhere":
                raise Failed("FAIL_BIZ_CODE_NOT_EXIST", error.entry.text("zh", error.params)) from None
            if error.code.startswith("code_"):
                raise Failed("FAIL_BIZ_CODE_FORMAT_ERROR", "追溯码格式错误") from None
            raise
    return found


def bill_ids(history: Json) -> list[int]:
    """Our numbers of the bills in force in a history."""
    return [e["bill_id"] for e in history["events"] if e["bill_id"] is not None and e["in_force"]]


def _bill(row: Any, names: Names) -> Json:
    sender, receiver = sides(row)
    return {
        "bill_id": row["id"],
        "bill_out_id": row["id"],
        "bill_type": row["type"],
        "bill_type_name": type_name(row["type"]),
        "bill_code": row["bill_no"],
        "bill_time": row["happened_at"],
        "ref_user_id": names.ref(row["owner"]),
        "from_user_id": names.ent(sender),
        "from_ref_user_id": names.ref(sender),
        "from_user_name": names.name(sender),
        "to_user_id": names.ent(receiver),
        "to_ref_user_id": names.ref(receiver),
        "to_user_name": names.name(receiver),
        "ass_ent_id": names.ent(row["principal"]),
        "ass_ref_ent_id": names.ref(row["principal"]),
        "ass_ent_name": names.name(row["principal"]),
    }


async def _shown(call: Call, rows: list[Any]) -> list[Json]:
    orgs = [o for r in rows for o in (*sides(r), r["owner"], r["principal"])]
    names = await names_of(call, orgs)
    code = {"code_str": call.text("code") or None}
    return [_bill(r, names) | code for r in rows]


@method(
    P + "drug.kyt.query.upbillcode",
    aliases=(P + "drug.kyt.wes.query.upbillcode", P + "drug.kyt.dr.queryupbillcode"),
    scope=SCOPE,
)
async def up_bill(call: Call) -> Reply:
    """The shipment by which a code came, or is coming, to us; also where only its case was scanned (R-X4)."""
    receiver = await call.ref_org()
    if call.text("agent_ref_ent_id"):
        receiver = await call.ref_org("agent_ref_ent_id")
    # what is not found comes with its list, empty: clients in service look at the length before anything else
    try:
        history = await events_of(call, call.text("code"))
    except Failed as no:
        raise Failed(no.msg_code, no.msg_info, model_list=[]) from None
    async with call.conn() as conn:
        rows = await store.shipments_to(conn, visible(call.subject), bill_ids(history), receiver)
    if not rows:
        raise Failed("FAIL_BIZ_NO_PAT_INFO", "信息不存在", model_list=[])
    return Reply(fit(call, await _shown(call, rows[:1])))


async def _own(call: Call) -> tuple[Json, list[Any]]:
    owner = await call.ref_org() if call.text("ref_ent_id") else call.org
    history = await events_of(call, call.text("code"))
    async with call.conn() as conn:
        rows = await store.own_bills(conn, visible(call.subject), bill_ids(history), owner)
    return history, [r for r in rows if r["type"] > 100]


@method(P + "drug.code.kyt.wes.querycodebillinfo", scope=SCOPE)
async def own_bills(call: Call) -> Reply:
    """Our own bills that moved a code, or the package around it."""
    _, rows = await _own(call)
    return Reply(fit(call, await _shown(call, rows)))


@method(P + "drug.kyt.codetobill", scope=SCOPE)
async def code_to_bill(call: Call) -> Reply:
    """The same by number and type only."""
    history, rows = await _own(call)
    bills = [{"bill_type": r["type"], "bill_id": r["id"]} for r in rows]
    return Reply(fit(call, {"code": history["code"], "bill_identity_list": bills}))


@method(P + "drug.kyt.getcodebillinfo", scope=SCOPE)
async def code_with_bills(call: Call) -> Reply:
    """Product, batch and status of a code with our own bills of it."""
    _, rows = await _own(call)
    async with call.conn() as conn:
        seen = await look(call, conn, [call.text("code")])
    names = await names_of(call, orgs_of(call.registry, seen))
    shown = await _shown(call, rows)
    values = code_values(call, seen[0], names)
    values["bill_in_out_d_t_o_s"] = [
        b | {"bill_type_str": b["bill_type_name"], "process_date": b["bill_time"], "crt_date": b["bill_time"]}
        for b in shown
    ]
    return Reply(fit(call, values))


# -- the way through the trade ------------------------------------------------------------------------


class _Node:
    """One hand that a code passed through."""

    def __init__(self, org: int | None, *, open_: bool) -> None:
        self.org, self.open = org, open_
        self.came: Json | None = None
        self.left: Json | None = None


def _way(history: Json) -> list[_Node]:
    """The hands in order. A hand of which nothing may be known has no organisation (data grants, R-B10)."""
    nodes: list[_Node] = []
    for event in history["events"]:
        kind = bill_types().get(int(event["bill_type"]))
        if kind is None or not event["in_force"]:
            continue
        hidden = bool(event["hidden"])
        owner = event["owner"]["org_id"] if event["owner"] else None
        if kind.code == 1 or not nodes:
            nodes.append(_Node(owner, open_=not hidden))
            if kind.code == 1:
                nodes[-1].came = event
                continue
        last = nodes[-1]
        if kind.kind == "ship":
            if owner is not None and last.org is None and not last.open:
                last.org, last.open = owner, True
            last.left = event
            target = event["to"]["org_id"] if event["to"] else None
            nodes.append(_Node(target, open_=target is not None and not hidden))
        elif kind.direction == "in" and last.came is None:
            if owner is not None:
                last.org, last.open = owner, True
            last.came = event
        elif kind.direction in ("use", "out"):
            last.left = event
    return nodes


@method(P + "drug.code.kyt.querycodeflow", scope=SCOPE)
async def flow(call: Call) -> Reply:
    """The hands a code passed through. Of those who granted us nothing the fields are blank and `authority` is 0."""
    await call.ref_org()
    history = await events_of(call, call.text("code"))
    nodes = _way(history)
    async with call.conn() as conn:
        (seen,) = await look(call, conn, [call.text("code")])
    names = await names_of(call, [*(n.org for n in nodes), *orgs_of(call.registry, [seen])])
    odd = any("time_runs_back" in e["flags"] for e in history["events"])
    rows = []
    for level, node in enumerate(nodes):
        card = call.card(node.org) if node.open else None
        came, left = (node.came, node.left) if card is not None else (None, None)
        rows.append(
            {
                "level": str(level),
                "authority": "1" if card is not None else "0",
                "ent_name": card.name if card else None,
                "ref_ent_id": names.ref(node.org) if card else None,
                "ent_type_code": card.type if card else None,
                "ent_type": call.registry.lists.text("org_type", card.type) if card else None,
                "region": region_path(card.region) if card else None,
                "in_date": _time(came),
                "in_type": type_name(int(came["bill_type"])) if came else None,
                "out_date": _time(left),
                "out_type": type_name(int(left["bill_type"])) if left else None,
                "flag": "是" if odd else "否",
            }
        )
    product = call.registry.product(seen.drug_id) if seen.drug_id else None
    goods = product_values(call.registry, product, names) if product is not None else {}
    batch = seen.batches[0][0] if seen.batches else None
    info = {
        "expiry_date": batch.expires_on if batch else None,
        "production_date": batch.produced_on if batch else None,
        "production_batch": batch.batch_no if batch else None,
        "prepn_type": product.dosage_form if product else None,
    }
    model = {
        "code": history["code"],
        "parent_code": seen.found.unit.parent if seen.known and seen.found is not None else None,
        "code_query_flows": rows,
        "flag": "是" if odd else "否",
        "drug_info": goods | info,
    }
    return Reply(fit(call, model))


def _time(event: Json | None) -> str | None:
    """When something happened, as the interfaces write it."""
    if event is None:
        return None

    return text(datetime.fromisoformat(str(event["happened_at"])))


@method(P + "drug.code.advance.bill.flow.direction", scope=SCOPE)
async def flow_of_bills(call: Call) -> Reply:
    """The same by bills, with their numbers where they may be known."""
    history = await events_of(call, call.text("code"))
    nodes = _way(history)
    async with call.conn() as conn:
        (seen,) = await look(call, conn, [call.text("code")])
    names = await names_of(call, [*(n.org for n in nodes), *orgs_of(call.registry, [seen])])
    rows = []
    for at, node in enumerate(nodes):
        if not node.open or node.org is None:
            continue
        card = call.card(node.org)
        before, after = (
            (nodes[at - 1].org if at else None),
            (nodes[at + 1].org if at + 1 < len(nodes) else None),
        )
        came, left = node.came, node.left
        rows.append(
            {
                "ent_id": names.ent(node.org),
                "ent_name": names.name(node.org),
                "ent_prov_name": region_path(card.region).split(" ")[0] if card else None,
                "ent_type": card.type if card else None,
                "from_ent_id": names.ent(before),
                "from_ent_name": names.name(before),
                "to_ent_id": names.ent(after),
                "to_ent_name": names.name(after),
                "in_bill_id": came["bill_id"] if came else None,
                "in_bill_code": came["bill_no"] if came else None,
                "in_date": _time(came),
                "in_type": type_name(int(came["bill_type"])) if came else None,
                "in_type_code": int(came["bill_type"]) if came else None,
                "out_bill_id": left["bill_id"] if left else None,
                "out_bill_code": left["bill_no"] if left else None,
                "out_date": _time(left),
                "out_type": type_name(int(left["bill_type"])) if left else None,
                "out_type_code": left["bill_type"] if left else None,
            }
        )
    product = call.registry.product(seen.drug_id) if seen.drug_id else None
    goods = product_values(call.registry, product, names) if product is not None else {}
    batch = seen.batches[0][0] if seen.batches else None
    told = goods | {
        "product_name": goods.get("prod_name"),
        "drug_physic_name": goods.get("physic_name"),
        "product_batch_no": batch.batch_no if batch else None,
        "product_date": batch.produced_on if batch else None,
        "exprie_date": batch.expires_on if batch else None,
        "drug_num": sum(q for _, q in seen.batches) or None,
        "pkg_spec_unit": goods.get("pkg_unit_desc"),
        "prepn_type": goods.get("prepn_type_desc"),
        "authorized_no": goods.get("approval_no"),
        "ean": goods.get("ean13_code"),
        "produce_info_id": str(batch.id) if batch else None,
        "prepn_unit": goods.get("prepn_unit_desc"),
    }
    model = {
        "piats_code_flow_response_d_t_o": {
            "header": {"success_flag": "1", "err_code": "", "err_msg": ""},
            "response_body": {
                "flow_list": rows,
                "product_info_list": [told] if goods else [],
                "status": seen.status,
                "query_count": str(seen.found.queries) if seen.found is not None else "0",
                "first_query_time": seen.found.first_query if seen.found is not None else None,
                "last_biz_date": seen.found.root.since if seen.known and seen.found is not None else None,
            },
        }
    }
    return Reply(fit(call, model))
