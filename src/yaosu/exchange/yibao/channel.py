"""The 医保 channel of the outbox: an institution's bills as 3501–3507, sent, answered, asked about (R-C6, R-C7).

Exactly once: message number (msgid) and row numbers (fixmedins_bchno) are fixed when the bill is routed, so a repeat is
recognised by a platform that keeps them; rows that were accepted are never sent again, whatever becomes of the rest of
their call. After silence a sale is looked up by 3513 before it is sent again; the other transactions go again under
the same numbers.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import orjson

from yaosu.db.engine import Connection
from yaosu.edge.pages import CHINA
from yaosu.edge.state import AppState
from yaosu.errors import Finding, YaosuError
from yaosu.exchange.outbox.model import Channel, Delivery, Link, Outcome, Parcel, RoutedBill
from yaosu.exchange.yibao import build as building
from yaosu.exchange.yibao import fill, sign, store
from yaosu.exchange.yibao.answers import doubted_details, doubts, judged, number_of, records
from yaosu.exchange.yibao.model import CHANNEL
from yaosu.exchange.yibao.settings import FIELDS, Ready, ready, text
from yaosu.insurance import envelope
from yaosu.insurance.fields import codes_of, is_batch, transaction
from yaosu.insurance.profiles import Profile, profile
from yaosu.notify import http
from yaosu.people.keeper import Keeper
from yaosu.registry.resolver import Registry

TIMEOUT_S = 30.0
ANSWER_MAX = 2 << 20
ASKED_ROWS = 20
"""Rows of one call looked up by 3513 after silence; each is a request."""
BUSY_S = 60.0
SIGN_AGAIN_S = 2.0
SALES = ("3505", "3506")


def channel(app: AppState) -> Channel:
    """The channel on a running server."""
    one = Yibao(app)
    return Channel(CHANNEL, "医保", "Medical insurance", one.build, one.send, one.ask, fields=FIELDS)


class Yibao:
    """The channel's verbs with what they need of the server."""

    def __init__(self, app: AppState) -> None:
        self._app = app

    @property
    def _registry(self) -> Registry:
        found: Registry = self._app.parts["registry"]
        return found

    @property
    def _keeper(self) -> Keeper | None:
        return self._app.parts.get("keeper")

    async def build(self, conn: Connection, bill: RoutedBill, link: Link) -> Sequence[Parcel]:
        """What of a bill goes there."""
        return await building.parcels(conn, self._registry, bill, link)

    def _profile(self, link: Link) -> Profile:
        card = self._registry.org(link.org)
        region = link.region or (card.region if card is not None else "")
        try:
            return profile(self._registry.lists, link.profile, region)
        except KeyError:
            raise YaosuError("yibao_profile_unknown", {"profile": link.profile}) from None

    async def send(self, delivery: Delivery, link: Link) -> Outcome:
        """Complete, sign, send; read the answer."""
        try:
            like = self._profile(link)
        except YaosuError as error:
            return _stopped([Finding(error.code, error.params)])
        usable, wrong = ready(link, like)
        if usable is None:
            return _stopped(wrong)
        infno, entries = str(delivery.body["infno"]), list(delivery.body["rows"])
        async with self._app.pool.acquire() as conn, conn.transaction():
            known = await _states(conn, link.id, entries)
            if infno == "3507" and (early := await _nothing_to_delete(conn, link.id, entries, known)):
                return early
            left = entries
            if infno != "3507":
                first = delivery.attempts <= 1 and not delivery.interrupted
                left = [r for r in entries if _still_owed(known.get(number_of(r), ("owed", "")), first=first)]
                dropped = [
                    number_of(r) for r in entries if r not in left and known[number_of(r)][0] != "done"
                ]
                await conn.execute(store.STATE, link.id, dropped, "gone", "")
            if not left:
                return Outcome("processed", answer="各行均已上报成功或已撤销，未重复上报。")
            bill = int(delivery.body["bill"])
            at = await fill.context(conn, self._registry, self._keeper, link, like, left, infno, bill)
        rows, findings = _completed(at, infno, left)
        if findings:
            return _stopped(findings)
        now = datetime.now(CHINA)
        body = _input(infno, rows)
        number = str(delivery.body["msgid"])
        if delivery.remote:
            # they have answered this number; what goes now is another message, whose rows keep their numbers
            number = envelope.msgid(usable.head.fixmedins_code, now, delivery.id * 37 + delivery.attempts)
        message = envelope.request(usable.head, infno, number, now, body)
        outcome = await self._call(link, usable, like, infno, message)
        if isinstance(outcome, Outcome):
            return outcome
        resent = delivery.tries > 0 or delivery.interrupted or delivery.attempts > 1
        made, states = judged(infno, left, outcome, like, resent=resent)
        doubted = doubts(left, outcome, [b for b, (state, _) in states.items() if state != "done"])
        if doubted:
            made = replace(made, details=doubted_details(left, doubted, made.details))
        async with self._app.pool.acquire() as conn, conn.transaction():
            await _remember(conn, link.id, infno, states, doubted)
        return made

    async def ask(self, delivery: Delivery, link: Link) -> Outcome:
        """What became of a call that was not answered: sales are looked up (3513) by code and row number."""
        infno, entries = str(delivery.body["infno"]), list(delivery.body["rows"])
        one = transaction(infno)
        if one is None or one.infno not in SALES:
            # no published query tells by row number: the same numbers go again, which the platform recognises
            return Outcome("pending", answer="未收到应答；将以相同的报文编号和批次流水号重新上报。")
        like = self._profile(link)
        usable, wrong = ready(link, like)
        if usable is None:
            return _stopped(wrong)
        asked = [(r, c) for r in entries if (c := codes_of(r["fields"]))][:ASKED_ROWS]
        if not asked:
            return Outcome("pending", answer="未收到应答，且各行没有追溯码可供查询；将以相同编号重新上报。")
        found: dict[str, str] = {}
        for n, (row, codes) in enumerate(asked):
            seen = await self._look_up(link, usable, like, delivery, n, codes[0], number_of(row))
            if isinstance(seen, Outcome):
                return seen
            if seen:
                found[number_of(row)] = codes[0]
        async with self._app.pool.acquire() as conn, conn.transaction():
            await conn.execute(store.STATE, link.id, list(found), "done", "3513 查询到")
        if len(found) == len(asked):
            return Outcome("processed", answer=f"3513 查询确认：{len(found)} 行均已在平台。")
        return Outcome(
            "pending", answer=f"3513 查询：{len(asked)} 行中 {len(found)} 行已在平台，其余将重新上报。"
        )

    async def _look_up(
        self, link: Link, usable: Ready, like: Profile, delivery: Delivery, n: int, code: str, bchno: str
    ) -> bool | Outcome:
        now = datetime.now(CHINA)
        data = {
            "fixmedins_code": usable.head.fixmedins_code,
            "drug_trac_codg": code,
            "psn_cert_type": text(link, "psn_cert_default") or "99",
            "page_num": 1,
            "page_size": 50,
        }
        number = envelope.msgid(usable.head.fixmedins_code, now, delivery.id * 31 + n)
        message = envelope.request(usable.head, "3513", number, now, {"data": data})
        answer = await self._call(link, usable, like, "3513", message)
        if isinstance(answer, Outcome):
            return Outcome("unknown", answer.status, f"3513：{answer.answer}", wait_s=answer.wait_s)
        if not answer.passed:
            return Outcome("unknown", 200, f"3513：{answer.infcode} {answer.err_msg}")
        return any(r.get("fixmedins_bchno") == bchno for r in records(answer.output))

    async def _call(
        self, link: Link, usable: Ready, like: Profile, infno: str, message: Mapping[str, Any]
    ) -> envelope.Answer | Outcome:
        """One call, signed in first where that is asked for."""
        if not sign.wanted(link, like):
            return await self._post(link, usable, like, infno, message)
        now = datetime.now(CHINA)
        async with self._app.pool.acquire() as conn:
            number = await sign.known(conn, link, now)
        if not number:
            got = await self._sign_in(link, usable, like, now)
            if isinstance(got, Outcome):
                return got
            number = got
        answer = await self._post(link, usable, like, infno, {**message, "sign_no": number})
        if isinstance(answer, envelope.Answer) and sign.lost(answer):
            async with self._app.pool.acquire() as conn:
                await sign.forget(conn, link, now)
            # they took nothing in: the next try signs in anew
            return Outcome("pending", 200, f"{answer.infcode} {answer.err_msg}", wait_s=SIGN_AGAIN_S)
        return answer

    async def _sign_in(self, link: Link, usable: Ready, like: Profile, now: datetime) -> str | Outcome:
        """9001; the number for today. Whatever fails here, the call itself was not sent."""
        code = usable.head.fixmedins_code
        number = envelope.msgid(code, now, secrets.randbelow(10_000))
        message = envelope.request(usable.head, "9001", number, now, sign.body(link))
        answer = await self._post(link, usable, like, "9001", message)
        if isinstance(answer, Outcome):
            return replace(
                answer,
                state="failed" if answer.final else "pending",
                answer=f"签到（9001）未成功：{answer.answer}",
            )
        given = sign.number_of(answer)
        if not answer.passed or not given:
            told = f"签到（9001）未成功，未上报：{answer.infcode} {answer.err_msg}"
            return Outcome("pending", 200, told, wait_s=BUSY_S)
        async with self._app.pool.acquire() as conn, conn.transaction():
            await sign.keep(conn, link, now, given)
        return given

    async def sign_out(self, link: Link) -> bool:
        """9002 of today's number; False when nobody signed in today. Raises `yibao_sign_out_refused`."""
        like = self._profile(link)
        usable, wrong = ready(link, like)
        if usable is None:
            raise YaosuError("invalid_request", {"count": len(wrong)}, wrong)
        now = datetime.now(CHINA)
        async with self._app.pool.acquire() as conn:
            number = await sign.known(conn, link, now)
        if not number:
            return False
        body = {"signOut": {"sign_no": number, "opter_no": text(link, "opter")[:30]}}
        msgid = envelope.msgid(usable.head.fixmedins_code, now, secrets.randbelow(10_000))
        message = {**envelope.request(usable.head, "9002", msgid, now, body), "sign_no": number}
        answer = await self._post(link, usable, like, "9002", message)
        if isinstance(answer, Outcome) or not (answer.passed or sign.lost(answer)):
            said = answer.answer if isinstance(answer, Outcome) else f"{answer.infcode} {answer.err_msg}"
            raise YaosuError("yibao_sign_out_refused", {"said": said[:300]})
        async with self._app.pool.acquire() as conn:
            await sign.forget(conn, link, now)
        return True

    async def _post(
        self, link: Link, usable: Ready, like: Profile, infno: str, message: Mapping[str, Any]
    ) -> envelope.Answer | Outcome:
        sealed = envelope.seal(message, usable.keys, like.signtype, like.enc_type)
        url = link.url.rstrip("/") + like.path.replace("{infno}", infno) if like.path else link.url
        headers = {"content-type": "application/json; charset=utf-8", "accept": "application/json"}
        if like.gateway == "csb":
            headers |= gateway_headers(text(link, "paasid"), link.secret.get("paas_token", ""))
        try:
            got = await http.post(
                url, orjson.dumps(sealed), headers, self._app.settings.webhook_hosts, TIMEOUT_S, ANSWER_MAX
            )
        except http.AddressRefusedError as error:
            return Outcome("failed", answer=f"地址不可用：{error.zh}", final=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return Outcome("pending", answer=f"连接不上：{type(error).__name__}")
        except (TimeoutError, httpx.HTTPError) as error:
            return Outcome("unknown", answer=f"没有收到应答：{type(error).__name__}")
        return opened(got, usable, like)


def opened(got: http.Answer, usable: Ready, like: Profile) -> envelope.Answer | Outcome:
    """The answer read and verified, or what is known instead."""
    if got.status in (408, 425, 429, 503):
        return Outcome("pending", got.status, got.text, wait_s=got.wait_s or BUSY_S)
    try:
        raw = envelope.plain(got.body or got.text.encode())
        message = envelope.read(raw)
        if not got.whole:
            raise YaosuError("yibao_message_invalid")
        answer = envelope.answer(_unsealed(message, usable, like, raw))
    except YaosuError as error:
        said = got.text[:2000]
        if 400 <= got.status < 500:
            return Outcome("failed", got.status, said, final=True)
        if error.code == "yibao_signature_missing" and (told := _unsigned_refusal(got)):
            # nobody signs for whom they do not know; tried again, since anybody on the way could say so
            return Outcome("failed", got.status, told)
        why = Finding(error.code, error.params).text("zh")
        return Outcome("unknown", got.status, f"{why} {said}")
    return answer


def _unsealed(message: Mapping[str, Any], usable: Ready, like: Profile, raw: bytes) -> dict[str, Any]:
    """The answer open and verified. A yes is encrypted as agreed; of refusals some platforms encrypt the output, others
    send it open."""
    signed = like.signtype if usable.keys.peer or like.signtype == "SM3" else ""
    output = message.get("output")
    if output and message.get("infcode") in (envelope.OK, 0):
        return envelope.unseal(message, usable.keys, signed, like.enc_type, "output", raw)
    if like.enc_type and output and isinstance(output, str):
        try:
            return envelope.unseal(message, usable.keys, signed, like.enc_type, "output", raw)
        except YaosuError as error:
            if error.code != "yibao_cipher_wrong":
                raise
    return envelope.unseal(message, usable.keys, signed, "", "output", raw)


def _unsigned_refusal(got: http.Answer) -> str:
    try:
        answer = envelope.answer(envelope.read(envelope.plain(got.body or got.text.encode())))
    except YaosuError:
        return ""
    return "" if answer.passed else f"{answer.infcode} {answer.err_msg}（应答未签名）"


def gateway_headers(account: str, token: str, now: float | None = None, nonce: str = "") -> dict[str, str]:
    """Headers of CSB gateways: x-tif-signature = SHA256(timestamp + token + nonce + timestamp)."""
    stamp = str(int(time.time() if now is None else now))
    nonce = nonce or secrets.token_hex(8)
    signature = hashlib.sha256(f"{stamp}{token}{nonce}{stamp}".encode()).hexdigest()
    return {
        "x-tif-paasid": account,
        "x-tif-timestamp": stamp,
        "x-tif-nonce": nonce,
        "x-tif-signature": signature,
    }


def _input(infno: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    one = transaction(infno)
    assert one is not None
    if is_batch(infno):
        return {one.batch_node: list(rows)}
    return {one.node: rows[0]}


def _completed(
    at: fill.Context, infno: str, entries: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[Finding]]:
    rows, findings = [], []
    for entry in entries:
        row, wrong = fill.complete(at, infno, entry)
        rows.append(row)
        findings += wrong
    return rows, findings


async def _states(
    conn: Connection, link_id: int, entries: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[str, str]]:
    """By row number: its state, and the delivery that takes it back."""
    found = await conn.fetch(store.STATES, link_id, [number_of(e) for e in entries])
    return {r["bchno"]: (r["state"], r["gone_key"]) for r in found}


def _still_owed(row: tuple[str, str], *, first: bool) -> bool:
    """Whether a row has to go. What was taken back before it ever left stays here; what may have left goes, and its
    deletion follows."""
    state, gone_key = row
    taken_back = gone_key not in ("", store.BACK)
    return state not in ("done", "gone") and not (first and taken_back)


async def _nothing_to_delete(
    conn: Connection,
    link_id: int,
    entries: Sequence[Mapping[str, Any]],
    known: Mapping[str, tuple[str, str]],
) -> Outcome | None:
    """A deletion of what never arrived is done without a word."""
    for entry in entries:
        state = known.get(number_of(entry), ("owed", ""))[0]
        if state == "gone":
            continue
        if state == "done":
            return None
        first = await conn.fetchrow(store.DELIVERY, link_id, str(entry.get("of", "")))
        if first is None or (first["state"] not in ("given_up", "failed") and first["attempts"]):
            return None
    await conn.execute(store.STATE, link_id, [number_of(e) for e in entries], "gone", "")
    return Outcome("processed", answer="原记录未曾上报成功，无需删除。")


def _stopped(findings: Sequence[Finding]) -> Outcome:
    """Nothing was sent: what a person must do first."""
    said = list(dict.fromkeys(f"{f.text('zh')}{f.next_step('zh')}" for f in findings))
    details = {
        "findings": [{"code": f.code, "where": f.where, "message": f.text("zh")} for f in findings[:100]]
    }
    return Outcome("failed", answer="未上报：" + " ".join(said[:20]), final=True, details=details)


async def _remember(
    conn: Connection,
    link_id: int,
    infno: str,
    states: Mapping[str, tuple[str, str]],
    doubted: Mapping[str, str],
) -> None:
    if infno == "3507":
        gone = [b for b, (state, _) in states.items() if state == "done"]
        await conn.execute(store.STATE, link_id, gone, "gone", "")
        return
    numbers = list(states)
    await conn.execute(
        store.ANSWERED, link_id, numbers, [states[b][0] for b in numbers], [states[b][1][:2000] for b in numbers],
        [doubted.get(b, "") for b in numbers],
    )  # fmt: skip
