"""`yaosu bill count …`: stock counts from a list of scans."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from yaosu.circulation import counts, views_count
from yaosu.circulation.cache import BatchCache
from yaosu.circulation.commands_common import DataOption, OrgOption, run, subject_of
from yaosu.circulation.committer import Committer
from yaosu.db.engine import Pool
from yaosu.edge.terminal import lines_of, print_json, read_file
from yaosu.registry.resolver import Registry


def count(
    file: Annotated[str, typer.Argument(help="One scan a line 每行一个追溯码; - for standard input.")],
    org: OrgOption,
    number: Annotated[str, typer.Option("--no", help="Count number 盘点单号.")],
    drug: Annotated[int | None, typer.Option("--drug", min=1, help="Only this product 仅此产品.")] = None,
    batch: Annotated[str, typer.Option("--batch", help="Only this batch 仅此批号.")] = "",
    confirm: Annotated[
        str, typer.Option("--confirm", help="Book the difference, with this reason 登记差异并写明原因.")
    ] = "",
    data: DataOption = None,
) -> None:
    """Compare scans of a shelf with the books 盘点; books the difference only with --confirm.

    Run it without --confirm first: it prints what is missing, what turned up again, and what is not in stock and why.
    """
    content = read_file(file)

    async def work(pool: Pool, registry: Registry, committer: Committer) -> dict[str, Any]:
        codes = lines_of(content)
        subject, batches = subject_of(registry, org), BatchCache()
        async with pool.acquire() as conn, conn.transaction():
            made = await counts.begin(
                conn, registry, subject, count_no=number, codes=codes, drug_id=drug, batch_no=batch
            )
            row = await counts.seen(conn, subject, made)
            view = views_count.head(registry, row, batch)
            scope = (row["codes"], row["drug_id"], row["batch_id"], org)
            found = await counts.compare(conn, registry, batches, subject, *scope)
            view["comparison"] = await views_count.comparison(conn, registry, found, "zh")
        if confirm:
            digest = found.digest()
            await counts.confirm(pool, committer, registry, batches, subject, made, digest, confirm)
            async with pool.acquire() as conn:
                row = await counts.seen(conn, subject, made)
            view = {**view, **views_count.head(registry, row, batch)}
        return view

    print_json(run(data, work))
