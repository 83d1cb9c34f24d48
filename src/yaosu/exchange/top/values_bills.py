"""Bills in the words of the incumbent's interfaces (interfaces §2.3, §2.7), each fact under all its names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncpg import Record

from yaosu.exchange.top.protocol import Call
from yaosu.exchange.top.shaping import Names, is_number
from yaosu.exchange.top.values_goods import display_level, orgs_of_product, product_values
from yaosu.registry.resolver import Registry
from yaosu.rules.bill_types import bill_types, submittable

DONE, FAILED = "3", "4"
"""处理状态 of a bill: 3 处理成功, 4 处理失败. We answer after the commit, so nothing is ever 0 or 1."""
ALL_DONE, PARTLY_DONE = "51", "52"
"""sub_process_flag: whether every code of the bill was processed."""


def in_types() -> list[int]:
    """入库 types that the incumbent numbers."""
    return [t for t, one in submittable().items() if t > 100 and one.direction == "in"]


def out_types() -> list[int]:
    """出库 types, sales and use included."""
    return [t for t, one in submittable().items() if t > 100 and one.direction in ("out", "use")]


def types_named(call: Call, name: str = "bill_type") -> list[int]:
    """Bill types of a filter: A all, AI in, AO out, or one number. Refused (41) for anything else."""
    given = call.text(name).upper()
    if given in ("", "A"):
        return in_types() + out_types()
    if given == "AI":
        return in_types()
    if given == "AO":
        return out_types()
    if is_number(given) and int(given) == 321:
        # what a hospital's older client calls 321 is on record as 323
        return [321, 323]
    if is_number(given) and int(given) in bill_types():
        return [int(given)]
    raise call.invalid(name)


def type_name(code: int) -> str:
    """单据类型名称."""
    kind = bill_types().get(code)
    return kind.zh if kind is not None else str(code)


def sides(row: Mapping[str, Any] | Record) -> tuple[int | None, int | None]:
    """Sender and receiver of a bill; what the owner left open is the owner itself, a buyer at the till is nobody."""
    kind = bill_types().get(row["type"])
    coming = kind is not None and kind.direction == "in"
    going = kind is not None and kind.direction in ("out", "use")
    sender = row["from_org"] or (row["owner"] if going else None)
    receiver = row["to_org"] or (row["owner"] if coming else None)
    return sender, receiver


def orgs_of_bills(rows: Sequence[Record]) -> list[int | None]:
    """Organisations that the values of these bills name."""
    found: list[int | None] = []
    for row in rows:
        found += [row["owner"], *sides(row), row["principal"], row["carrier"], row["submitter"]]
    return found


def bill_values(call: Call, row: Record, names: Names) -> dict[str, Any]:
    """The head of a bill under every name."""
    sender, receiver = sides(row)
    header: Mapping[str, Any] = row["header"] or {}
    owner = row["owner"]
    card = call.card(owner)
    agent = row["submitter"] if row["submitter"] != owner else None
    file_name = header.get("upload_file_name")
    return {
        "bill_id": row["id"],
        "bill_out_id": row["id"],
        "store_inout_seq_no": str(row["id"]),
        "bill_code": row["bill_no"],
        "bill_type": row["type"],
        "bill_type_name": type_name(row["type"]),
        "bill_time": row["happened_at"],
        "store_in_out_date": row["happened_at"],
        "crt_date": row["recorded_at"],
        "process_date": row["recorded_at"],
        "mod_date": row["recorded_at"],
        "upload_file_name": file_name,
        "short_file_name": file_name,
        "ic_code": header.get("oper_ic_code"),
        "from_user_id": names.ent(sender),
        "from_ref_user_id": names.ref(sender),
        "from_user_name": names.name(sender),
        "from_ent_name": names.name(sender),
        "to_user_id": names.ent(receiver),
        "to_ref_user_id": names.ref(receiver),
        "to_user_name": names.name(receiver),
        "to_ent_name": names.name(receiver),
        "ref_user_id": names.ref(owner),
        "ref_user_name": names.name(owner),
        "user_id": names.ent(owner),
        "ent_id": names.ent(owner),
        "corp_id": names.ent(owner),
        "corp_name": names.name(owner),
        "ref_ent_id": names.ref(owner),
        "user_role_type": card.type if card is not None else None,
        "role_type": card.type if card is not None else None,
        "agent_user_name": names.name(agent),
        "agent_ref_user_id": names.ref(agent),
        "ass_ent_name": names.name(row["principal"]),
        "ass_ent_id": names.ent(row["principal"]),
        "ass_ref_ent_id": names.ref(row["principal"]),
        "dis_ent_name": names.name(row["carrier"]),
        "dis_ent_id": names.ent(row["carrier"]),
        "dis_ref_ent_id": names.ref(row["carrier"]),
        "physic_type": physic_type(call.registry, row["drug_ids"]),
        "drug_type": physic_type(call.registry, row["drug_ids"]),
        "result_type": DONE,
        "process_flag": DONE,
        "upload_flag": "1",
        "process_info": f"处理成功，{row['refused']} 个追溯码未处理" if row["refused"] else "处理成功",
        "note_info": header.get("reason_text"),
        "sub_process_flag": PARTLY_DONE if row["refused"] else ALL_DONE,
        "status": DONE,
        # names of the older set
        "gmt_create": row["recorded_at"],
        "gmt_modified": row["recorded_at"],
        "task_status": DONE,
        "oper_ent_id": names.ent(owner),
    }


def physic_type(registry: Registry, drug_ids: Sequence[int]) -> int:
    """2 特药 where a product of the bill is one, else 3 普药."""
    products = [registry.product(d) for d in drug_ids]
    return 2 if any(p is not None and p.physic_type in (1, 2) for p in products) else 3


def orgs_of_goods(registry: Registry, rows: Sequence[Record]) -> list[int | None]:
    """Organisations that `goods_values` names."""
    found: list[int | None] = []
    for drug_id in {row["drug_id"] for row in rows}:
        product = registry.product(drug_id)
        if product is not None:
            found += orgs_of_product(product)
    return found


def goods_values(call: Call, row: Record, names: Names) -> dict[str, Any]:
    """One product and batch of a bill under every name; quantities in smallest packages and preparation units."""
    product = call.registry.product(row["drug_id"])
    values = product_values(call.registry, product, names) if product is not None else {}
    units = row["qty"] * (product.prep_units_per if product is not None else 1)
    return values | {
        "produce_batch_no": row["batch_no"],
        "product_batch_no": row["batch_no"],
        "produce_date": row["produced_on"],
        "produce_date_format": row["produced_on"],
        "expired_date": row["expires_on"],
        "exprie_date": row["expires_on"],
        "exprie_date_format": row["expires_on"],
        "valid_end_date": row["expires_on"],
        "min_pkg_count": row["qty"],
        "least_pkg_amount": row["qty"],
        "code_count": row["qty"],
        "min_preparations_count": units,
        "least_prepn_amount": units,
        "prepn_count": units,
        "remnant_count": units,
    }


def code_rows(
    call: Call, rows: Sequence[Record], drug_id: int, batch_id: int, *, largest_is_one: bool
) -> list[dict[str, Any]]:
    """Codes of one product and batch on a bill.

    `largest_is_one`: whether the method counts levels from the largest package (展示等级) or from the smallest.
    """
    product = call.registry.product(drug_id)
    found = []
    for row in rows:
        if row["drug_id"] != drug_id or row["batch_id"] not in (batch_id, 0):
            continue
        level = row["level"] or 1
        parent = row["left_parent"] or row["parent"]
        units = row["qty"] * (product.prep_units_per if product is not None else 1)
        found.append(
            {
                "code": row["code"],
                "code_level": display_level(product, level) if largest_is_one else level,
                "parent_code": parent or None,
                "has_parent_code": "Y" if parent else "N",
                "pkg_amount": row["qty"],
                "prepn_amount": units,
                "prepn_spec": product.strength if product is not None else None,
            }
        )
    return found
