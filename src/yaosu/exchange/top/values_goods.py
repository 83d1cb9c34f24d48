"""Products and codes in the words of the incumbent's interfaces (interfaces §2.5), each fact under all its names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from yaosu.access.visibility import note_reads, visible
from yaosu.db.engine import Connection
from yaosu.exchange.top.protocol import Call
from yaosu.exchange.top.shaping import Names
from yaosu.production.relation.dates import expiry_dates
from yaosu.registry.lists import region_path
from yaosu.registry.model import Product
from yaosu.registry.resolver import Registry
from yaosu.trace import verify
from yaosu.trace.batcher import read_of
from yaosu.trace.model import BatchFacts, Found
from yaosu.trace.verify import Asked, BatchMemory, Looked

UNITS = {1: "日", 2: "月", 3: "年"}

STATUS = {
    "A": "A",
    "I": "I",
    "O": "I",
    "Q": "I",
    "D": "I",
    "S": "O",
    "C": "C",
    "X": "C",
    "N": "C",
}
"""Our status → theirs: A 已激活, I 已核注 (it has an owner in the trade), O 已核销 (sold or used), C 已注销 (gone).

A box on its way is in the trade: theirs knows no status between two owners."""
STATUS_TEXT = {
    "A": "已激活",
    "I": "已核注",
    "O": "已核销",
    "C": "已注销",
    "E": "码不存在",
    "B": "申请未激活",
}


def display_level(product: Product | None, level: int) -> int:
    """码展示等级: 1 is the largest package of the product's ladder (the other way round from ours)."""
    top = len(product.levels) if product is not None else level
    return max(top - level + 1, 1)


def linked(product: Product, *kinds: str) -> str | None:
    """The product's other code of one of these kinds, the first there is."""
    for kind in kinds:
        for found, value, _ in product.links:
            if found == kind:
                return value
    return None


def barcode69(product: Product) -> str | None:
    """The 商品条码 as printed: thirteen digits (we keep GTINs filled up to fourteen)."""
    found = linked(product, "retail_barcode")
    return found[1:] if found is not None and len(found) == 14 and found.startswith("0") else found


def physic_info(product: Product) -> str:
    """药品信息: name, form, strength and package in one line, as the interfaces write it."""
    return f"{product.generic_name} {product.dosage_form} {product.strength} {product.package_size}"


def product_code(product: Product) -> str:
    """子类编码前7位: the 药品标识码 of the smallest package."""
    return product.levels[0].identifier


def prod_code(product: Product) -> str:
    """子类编码: seven digits and three more that we do not use (000); other schemes as they are."""
    code = product_code(product)
    return f"{code}000" if len(code) == 7 else code


