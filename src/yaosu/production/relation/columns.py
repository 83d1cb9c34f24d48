"""The columns while they grow: single codes from slow readers, whole blocks from the fast lane."""

from __future__ import annotations

import unicodedata
from array import array
from typing import Any

import numpy as np

from yaosu.codes import NotACode
from yaosu.production.relation.findings import Findings
from yaosu.production.relation.keys import BAD_PARENT, NO_PARENT, KeySpace, TooManyError
from yaosu.production.relation.model import FLAG_NONE, LAYER_NONE, BatchPart, Limits

Block = tuple[Any, Any, Any, Any, Any]
_LEVELS = frozenset("123456789")
_FLAGS = frozenset(["", "0", "2"])


def _narrow(text: str) -> str:
    """A small number as spreadsheets and Chinese keyboards write it: `3.0`, `３`."""
    return unicodedata.normalize("NFKC", text).strip().removesuffix(".0")


class RefusedError(ValueError):
    """The file cannot be read any further: a message code with parameters and a line."""

    def __init__(self, code: str, line: int = 0, /, **params: object) -> None:
        super().__init__(code)
        self.code, self.line, self.params = code, line, params


class Columns:
    """Collects codes in file order. Raises RefusedError (`relation_too_many`) past the limits."""

    def __init__(self, space: KeySpace, limits: Limits, place: str) -> None:
        self.space, self.limits, self.place = space, limits, place
        self.problems, self.notes = Findings(), Findings()
        self.parts: list[BatchPart] = []
        self.count = 0
        self._blocks: list[Block] = []
        self._fresh()

    def _fresh(self) -> None:
        self._key, self._parent = array("Q"), array("Q")
        self._layer, self._flag, self._line = array("B"), array("B"), array("L")

    def _flush(self) -> None:
        if self._key:
            self._blocks.append(
                (
                    np.array(self._key, dtype=np.uint64),
                    np.array(self._parent, dtype=np.uint64),
                    np.array(self._layer, dtype=np.uint8),
                    np.array(self._flag, dtype=np.uint8),
                    np.array(self._line, dtype=np.uint32),
                )
            )
            self._fresh()

    def open_part(self, part: BatchPart) -> None:
        """Codes from here on belong to `part`."""
        if len(self.parts) >= self.limits.parts:
            raise RefusedError("relation_too_many", part.line, what="Batch", limit=self.limits.parts)
        part.start = part.end = self.count
        self.parts.append(part)

    def close_part(self) -> None:
        """The part ends here."""
        self.parts[-1].end = self.count

    def where(self, line: int) -> str:
        """The place of a line, for a finding."""
        return f"{self.place} {line}"

    def add(self, code: str, layer: str, parent: str, flag: str, line: int) -> None:
        """One code as texts. Unreadable values are findings; an unreadable code is left out."""
        try:
            self._add(code, layer, parent, flag, line)
        except TooManyError as error:
            raise RefusedError("relation_too_many", line, what=error.what, limit=error.limit) from None

    def _add(self, code: str, layer: str, parent: str, flag: str, line: int) -> None:
        where = self.where(line)
        found = self.space.key(code)
        if isinstance(found, NotACode):
            self.problems.add(found.code, where, **{**found.params, "raw": found.raw[:100]})
            return
        key, parsed = found
        if parsed is not None:
            self._compare(parsed, where)
        up = NO_PARENT
        if parent:
            inside = self.space.parent_key(parent)
            if isinstance(inside, NotACode):
                self.problems.add("relation_parent_unreadable", where, code=code[:100], parent=parent[:100])
                up = BAD_PARENT
            else:
                up = inside
        if not (layer in _LEVELS and flag in _FLAGS):
            layer, flag = _narrow(layer), _narrow(flag)
        if layer in _LEVELS:
            level = ord(layer) - 48
        else:
            self.problems.add("relation_layer_unreadable", where, code=code[:100], layer=layer[:20])
            level = LAYER_NONE
        if flag in {"0", "2"}:
            mark = ord(flag) - 48
        else:
            mark = FLAG_NONE
            if flag:
                self.problems.add("relation_flag_unreadable", where, code=code[:100], flag=flag[:20])
        self._key.append(key)
        self._parent.append(up)
        self._layer.append(level)
        self._flag.append(mark)
        self._line.append(line)
        self.count += 1
        if self.count > self.limits.codes:
            raise RefusedError("relation_too_many", line, what="Code", limit=self.limits.codes)
        if len(self._key) >= 1 << 17:
            self._flush()

    def _compare(self, parsed: Any, where: str) -> None:
        """A GS1 code may state batch and dates itself; they must be those of the batch it is listed under."""
        part = self.parts[-1]
        pairs = (
            ("batch", parsed.batch, part.batch_no or None),
            ("expiry", parsed.expiry, part.expires_on),
            ("produced", parsed.produced, part.made_on),
        )
        for what, stated, listed in pairs:
            if stated is not None and listed is not None and stated != listed:
                self.problems.add(
                    "relation_code_states_other",
                    where,
                    code=parsed.text,
                    what=what,
                    stated=stated,
                    listed=listed,
                )
        for note in parsed.notes:
            self.notes.add(note, where, code=parsed.text)

    def add_block(self, block: Block) -> None:
        """Many codes already in columns."""
        self._flush()
        self._blocks.append(block)
        self.count += len(block[0])
        if self.count > self.limits.codes:
            raise RefusedError("relation_too_many", int(block[4][-1]), what="Code", limit=self.limits.codes)

    def finish(self) -> Block:
        """The five columns, whole."""
        self._flush()
        kinds = (np.uint64, np.uint64, np.uint8, np.uint8, np.uint32)
        out = []
        for i, kind in enumerate(kinds):
            # one column at a time, so that never more than one stands twice in memory
            out.append(
                np.concatenate([b[i] for b in self._blocks]) if self._blocks else np.zeros(0, dtype=kind)
            )
            self._blocks = [(*b[:i], None, *b[i + 1 :]) for b in self._blocks]
        self._blocks = []
        return tuple(out)  # type: ignore[return-value]
