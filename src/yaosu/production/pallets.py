"""Packing of the logistics units that a relation file tells, after its packages are activated (R-A5).

A production line that builds pallets tells them in the same file. Each is a packing bill of its own, as if it had been
packed by hand, in the transaction of the activation: the file is done as a whole or not at all.
"""

from __future__ import annotations

from dataclasses import replace

from yaosu.db.engine import Connection
from yaosu.errors import YaosuError
from yaosu.production import packing
from yaosu.production.relation import Findings, RelationFile
from yaosu.production.world import CODES_MAX
from yaosu.registry.resolver import Registry
from yaosu.subject import Subject


async def pack_told(conn: Connection, subject: Subject, registry: Registry, file: RelationFile) -> Findings:
    """Pack the file's logistics units, the innermost first; what was refused, with the unit's place in the file.

    Whoever may activate the file may do all that it says.
    """
    packer = replace(subject, scopes=subject.scopes | {"bill.write"})
    wrong = Findings()
    for unit in file.logistics:
        for n in range(0, len(unit.codes), CODES_MAX):
            try:
                await packing.pack(conn, packer, registry, unit.label, unit.codes[n : n + CODES_MAX])
            except YaosuError as error:
                for one in error.findings:
                    wrong.add(one.code, unit.where, **one.params)
                if not error.findings:
                    raise
                return wrong
    return wrong
