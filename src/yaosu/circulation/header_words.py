"""Names of the header fields that pages put on bills, for showing them (Chinese, English)."""

from __future__ import annotations

from yaosu.registry.lists import CodeLists
from yaosu.rules.bill_types import bill_types

HEADER_WORDS: dict[str, tuple[str, str]] = {
    "reason": ("原因", "Reason"),
    "reason_text": ("原因说明", "Reason in words"),
    "void_reason": ("作废原因", "Reason for voiding"),
    "correct_reason": ("更正原因", "Reason for correcting"),
    "executer_name": ("执行人", "Executed by"),
    "superviser_name": ("监督人", "Supervised by"),
    "from_address": ("发货地址", "Sent from"),
    "to_address": ("收货地址", "Delivered to"),
    "from_person": ("发货人", "Sent by"),
    "to_person": ("收货人", "Received by"),
    "order_code": ("订单号", "Order"),
    "note": ("备注", "Note"),
    "found_by": ("发现人", "Found by"),
    "approver_name": ("审批人", "Approved by"),
    "witness_name": ("见证人", "Witnessed by"),
    "place": ("地点", "Place"),
    "method": ("方式", "Method"),
    "sampling_no": ("抽样凭证号", "Sampling order"),
    "authority_name": ("抽样机构", "Sampling authority"),
    "sampler_name": ("抽样人", "Sampled by"),
    "purpose": ("抽样目的", "Purpose"),
    "sale_bill": ("原销售单号", "Original sale"),
    "package_state": ("包装状态", "State of the package"),
    "disposal": ("处置意见", "Proposed disposal"),
    "count_no": ("盘点单号", "Count"),
    "invoice_no": ("购货发票号", "Purchase invoice"),
    "invoice_date": ("发票日期（购进日期）", "Date of the invoice (of purchase)"),
    "supplier": ("供货单位", "Supplier"),
    "zone": ("专区货位", "Place in the zone"),
    "purchase_bill": ("原采购单号", "Original purchase"),
    "settlement_id": ("医保结算编号", "Insurance settlement"),
    "settle_kind": ("医保费用结算类型", "Kind of settlement"),
    "visit_no": ("就医流水号", "Visit"),
    "receipt_no": ("零售小票号", "Till receipt"),
    "outside_prescription": ("外购处方", "Prescription filled outside"),
    "pharmacist": ("药师", "Pharmacist"),
    "pharmacist_no": ("药师执业资格证号", "Pharmacist's certificate"),
    "operator": ("经办人", "Handled by"),
    "unit_price": ("单价", "Unit price"),
    "invoice_code": ("发票代码", "Invoice code"),
    "delivery_note": ("随货单号", "Delivery note"),
}


def header_labels(lang: str) -> dict[str, str]:
    """Names of the fields in the reader's language."""
    return {key: zh if lang == "zh" else en for key, (zh, en) in HEADER_WORDS.items()}


REASON_LISTS = {
    116: "return_reason",
    202: "return_reason",
    218: "return_reason",
    237: "return_reason",
    215: "loss_reason",
    216: "loss_reason",
    220: "loss_reason",
}
"""Lists the pages take reasons from, for bill types that do not name one themselves."""


def reason_list(type_code: int) -> str:
    """The code list of a bill type's reason; '' when reasons are free."""
    kind = bill_types().get(type_code)
    return (kind.reasons if kind is not None else "") or REASON_LISTS.get(type_code, "")


def reason_label(lists: CodeLists, type_code: int, value: object, lang: str) -> object:
    """The reason's name where it is one of the list, else as it was given."""
    name = reason_list(type_code)
    return lists.text(name, str(value), lang) if name and value else value
