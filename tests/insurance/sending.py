"""An institution's software as the bureau meets it: builds, signs, sends, opens and verifies the answer."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import httpx
import orjson

from yaosu.insurance import envelope
from yaosu.insurance.envelope import Head, Keys
from yaosu.insurance.institutions import Issued
from yaosu.insurance.model import CHINA

PATH = "/fsi/api/rsfComIfsService/callService/{infno}"
_numbers = itertools.count(1)


@dataclass
class Sender:
    """One institution with its keys. `signtype`, `enc_type` and `gateway` as its profile says."""

    issued: Issued
    client: httpx.AsyncClient
    signtype: str = "SM2"
    enc_type: str = ""
    gateway: str = ""

    @property
    def keys(self) -> Keys:
        """The institution's side of the keys."""
        one = self.issued
        private = bytes.fromhex(one.private_key) if one.private_key else b""
        return Keys(one.institution.app, one.secret, private, bytes.fromhex(one.bureau_key))

    def message(
        self, infno: str, body: Mapping[str, Any], number: str = "", at: datetime | None = None, **head: Any
    ) -> dict[str, Any]:
        """A sealed request."""
        one = self.issued.institution
        at = at or datetime.now(CHINA)
        made = envelope.request(
            Head(one.code, one.name, one.region, opter="1001", opter_name="经办"),
            infno,
            number or envelope.msgid(one.code, at, next(_numbers)),
            at,
            body,
        )
        return envelope.seal({**made, **head}, self.keys, self.signtype, self.enc_type)

    def headers(self) -> dict[str, str]:
        """What a gateway adds."""
        found = {"content-type": "application/json", "x-tif-paasid": self.issued.institution.app}
        if self.gateway == "csb":
            at, nonce = str(int(time.time())), uuid.uuid4().hex
            signature = sha256(f"{at}{self.issued.secret}{nonce}{at}".encode()).hexdigest()
            found |= {"x-tif-timestamp": at, "x-tif-nonce": nonce, "x-tif-signature": signature}
        return found

    async def post(
        self, message: Mapping[str, Any] | bytes, infno: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a sealed message; the answer, open and verified when it is signed."""
        raw = message if isinstance(message, bytes) else orjson.dumps(message)
        answer = await self.client.post(
            PATH.format(infno=infno), content=raw, headers=dict(headers or self.headers())
        )
        assert answer.status_code == 200, answer.text
        found = orjson.loads(answer.content)
        if found.get("cainfo") or isinstance(found.get("output"), str):
            found = envelope.unseal(found, self.keys, self.signtype, self.enc_type, "output")
        return dict(found)

    async def send(
        self, infno: str, body: Mapping[str, Any], number: str = "", **head: Any
    ) -> dict[str, Any]:
        """Build and send."""
        return await self.post(self.message(infno, body, number, **head), infno)


def sale(key: str, codes: Sequence[str], **more: Any) -> dict[str, Any]:
    """A row of 3505."""
    return {
        "med_list_codg": "XA02BCT040A001010100001",
        "fixmedins_hilist_id": "Y1",
        "fixmedins_hilist_name": "复方测试胶囊",
        "fixmedins_bchno": key,
        "prsc_dr_name": "张医师",
        "phar_name": "李药师",
        "phar_prac_cert_no": "YS001",
        "hi_feesetl_type": "1",
        "setl_id": f"S{key}",
        "mdtrt_sn": f"M{key}",
        "psn_cert_type": "01",
        "psn_no": "3700001",
        "certno": "370102199001011234",
        "psn_name": "王某某",
        "manu_lotnum": "B1",
        "manu_date": "2026-01-01",
        "expy_end": "2059-12-31",
        "rx_flag": "1",
        "trdn_flag": "0",
        "rx_circ_flag": "0",
        "rtal_docno": f"R{key}",
        "sel_retn_cnt": len(codes) or 1,
        "sel_retn_time": f"{datetime.now(CHINA):%Y-%m-%d %H:%M:%S}",
        "sel_retn_opter_name": "赵",
        "mdtrt_setl_type": "1",
        "drugtracinfo": [{"drug_trac_codg": code} for code in codes],
        **more,
    }


def back(key: str, codes: Sequence[str], **more: Any) -> dict[str, Any]:
    """A row of 3506."""
    made = sale(key, codes, **more)
    for name in (
        "prsc_dr_name",
        "phar_name",
        "phar_prac_cert_no",
        "hi_feesetl_type",
        "rx_circ_flag",
        "rtal_docno",
    ):
        made.pop(name)
    return {**made, **more}


def bought(key: str, codes: Sequence[str], **more: Any) -> dict[str, Any]:
    """A row of 3503."""
    return {
        "med_list_codg": "XA02BCT040A001010100001",
        "fixmedins_hilist_id": "Y1",
        "fixmedins_hilist_name": "复方测试胶囊",
        "fixmedins_bchno": key,
        "spler_name": "测试医药有限公司",
        "manu_lotnum": "B1",
        "prodentp_name": "测试制药",
        "aprvno": "国药准字Z45021428",
        "manu_date": "2026-01-01",
        "expy_end": "2059-12-31",
        "purc_retn_cnt": len(codes) or 1,
        "purc_invo_no": "FP20260101",
        "rx_flag": "1",
        "purc_retn_stoin_time": "2026-02-01 10:00:00",
        "purc_retn_opter_name": "钱",
        "drugtracinfo": [{"drug_trac_codg": code} for code in codes],
        **more,
    }
