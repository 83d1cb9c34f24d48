"""Folders on drives that fail: locked files, drives without locks, folders that go away (R-I1)."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from yaosu.errors import YaosuError
from yaosu.exchange.files.watch import DONE, Outcome, Watcher, locked


class Books:
    """A door that remembers what it was given."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def process(self, data: bytes, name: str, type_: int | None) -> Outcome:
        self.seen.append(f"{name} {type_} {data.decode()}")
        return Outcome(True, "done", b"line,result\n1,accepted\n")


def watched(folder: Path, door: Books, told: list[Outcome]) -> Watcher:
    return Watcher(folder, door, settle_s=0, patience_s=0, tell=lambda _, outcome: told.append(outcome))


async def test_a_file_that_its_writer_holds_open_is_moved_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door, told, real, held = Books(), list[Outcome](), os.replace, [True]

    def replace(source: str, target: str) -> None:
        if held[0] and source.endswith("a.csv"):
            raise PermissionError(errno.EACCES, "in use")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "a.csv").write_text("x\n")
    watcher = watched(tmp_path, door, told)
    assert await watcher.look() == 0 and told[-1].again and "in use" in told[-1].said
    held[0] = False
    assert await watcher.look() == 1 and told[-1].ok
    # sent twice: the server knows it by its digest
    assert door.seen == ["a.csv None x\n"] * 2
    assert sorted(p.name for p in (tmp_path / DONE).iterdir()) == [
        "a.csv",
        "a.csv.result.csv",
        "a.csv.result.txt",
    ]


async def test_writing_under_a_name_of_its_own_and_renaming_is_seen_as_one_file(tmp_path: Path) -> None:
    door, told = Books(), list[Outcome]()
    watcher = watched(tmp_path, door, told)
    for name in ("b.csv.tmp", "~$b.xlsx", ".b.csv", "b.csv.part"):
        (tmp_path / name).write_text("half")
    assert await watcher.look() == 0 and door.seen == []
    (tmp_path / "销售出库").mkdir()
    (tmp_path / "b.csv.tmp").rename(tmp_path / "销售出库" / "b.csv")
    (tmp_path / "销售出库" / "b.csv").write_text("whole\n")
    assert await watcher.look() == 1 and door.seen == ["b.csv 201 whole\n"]


async def test_a_drive_that_went_away_is_an_error_of_the_look_and_not_of_the_file(tmp_path: Path) -> None:
    place = tmp_path / "mount"
    place.mkdir()
    (place / "c.csv").write_text("x\n")
    door, told = Books(), list[Outcome]()
    watcher = watched(place, door, told)
    place.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        await watcher.look()
    (tmp_path / "away").rename(place)
    assert await watcher.look() == 1 and told[-1].ok


@pytest.mark.parametrize(("number", "taken"), [(errno.ENOLCK, False), (errno.EWOULDBLOCK, True)])
def test_a_drive_without_locks_is_watched_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, taken: bool
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", flock)
    if taken:
        with pytest.raises(YaosuError, match="folder"):
            locked(tmp_path)
    else:
        os.close(locked(tmp_path))
