"""本单位系统: the firm's own ERP, WMS, HIS or POS hears of each movement by signed webhook, in order (R-I1, R-X2).

Own bills, and shipments to the firm and receipts from it as far as one step reaches (D10): these come without the other
party's header.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import httpx
import orjson

from yaosu.db.engine import Connection
from yaosu.exchange.outbox import store_bills
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill, RoutedLine
from yaosu.notify import http, signing
from yaosu.registry.resolver import Registry

NAME = "erp"
KIND = "movement"
PARTNER_KINDS = {"ship": "to", "receive": "from"}
"""Others' bills that concern the firm: a shipment to it, a receipt from it."""


def _line(line: RoutedLine) -> dict[str, Any]:
    found: dict[str, Any] = {
        "code": line.code, "drug_id": line.drug_id, "batch_no": line.batch_no, "expires_on": line.expires_on,
        "level": line.level, "qty": line.qty,
    }  # fmt: skip
    if line.parts is not None:
        found["parts"] = line.parts
    return found


class Erp:
    """Builds and sends movement events."""

    def __init__(self, registry: Registry, allowed: Collection[str], public_url: str) -> None:
        self._registry = registry
        self._allowed = frozenset(allowed)
        self._public_url = public_url

    def channel(self) -> Channel:
        """For the router and the sender."""
        return Channel(
            NAME, "本单位系统（ERP/WMS/HIS/POS）", "Own system (ERP, WMS, HIS, POS)", self.build, self.send,
            fields=(("secret", "签名密钥（留空自动生成）", "Signing secret (made if empty)", True),),
        )  # fmt: skip

    def _org(self, org: int | None) -> dict[str, Any] | None:
        card = self._registry.org(org) if org else None
        return {"id": card.id, "uscc": card.uscc, "name": card.name} if card is not None else None

    async def build(self, conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        """One event per revision; a correction names what it replaces, a void has no lines."""
        own = bill.owner == link.org
        if not own and not link.everyone and link.org != getattr(bill, _side(bill.kind), None):
            return []
        refused = {r["verdict"]: r["count"] for r in await conn.fetch(store_bills.VERDICTS, bill.id)}
        body: dict[str, Any] = {
            "event": KIND,
            "bill": {
                "id": bill.id, "bill_no": bill.bill_no, "revision": bill.revision, "type": bill.type,
                "kind": bill.kind, "void": bill.void, "replaces": bill.replaces,
                "happened_at": bill.happened_at.isoformat(), "recorded_at": bill.recorded_at.isoformat(),
                "owner": self._org(bill.owner), "from": self._org(bill.from_org), "to": self._org(bill.to_org),
                "header": dict(bill.header) if own else {},
            },
            "role": "owner" if own else "buyer" if link.org == bill.to_org else "seller",
            "lines": [_line(line) for line in bill.lines],
            "quantities": [
                {"drug_id": drug_id, "batch_no": batch_no, "qty": qty} for drug_id, batch_no, qty in bill.quantities
            ],
            "verdicts": {"accepted": len(bill.lines), **(refused if own else {})},
            "link": f"/bills/{bill.id}",
        }  # fmt: skip
        key = f"{bill.owner}:{bill.bill_no}:{bill.revision}"
        return [Parcel(KIND, key, body, f"{bill.owner}:{bill.bill_no}")]

    async def send(self, delivery: Delivery, link: Link) -> Outcome:
        """One POST; any 2xx counts as received, 410 says never again. The receiver knows repeats by the event id."""
        content = {
            **delivery.body,
            "id": str(delivery.event),
            "key": delivery.key,
            "link": self._public_url + str(delivery.body.get("link", "/")),
        }
        body = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        headers = signing.headers(link.secret.get("secret", ""), delivery.event, delivery.kind, body)
        try:
            answer = await http.post(link.url, body, headers, self._allowed)
        except http.AddressRefusedError as error:
            return Outcome("failed", None, str(error))
        except httpx.ConnectError as error:
            return Outcome("failed", None, type(error).__name__)
        except TimeoutError:
            return Outcome("unknown", None, f"no answer within {http.TIMEOUT_S:g} s")
        except httpx.HTTPError as error:
            return Outcome("unknown", None, type(error).__name__)
        if 200 <= answer.status < 300:
            return Outcome("processed", answer.status, answer.text)
        if answer.status == 429:
            return Outcome("pending", answer.status, answer.text, wait_s=answer.wait_s or 5.0)
        said = answer.text
        if 300 <= answer.status < 400:
            # never followed: what is signed for one address is for no other; a person enters the new one
            said = f"→ {answer.headers.get('location', '—')} {said}".replace("\x00", "␀")
        return Outcome("failed", answer.status, said, final=answer.status == 410, wait_s=answer.wait_s)


def _side(kind: str) -> str:
    return {"to": "to_org", "from": "from_org"}.get(PARTNER_KINDS.get(kind, ""), "id_of_nobody")
