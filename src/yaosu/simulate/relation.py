"""Relation files (关联关系) as production lines write them: XML 3.0 for 20-digit codes, CSV for GS1."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from yaosu.simulate.goods import Batch, Package

WORKSHOP, LINE, MANAGER = "一号车间", "一号生产线", "生产线操作员"


def relation_file(batch: Batch, packages: Sequence[Package]) -> tuple[str, bytes]:
    """File name and bytes of everything in `packages`, outermost first."""
    if batch.product.scheme == "gs1":
        return f"Relation_{batch.number}.csv", _csv(batch, packages)
    return f"Relation_{batch.number}.xml", _xml(batch, packages)


def _ratio(batch: Batch) -> str:
    held = batch.product.units_per
    return ":".join(str(held[-1] // n) for n in reversed(held))


def _xml(batch: Batch, packages: Sequence[Package]) -> bytes:
    product = batch.product
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?><Document License="DEMO"><Events><Event Name="RelationCreate">',
        f"<Relation productCode={quoteattr(product.levels[0].identifier)} cascade={quoteattr(_ratio(batch))} "
        f'packageSpec={quoteattr(product.fields["package_size"])} comment="">',
        f'<Batch batchNo={quoteattr(batch.number)} madeDate="{batch.made}" validateDate="{batch.expires}" '
        f'workshop="{WORKSHOP}" lineName="{LINE}" lineManager="{MANAGER}">',
    ]
    for outer in packages:
        for one in outer.walk():
            parent = f' parentCode="{one.parent.code}"' if one.parent is not None else ""
            lines.append(f'<Code curCode="{one.code}" packLayer="{one.level}"{parent} flag="0"/>')
    lines.append("</Batch></Relation></Event></Events></Document>")
    return ("\n".join(lines) + "\n").encode()


def _csv(batch: Batch, packages: Sequence[Package]) -> bytes:
    lines = ["code,level,parent,batch_no,made_on,expires_on,ratio"]
    tail = f"{batch.number},{batch.made},{batch.expires},{_ratio(batch)}"
    for outer in packages:
        for one in outer.walk():
            parent = one.parent.code if one.parent is not None else ""
            lines.append(f"{one.code},{one.level},{parent},{tail}")
    return ("\n".join(lines) + "\n").encode()
