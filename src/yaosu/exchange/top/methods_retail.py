"""Pharmacies (`lsyd`) and medical institutions (`yljg`): what they upload, and what they ask (R-B6, R-C1, R-X10).

The two families differ by their prefix, and in places by a field; one handler serves both.
"""

from __future__ import annotations

from yaosu.exchange.top import uploads
from yaosu.exchange.top.protocol import Call, Reply, method

P = "alibaba.alihealth."
LSYD, YLJG = P + "drugtrace.top.lsyd.", P + "drugtrace.top.yljg."


@method(LSYD + "uploadinoutbill", aliases=(YLJG + "uploadinoutbill",), scope="bill.write")
async def upload(call: Call) -> Reply:
    """A receipt, return, transfer or destruction."""
    return await uploads.in_out(call)


@method(LSYD + "uploadretail", aliases=(YLJG + "uploadretail",), scope="bill.write")
async def upload_retail(call: Call) -> Reply:
    """A sale (321), use (323), vaccination (322) or consumer return (116)."""
    return await uploads.retail(call)
