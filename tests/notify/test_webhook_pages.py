"""The pages of webhooks. A server of its own works on this module's database: its sender takes whatever is due."""

from __future__ import annotations

import re

import httpx

from access.helpers import make_org, subject_of
from notify.test_messages import signed_in
from notify.test_webhooks import ALLOWED, KIND, MASTER, told
from yaosu.db.engine import Pool
from yaosu.notify import webhooks


async def test_the_pages_subscribe_show_the_secret_once_and_show_deliveries(
    client: httpx.AsyncClient, pool: Pool
) -> None:
    async with pool.acquire() as conn:
        org = await make_org(conn)
    csrf = await signed_in(client, pool, org)
    refused = await client.post("/webhooks", data={"_csrf": csrf, "url": "https://127.0.0.1/in"})
    assert refused.status_code == 422 and "内网" in refused.text
    async with pool.acquire() as conn:
        subject = await subject_of(conn, org)
        hook, _ = await webhooks.add(conn, subject, MASTER, ALLOWED, "http://127.0.0.1:9/in", [KIND])
    await told(pool, org, "1")
    page = await client.get("/webhooks")
    assert "http://127.0.0.1:9/in" in page.text and "whs_" not in page.text
    path = f"/webhooks/{hook}"
    for action in ("test", "replay", "active"):
        answer = await client.post(f"{path}/{action}", data={"_csrf": csrf, "active": "true"})
        assert answer.status_code == 303, answer.text
    shown = (await client.get(path)).text
    assert "推送记录" in shown and "测试" in shown
    once = await client.post(f"{path}/secret", data={"_csrf": csrf})
    assert re.search(r"whs_[A-Za-z0-9_-]{43}", once.text)
    assert "whs_" not in (await client.get(path)).text
    assert (await client.post(f"{path}/remove", data={"_csrf": csrf})).status_code == 303
    assert (await client.get(path)).status_code == 404
    client.cookies.clear()