def product_values(registry: Registry, product: Product, names: Names) -> dict[str, Any]:
    """A product under every name that the methods have for its parts."""
    maker, mah = product.manufacturer_id, product.mah_id
    approval = product.approval_no or product.import_cert_no
    drug = str(product.id)
    kind = registry.lists.text("physic_type", product.physic_type)
    info = physic_info(product)
    life = f"{product.shelf_life}{UNITS[product.shelf_life_unit]}"
    top = product.levels[-1]
    values: dict[str, Any] = {
        "physic_name": product.generic_name,
        "drug_name": product.generic_name,
        "physic_name_en": product.english_name or None,
        "prod_name": product.trade_name or None,
        "physic_info": info,
        "drug_info": info,
        "prepn_spec": product.strength,
        "specifications": product.strength,
        "prepn_type_desc": product.dosage_form,
        "prepn_desc": product.dosage_form,
        "pkg_spec": product.package_size,
        "pkg_spec_crit": product.package_size,
        "package_spec": product.package_size,
        "temp_pkg_spec": product.package_size,
        "prepn_unit_desc": product.prep_unit or None,
        "prepn_unit_name": product.prep_unit or None,
        "preparations_unit": product.prep_unit or None,
        "pkg_unit_desc": product.levels[0].name,
        "pack_unit_name": product.levels[0].name,
        "pkg_num": product.prep_units_per,
        "pkg_ratio": product.ratio,
        "exprie": life,
        "expiry_term": life,
        "exprie_life": product.shelf_life,
        "exprie_unit": product.shelf_life_unit,
        "physic_type": product.physic_type,
        "physic_type_desc": kind,
        "physic_type_name": kind,
        "approval_licence_no": approval,
        "approve_no": approval,
        "approval_no": approval,
        "license_number": approval,
        "approval_licence_expiry": product.approval_expires,
        "drug_ent_base_info_id": drug,
        "drug_ent_base_id": drug,
        "drug_base_info_id": drug,
        "drug_id": drug,
        "prod_id": drug,
        "prod_seq_no": drug,
        "sdc_code": linked(product, "bwm"),
        "ean13_code": barcode69(product),
        "cfda_drug_id": linked(product, "cndc") or product_code(product),
        "product_code": product_code(product),
        "prod_code": prod_code(product),
        "physic_code": product_code(product),
        "sub_type_no": prod_code(product)[7:] if len(product_code(product)) == 7 else None,
        "produce_ent_name": names.name(maker),
        "product_ent_name": names.name(maker),
        "prodcut_ent_name": names.name(maker),
        "manufacturer": names.name(maker),
        "produce_ref_name": names.name(maker),
        "ent_name": names.name(maker),
        "ref_ent_id": names.ref(maker),
        "ent_id": names.ent(maker),
        "produce_ref_ent_id": names.ref(maker),
        "product_ref_ent_id": names.ref(maker),
        "produce_ent_id": names.ent(maker),
        "product_ent_id": names.ent(maker),
        "authrizer_ent_id": names.ent(mah),
        "authorized_ref_name": names.name(mah),
        "mah_ref_ent_name": names.name(mah),
        "pack_ent_id": names.ent(product.packer_id),
        "agent_ent_id": names.ent(product.agent_id),
        "licence_no": product.import_permit_no or None,
        "status": product.status,
        "authorizer_flag": 1 if mah != maker else 0,
        "other_num": top.units_per,
    }
    return values


def orgs_of_product(product: Product) -> list[int | None]:
    """Organisations that `product_values` names."""
    return [product.manufacturer_id, product.mah_id, product.packer_id, product.agent_id]


def org_values(call: Call, org: int, names: Names) -> dict[str, Any]:
    """An organisation's directory entry under every name; addresses below the district are its own affair (D10)."""
    card = call.card(org)
    if card is None:
        return {}
    path = [*region_path(card.region).split(" "), "", "", ""]
    kind = call.registry.lists.text("org_type", card.type)
    return {
        "ent_id": names.ent(org),
        "ref_ent_id": names.ref(org),
        "ent_name": card.name,
        "org_code": card.uscc or None,
        "unique_code": card.uscc or None,
        "lic_type_code": 8 if card.uscc else None,
        "lic_type_name": "营业执照" if card.uscc else None,
        "network_type": 200,
        "is_network": "1",
        "settle_status": 1,
        "audit_status": 1,
        "audit_flag": 1,
        "status": card.status,
        "user_role_type": card.type,
        "user_role_type_str": kind,
        "ent_org_type": card.sub_type,
        "dict_region_code": card.region,
        "reg_region_code": card.region,
        "dict_region_detail": region_path(card.region),
        "reg_region_detail": region_path(card.region),
        "prov_name": path[0],
        "city_name": path[1],
        "area_name": path[2],
        "prov_desc": path[0],
        "city_desc": path[1],
        "area_desc": path[2],
        "prov_code": card.region[:2] + "0000",
        "city_code": card.region[:4] + "00",
        "area_code": card.region,
    }


