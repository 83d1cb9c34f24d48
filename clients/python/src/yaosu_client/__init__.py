"""Client of the 药溯 Yaosu API: one scan, every duty, from an ERP, WMS, HIS or POS.

`Yaosu` is synchronous, `AsyncYaosu` the same with `await`. Both send the same requests, retry what is safe to repeat
and raise `RefusedError` with the findings in the caller's language.
"""

from yaosu_client.aio import AsyncYaosu
from yaosu_client.errors import NotReachedError, RefusedError, YaosuClientError
from yaosu_client.model import (
    ADJUST,
    CONSUMER_RETURN,
    DESTROY,
    DISPENSE,
    PURCHASE_RETURN,
    RECEIVE,
    SALE,
    SHIP,
    TRANSFER_IN,
    TRANSFER_OUT,
    Bill,
    CodeResult,
    Finding,
    Movement,
    Result,
)
from yaosu_client.sync import Yaosu
from yaosu_client.webhooks import Event, WebhookError, read_webhook

__all__ = [
    "ADJUST",
    "CONSUMER_RETURN",
    "DESTROY",
    "DISPENSE",
    "PURCHASE_RETURN",
    "RECEIVE",
    "SALE",
    "SHIP",
    "TRANSFER_IN",
    "TRANSFER_OUT",
    "AsyncYaosu",
    "Bill",
    "CodeResult",
    "Event",
    "Finding",
    "Movement",
    "NotReachedError",
    "RefusedError",
    "Result",
    "WebhookError",
    "Yaosu",
    "YaosuClientError",
    "read_webhook",
]
