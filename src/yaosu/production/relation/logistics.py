"""Logistics units that a file tells around its sales packages: pallets and cartons with an SSCC.

They are no packages of a product: they are not activated but packed, after what is in them. So their lines are taken
out of the file, and what stands in them is outermost for every other check.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from yaosu.codes import Scheme
from yaosu.production.relation.keys import BAD_PARENT, NO_PARENT, TEXT_BIT
from yaosu.production.relation.model import Logistics, RelationFile

DEPTH_MAX = 4
"""Logistics units inside one another. With the nine levels of sales packages below them this is as deep as a trace is
followed (`trace.model.DEPTH_MAX`)."""


def separate(file: RelationFile) -> None:
    """Move the file's logistics units from its columns to `file.logistics`, the innermost first.

    Problems: a unit inside a sales package (`relation_logistics_parent`), in two others (`relation_two_parents`), in
    itself (`relation_cycle`), with nothing in it (`pack_logistics_empty`), too many layers (`pack_too_deep`). The same
    unit may stand in several batches, as a mixed pallet does.
    """
    space = file.space
    if Scheme.SSCC not in space.schemes:
        return
    number = space.schemes.index(Scheme.SSCC)
    keys = np.array([TEXT_BIT | n for n, p in enumerate(space.text_prefix) if p == number], dtype=np.uint64)
    own, within = np.isin(file.key, keys), np.isin(file.parent, keys)
    listed: dict[int, int] = {}
    up: dict[int, int] = {}
    for i in np.flatnonzero(own).tolist():
        key, parent = int(file.key[i]), int(file.parent[i])
        listed.setdefault(key, i)
        if parent in (NO_PARENT, BAD_PARENT):
            continue
        code = space.text(key)
        if not within[i]:
            told = {"code": code, "parent": space.text(parent)}
            file.problems.add("relation_logistics_parent", file.where(i), **told)
        elif up.setdefault(key, parent) != parent:
            other = {"other": file.where(listed[key]), "other_parent": space.text(up[key])}
            told = {"code": code, "parent": space.text(parent), **other}
            file.problems.add("relation_two_parents", file.where(i), **told)
    inside: dict[int, list[str]] = {}
    for i in np.flatnonzero(within & ~own).tolist():
        inside.setdefault(int(file.parent[i]), []).append(file.text(i))
    for key, parent in up.items():
        inside.setdefault(parent, []).append(space.text(key))
    for key, i in listed.items():
        if key not in inside:
            file.problems.add("pack_logistics_empty", file.where(i), code=space.text(key))
    first = {int(file.parent[i]): i for i in np.flatnonzero(within)[::-1].tolist()}
    depth = _depths(file, up, first | listed)
    file.logistics = [
        Logistics(space.text(key), inside[key], file.where(listed.get(key, first[key])))
        for key in sorted(inside, key=lambda k: depth.get(k, 0))
    ]
    file.notes.add("relation_note_logistics", "", count=len(file.logistics))
    _leave_out(file, own, within)


def _depths(file: RelationFile, up: dict[int, int], at: dict[int, int]) -> dict[int, int]:
    """Layers of logistics units in each, itself counted; circles and too many layers are problems."""
    depth: dict[int, int] = {}
    for start in list(at):
        path = [start]
        while path[-1] in up and up[path[-1]] not in path:
            path.append(up[path[-1]])
        if path[-1] in up:
            if up[path[-1]] == start:
                told = {"code": file.space.text(start), "parent": file.space.text(up[start])}
                file.problems.add("relation_cycle", file.where(at[start]), **told)
            continue
        for layers, key in enumerate(path, 1):
            depth[key] = max(depth.get(key, 0), layers)
        if len(path) > DEPTH_MAX:
            told_deep = {"code": file.space.text(start), "container": file.space.text(path[-1])}
            file.problems.add("pack_too_deep", file.where(at[start]), limit=DEPTH_MAX, **told_deep)
    return depth


def _leave_out(file: RelationFile, own: npt.NDArray[np.bool_], within: npt.NDArray[np.bool_]) -> None:
    file.parent[within] = np.uint64(NO_PARENT)
    keep = ~own
    before = np.concatenate(([0], np.cumsum(keep)))
    for part in file.parts:
        part.start, part.end = int(before[part.start]), int(before[part.end])
    file.key, file.parent, file.layer = file.key[keep], file.parent[keep], file.layer[keep]
    file.flag, file.line = file.flag[keep], file.line[keep]