@dataclass(frozen=True, slots=True)
class Seen:
    """What the caller may know of one scanned code."""

    asked: Asked
    found: Found | None
    batches: tuple[tuple[BatchFacts, int], ...]
    """Batches in it with smallest packages."""
    known: bool
    """Whether the caller may know who holds it and what is around it (D10)."""

    @property
    def code(self) -> str:
        """The code's text, or what was scanned."""
        return self.asked.code.text if self.asked.code is not None else self.asked.raw

    @property
    def drug_id(self) -> int | None:
        """The product."""
        if self.found is not None:
            return self.found.unit.drug_id
        return self.asked.resolution.drug_id if self.asked.resolution is not None else None

    @property
    def level(self) -> int:
        """Package level, 1 the smallest; 0 unknown."""
        if self.found is not None:
            return self.found.unit.level
        return (self.asked.resolution.level or 0) if self.asked.resolution is not None else 0

    @property
    def status(self) -> str:
        """Their letter; E where there is no such package."""
        if self.found is None:
            return "E"
        return STATUS.get(self.found.root.status or "", "E")

    @property
    def problem(self) -> tuple[str, str]:
        """Why nothing can be said of it: their code and text; empty where something can (§2.8)."""
        if self.asked.refusal is not None or self.asked.code is None:
            return "FAIL_BIZ_CODE_FORMAT_ERROR", "追溯码格式错误"
        if self.found is not None:
            return "", ""
        resolution = self.asked.resolution
        if resolution is not None and resolution.kind == "elsewhere" and resolution.system is not None:
            return "FAIL_BIZ_CODE_NOT_EXIST", f"不是本系统追溯码，所属追溯系统：{resolution.system.name}"
        if resolution is None or resolution.drug_id is None:
            return "FAIL_BIZ_CODE_NOT_EXIST", "不是追溯码"
        return "FAIL_BIZ_CODE_NOT_ACTIVE", "追溯码未激活"


async def look(call: Call, conn: Connection, raws: Sequence[str]) -> list[Seen]:
    """What the caller may know of these scans, in order; reads by leave are written down (D10)."""
    asked = [verify.ask(call.registry, raw) for raw in raws]
    memory = call.app.parts.get("top.batch_memory")
    if memory is None:
        memory = call.app.parts["top.batch_memory"] = BatchMemory()
    looked: Looked = await verify.look(conn, asked, memory)
    sight = visible(call.subject)
    units = list(looked.found.values())
    known = await verify.known(conn, sight, units) if units else set()
    reads = read_of(call.subject, sight, units, known)
    if reads:
        await note_reads(conn, reads)
    return [_seen(one, looked, known) for one in asked]


def _seen(asked: Asked, looked: Looked, known: set[tuple[int, str]]) -> Seen:
    found = next((looked.found[key] for key in asked.keys if key in looked.found), None)
    if found is None:
        return Seen(asked, None, (), False)
    unit = found.unit
    held: Mapping[int, int] = {unit.batch_id: unit.qty}
    if not unit.batch_id:
        held = looked.mixed.get((unit.drug_id, unit.code), {})
    batches = tuple((looked.batches[b], qty) for b, qty in held.items() if b in looked.batches)
    return Seen(asked, found, batches, (found.root.drug_id, found.root.code) in known)


def orgs_of(registry: Registry, seen: Iterable[Seen]) -> list[int | None]:
    """Organisations that the values of these codes name."""
    orgs: list[int | None] = []
    for drug_id in {s.drug_id for s in seen if s.drug_id}:
        product = registry.product(drug_id)
        if product is not None:
            orgs += orgs_of_product(product)
    return orgs


def produce_list(seen: Seen, product: Product | None, names: Names) -> list[dict[str, Any]]:
    """生产信息集合: one row per batch in the package."""
    holder = product.mah_id if product is not None else None
    return [
        {
            "mah_name": names.name(holder),
            "mah_ref_ent_id": names.ref(holder),
            "authorized_ref_name": names.name(holder),
            "authorizer_ref_ent_id": names.ref(holder),
            "batch_no": facts.batch_no,
            "produce_batch_no": facts.batch_no,
            "produce_date": facts.produced_on,
            "produce_date_str": facts.produced_on.isoformat(),
            "original_produce_date": facts.produced_on,
            # eight digits, as clients in service read it; the later `original_expire_date` has dashes
            "expire_date": facts.expires_on.strftime("%Y%m%d"),
            "original_expire_date": facts.expires_on,
            "pkg_amount": qty,
            "code": seen.code,
        }
        for facts, qty in seen.batches
    ]


