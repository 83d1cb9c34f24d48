"""Cases that nobody explained in time, told once to both sides; used values of signatures are forgotten."""

from __future__ import annotations

from yaosu.db.engine import Connection
from yaosu.insurance import store_case
from yaosu.insurance.cases import case_no
from yaosu.notify.service import tell
from yaosu.settings import Settings


async def tick(conn: Connection, settings: Settings) -> None:
    """What is due now; a look at two indexes when nothing is."""
    for row in await conn.fetch(store_case.OVERDUE):
        params = {"number": case_no(row["opened_at"], row["id"]), "institution": row["name"]}
        for org in {row["org"], row["bureau"]} - {None}:
            ref = f"insurance {row['id']} overdue"
            await tell(conn, org, "notice_insurance_overdue", params, f"/insurance/cases/{row['id']}", ref)
    await conn.execute(store_case.FORGET)
