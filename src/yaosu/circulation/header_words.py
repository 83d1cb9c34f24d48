"""Names of the header fields that pages put on bills, for showing them (Chinese, English)."""

from __future__ import annotations

HEADER_WORDS: dict[str, tuple[str, str]] = {
    "reason": ("原因代码", "Reason code"),
    "reason_text": ("原因说明", "Reason"),
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
    "purchase_bill": ("原采购单号", "Original purchase"),
}


def header_labels(lang: str) -> dict[str, str]:
    """Names of the fields in the reader's language."""
    return {key: zh if lang == "zh" else en for key, (zh, en) in HEADER_WORDS.items()}