def code_values(call: Call, seen: Seen, names: Names, applied: str = "E") -> dict[str, Any]:
    """Everything of one code that `…querycode`, `codedetail` and their like name.

    `applied`: the letter of a code whose product is known and that was never activated (B in the methods that have it).
    """
    product = call.registry.product(seen.drug_id) if seen.drug_id else None
    problem, why = seen.problem
    letter = seen.status
    if seen.found is None and problem == "FAIL_BIZ_CODE_NOT_ACTIVE":
        letter = applied
    goods = product_values(call.registry, product, names) if product is not None else {}
    first = seen.batches[0][0] if seen.batches else None
    smallest = sum(qty for _, qty in seen.batches)
    state: dict[str, Any] = {
        "code": seen.code,
        "code_status": letter,
        "code_status_desc": STATUS_TEXT.get(letter, ""),
        "verification_type": letter,
        "verification_type_str": STATUS_TEXT.get(letter, ""),
        "code_count": smallest if seen.found is not None else None,
        "check_count": 1 if letter == "O" else 0,
    }
    produce: dict[str, Any] = {"produce_info_list": produce_list(seen, product, names)}
    if product is not None:
        produce |= {
            k: goods.get(k)
            for k in (
                "pkg_ratio", "prod_seq_no", "product_ref_ent_id", "product_ent_id", "product_ent_name",
                "prepn_unit_desc", "physic_info", "pkg_spec", "physic_type", "produce_ent_name", "ref_ent_id",
                "licence_no", "agent_ent_id", "pack_ent_id", "produce_ent_id", "approval_no", "authrizer_ent_id",
                "drug_ent_base_info_id", "pkg_num",
            )
        }  # fmt: skip
        produce["small_pkg_num"] = smallest or None
        produce["small_measure_num"] = smallest * product.prep_units_per if smallest else None
    if first is not None:
        produce |= {
            "produce_date": first.produced_on,
            "produce_batch_no": first.batch_no,
            "exprie_date": first.expires_on,
            "produce_info_id": str(first.id),
        }
    if seen.known and seen.found is not None:
        around = seen.found.path[1:]
        state |= {
            "parent_code": seen.found.unit.parent,
            "parent_code_info_list": [{"parent_code": p.code, "package_level": p.level} for p in around],
            "last_biz_date": seen.found.root.since,
            "curr_ent_str": "是" if seen.found.root.holder == call.org else "否",
        }
        produce["curr_ent_id"] = names.ent(seen.found.root.holder)
    maker = product.manufacturer_id if product is not None else None
    card = call.card(maker)
    return {
        "code": seen.code,
        "msg_code": problem or "SUCCESS",
        "msg_info": why or "成功",
        "response_success": seen.found is not None,
        "error_code": problem or None,
        "error_info": why or None,
        "package_level": seen.level or None,
        "pkg_ratio": product.ratio if product is not None else None,
        "barcode69": barcode69(product) if product is not None else None,
        "code_status_type_d_t_o": state,
        "p_user_ent_d_t_o": {
            "ref_ent_id": names.ref(maker),
            "ent_id": names.ent(maker),
            "ent_name": card.name if card is not None else None,
            "ent_name_new": card.name if card is not None else None,
            "org_code": card.uscc if card is not None else None,
        }
        if product is not None
        else None,
        "drug_ent_base_d_t_o": goods or None,
        "code_produce_info_d_t_o": produce if seen.found is not None else None,
        "code_active_info_list_api_d_t_o": {"pkg_ratio": product.ratio} if product is not None else None,
        "validation_rule_list": checks_of(product, first) if product is not None else None,
    }


def checks_of(product: Product, batch: BatchFacts | None) -> list[dict[str, Any]]:
    """字段校验: the published checks of 本位码 and 有效期至 (interfaces §2.5); 0 passed, 1 doubtful."""
    sdc = linked(product, "bwm") or ""
    doubtful = not sdc or any(d * 7 in sdc for d in "0123456789") or sdc[:7] == sdc[7:14] != ""
    rows = [("sdc_code", doubtful, "本位码为空或疑似有误" if doubtful else "通过")]
    if batch is not None:
        wrong = batch.expires_on not in _ends(product, batch.produced_on)
        rows.append(("expire_date", wrong, "有效期至疑似有误" if wrong else "通过"))
    rows.append(("prepn_spec", not product.strength, "通过" if product.strength else "制剂规格疑似有误"))
    return [
        {"field_name": name, "result_code": "1" if bad else "0", "result_desc": what}
        for name, bad, what in rows
    ]


def _ends(product: Product, made: date) -> set[date]:
    """Last days of use that any of the four published rules gives."""
    return set(expiry_dates(made, product.shelf_life, product.shelf_life_unit).values())
