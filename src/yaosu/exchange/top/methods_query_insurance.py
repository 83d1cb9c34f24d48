"""医保: codes looked up for settlement, and their state carried over when it was settled (核销 1012100, 退库 1012900).

One scan serves both sides (R-C6): codes that the terminal has sold already are recognised and nothing is posted twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from yaosu.circulation import service
from yaosu.circulation.model import Movement
from yaosu.exchange.top import words
from yaosu.exchange.top.fields import CHINA
from yaosu.exchange.top.methods_query_codes import SCOPE, details, looked_up
from yaosu.exchange.top.protocol import Call, Failed, Reply, method
from yaosu.exchange.top.shaping import fit
from yaosu.exchange.top.values_goods import Seen
from yaosu.registry.model import OrgType

P = "alibaba.alihealth."
SETTLED, TAKEN_BACK = "1012100", "1012900"
USES = {OrgType.RETAIL: 321, OrgType.MEDICAL: 323}
RETURN = 116
INVOCATIONS = ("formal", "test", "")


def _invocation(call: Call) -> None:
    """formal and test are answered alike: a question changes nothing."""
    if call.text("invocation").lower() not in INVOCATIONS:
        raise call.invalid("invocation", "invocation 应为 formal 或 test")


@method(
    P + "drug.code.list.code.medical.insurance",
    aliases=(
        P + "drug.code.list.code.supervise",
        P + "drug.code.list.code.gov",
        P + "drug.code.list.code.alkali",
        P + "drug.code.kyt.yq.querycode",
    ),
    scope=SCOPE,
)
async def codes_of_terminal(call: Call) -> Reply:
    """Codes for a bureau or its terminal: what is open to whoever holds the box; more for the terminal's own key."""
    _invocation(call)
    return Reply(fit(call, await details(call, call.strings("code_list"))))


@method(P + "drug.code.common.list.codeinfo", scope=SCOPE)
async def codes_common(call: Call) -> Reply:
    """The same for any terminal, which names itself."""
    _invocation(call)
    await call.ref_org()
    return Reply(fit(call, await details(call, call.strings("code_list"))))


async def _carry_over(call: Call, terminal: int) -> Reply:
    kind = call.text("c_type")
    if kind not in (SETTLED, TAKEN_BACK):
        raise call.invalid("c_type", "c_type 应为 1012100 核销 或 1012900 退库")
    card = call.card(terminal)
    use = USES.get(card.type) if card is not None else None
    if use is None:
        raise Failed("FAIL_BIZ_PARAM_ERROR", "终端应为零售药店或医疗机构")
    codes = list(dict.fromkeys(call.strings("codes")))
    seen, _ = await looked_up(call, codes)
    bad = next((s for s in seen if s.problem[0]), None)
    if bad is not None:
        raise Failed(bad.problem[0], f"{bad.code}：{bad.problem[1]}")
    todo = [s.code for s in seen if not _done(s, terminal, kind)]
    if not todo:
        return Reply(True, msg_info="状态此前已同步，未重复更新")
    return await _post(call, terminal, use if kind == SETTLED else RETURN, todo)


def _done(seen: Seen, terminal: int, kind: str) -> bool:
    """Whether the state is already what the call wants: by the terminal's own bill at the till (R-C6)."""
    root = seen.found.root if seen.found is not None else None
    if root is None or root.holder != terminal:
        return False
    return root.status == "S" if kind == SETTLED else root.status in ("Q", "I")


async def _post(call: Call, terminal: int, bill_type: int, codes: Sequence[str]) -> Reply:
    now = datetime.now(UTC)
    digest = hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()[:10]
    movement = Movement(
        type=bill_type,
        bill_no=f"YB{now.astimezone(CHINA):%Y%m%d%H%M%S}-{digest}",
        owner=terminal,
        happened_at=now,
        codes=list(codes),
        mode="atomic",
        header={"source": call.method.rsplit("top.", 1)[-1], "bureau": call.text("bureau_name")[:100]},
        body=call.body,
    )
    done = await service.submit(call.pool, call.committer, call.registry, call.subject, movement)
    if done.status != "accepted":
        wrong = [r for r in done.results if not r.accepted]
        why = "；".join(f"{r.code or r.raw}：{words.text_of(r)}" for r in wrong[:10])
        raise Failed("FAIL_BIZ_CODE_STATUS_ERROR", why)
    return Reply(True)


@method(P + "drug.code.code.check.medical.insurance", scope="bill.write")
async def check_insurance(call: Call) -> Reply:
    """Carry over what was settled: by the terminal itself, or by whom it lets act for it."""
    return await _carry_over(call, await call.ref_org("terminal_ent_id"))


@method(P + "drug.code.code.check.hospital", scope="bill.write")
async def check_hospital(call: Call) -> Reply:
    """The same for a hospital."""
    await call.party("auth_ref_ent_id")
    return await _carry_over(call, await call.ref_org())
