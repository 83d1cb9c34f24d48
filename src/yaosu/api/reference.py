"""The API reference as a page of the product (`/api/docs`), made from the server's own OpenAPI document.

Public, without scripts, under the strict content security policy. It cannot fall behind the code: operations come
from the routes, verdicts and errors from the registry of messages (R-I1, R-X1).
"""

from __future__ import annotations

from functools import cache
from importlib import resources

from fastapi import APIRouter, Request
from starlette.responses import Response

from yaosu import yamls
from yaosu.api.openapi_view import Group, common_refusals, groups
from yaosu.edge.pages import render
from yaosu.edge.problem import language
from yaosu.edge.state import state
from yaosu.errors import Message, registry

router = APIRouter()

GROUPS_ZH = {
    "operation": "运行",
    "access": "登录、用户与密钥",
    "registry": "企业、产品、备案、代码表",
    "code requests": "追溯码申请",
    "relation files": "关联与激活",
    "uploads and jobs": "上传与作业",
    "packing": "包装操作",
    "ledger": "库存与进销存",
    "circulation": "流通单据",
    "acting": "委托、门店与直调",
    "capture": "照片识码",
    "sandbox": "联调沙箱",
    "exchange": "对接与报送",
    "files": "文件收发",
    "yibao": "医保上报",
    "insurance": "医保核查",
    "epcis": "EPCIS",
    "top": "码上放心接口",
    "xietong": "协同平台",
    "jianguan": "监管数据",
    "trace": "追溯与公众查询",
    "exceptions": "异常协查",
    "recall": "召回、锁定与停售",
    "dispensing": "实名、拆零、麻精",
    "people": "个人身份",
    "uncoded": "无码库",
    "quality": "质量管理",
    "grants": "数据授权与流向",
    "groups": "医联体",
    "notify": "消息与推送",
}
"""Chinese names of the document's groups; operations themselves are described in English."""

ACCEPTED = ("accepted", "taken_out", "same_act", "out_of_order", "rejected_by_you", "back_to_quarantine")
"""Verdicts by which goods move as asked, or moved before by the same act; the three last with a warning."""

REFUSED = (
    "duplicate_in_bill",
    "inside_scanned_package",
    "prefix_unknown",
    "registered_elsewhere",
    "not_activated",
    "not_stocked_in",
    "not_received_yet",
    "already_in_stock",
    "already_shipped",
    "already_sold",
    "in_quarantine",
    "no_notice",
    "not_shipped_to_you",
    "held_elsewhere",
    "in_transit_elsewhere",
    "sold_elsewhere",
    "not_sold",
    "cancelled",
    "destroyed",
    "disabled",
    "package_empty",
    "exception_open",
    "exception_decided",
    "not_way_home",
    "opened",
    "opened_elsewhere",
    "opened_name_parts",
    "split_not_possible",
    "split_not_enough",
    "split_return_too_much",
    "split_opened_too_long",
    "on_other_notice",
    "from_other_sender",
    "wrong_product",
    "wrong_batch",
    "expired",
    "product_category_only",
    "conflicts_with_later",
)
"""Verdicts by which nothing moves, in the order in which `rules.judge` comes to them. A text that cannot be read
as a code is refused with a code of the room `codes` (tests hold both lists to the judge's source)."""


@cache
def codes_by_room() -> dict[str, list[str]]:
    """Every registered code, by the file it stands in, in the file's order."""
    folder = resources.files("yaosu") / "messages"
    return {
        entry.name.removesuffix(".yaml"): list(yamls.read(entry.read_text("utf-8")) or {})
        for entry in sorted(folder.iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".yaml")
    }


def _rows(codes: tuple[str, ...] | list[str], lang: str) -> list[dict[str, object]]:
    known = registry()
    return [_row(known[code], lang) for code in codes]


def _row(entry: Message, lang: str) -> dict[str, object]:
    zh = lang == "zh"
    return {
        "code": entry.code,
        "http": entry.http,
        "text": entry.zh if zh else entry.en,
        "next": entry.next_zh if zh else entry.next_en,
    }


def _groups(request: Request) -> list[Group]:
    """Made once per server: the document does not change while it runs."""
    kept: list[Group] | None = getattr(request.app.state, "api_reference", None)
    if kept is None:
        kept = groups(request.app.openapi(), state(request).settings.public_url)
        request.app.state.api_reference = kept
    return kept


@router.get("/api/docs")
async def reference(request: Request) -> Response:
    """Public: nothing in it belongs to anybody."""
    lang = language(request)
    verdicts = {*ACCEPTED, *REFUSED}
    rooms = {
        room: _rows([c for c in codes if c not in verdicts], lang) for room, codes in codes_by_room().items()
    }
    context = {
        "base": state(request).settings.public_url,
        "groups": (found := _groups(request)),
        "common": common_refusals(found),
        "names": GROUPS_ZH if lang == "zh" else {},
        "accepted": _rows(ACCEPTED, lang),
        "refused": _rows(REFUSED, lang),
        "rooms": rooms,
    }
    return render(request, "api/reference.html", context)
