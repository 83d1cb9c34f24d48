"""What the data folder remembers of the province: when it was made, how far it came, what is to be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from yaosu.simulate.steps import Example

FILE, JOURNAL = "demo.json", "demo.journal"
VERSION = 3


@dataclass(slots=True)
class DemoState:
    """`anchor` is the moment that the two months end at; kept, so that an interrupted start can be taken up again."""

    anchor: datetime
    ready: bool = False
    boxes: int = 0
    bills: int = 0
    seconds: float = 0.0
    examples: dict[str, Example] = field(default_factory=dict)
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    """Pages that the scenes lead to, by scene."""
    receiver_port: int = 0
    receiver_secret: str = ""
    partner_port: int = 0


def load(data: Path) -> DemoState | None:
    """What was written there, or None."""
    path = data / FILE
    if not path.exists():
        return None
    values = json.loads(path.read_text("utf-8"))
    if values.pop("version") != VERSION:
        return None
    values["anchor"] = datetime.fromisoformat(values["anchor"])
    values["examples"] = {k: Example(**v) for k, v in values["examples"].items()}
    return DemoState(**values)


def save(data: Path, state: DemoState) -> None:
    """Write it in one step: a crash leaves the old or the new."""
    values = {"version": VERSION, **asdict(state), "anchor": state.anchor.isoformat()}
    path = data / FILE
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(values, ensure_ascii=False, indent=1), "utf-8")
    draft.replace(path)


class Journal:
    """Answers of finished steps, a line each, so that a second attempt goes on where the first ended."""

    def __init__(self, data: Path) -> None:
        self._path = data / JOURNAL
        self.resumed = self._path.exists()
        self.answers: dict[int | str, Mapping[str, Any]] = {}
        if self._path.exists():
            for line in self._path.read_text("utf-8").splitlines():
                try:
                    n, answer = json.loads(line)
                except ValueError:
                    continue  # the last line of a process that was killed
                self.answers[n] = answer
        self._file = self._path.open("a", encoding="utf-8")

    def note(self, n: int | str, answer: Mapping[str, Any]) -> None:
        """The step is done."""
        self.answers[n] = answer
        self._file.write(json.dumps([n, answer], ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Done with it; when the province is finished it is not needed any more."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)
