"""A folder for ERPs that can only drop files: picks up complete files, sends them, puts the result beside them.

A file is complete when size and time of change have stood still for a while; one that looks cut off is given more
patience. The result is written before the file is moved to `done/` or `failed/`, each step by one rename, so being
killed in between leaves a file that is sent again and answered as before: the server knows it by its digest, its
bills by their numbers.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from yaosu.errors import Finding, YaosuError
from yaosu.exchange.files.model import FILE_MB_MAX
from yaosu.exchange.files.names import type_of

DONE, FAILED = "done", "failed"
LOCK_NAME = ".yaosu-watch.lock"
SETTLE_S = 2.0
PATIENCE_S = 60.0
UNENDED_S = 10.0
"""How long a table or list must stand still whose last line has no end: more of it may be coming."""
_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock", ".writing", "~")
_RESULTS = (".result.csv", ".result.txt")
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file. `again`: nothing yet, try later. `incomplete`: it looks cut off."""

    ok: bool
    said: str
    table: bytes = b""
    again: bool = False
    incomplete: bool = False


class Door(Protocol):
    """Where files go: a server over HTTP, or the database beside us."""

    async def process(self, data: bytes, name: str, type_: int | None) -> Outcome:
        """Send one file and wait for its end. Raises YaosuError when no file can be sent at all (rights)."""
        ...


@dataclass(slots=True)
class _Seen:
    mark: tuple[int, int, int]
    since: float


def shown(name: str) -> str:
    """A file's name as people wrote it: names that are not UTF-8 come from systems that write GB18030."""
    raw = os.fsencode(name)
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return raw.decode(encoding)
    return raw.decode("utf-8", "replace")


def locked(folder: Path) -> int:
    """Hold the folder for this process; the handle. Refused: `file_folder_path`, `file_folder_taken`."""
    if not folder.is_dir():
        raise YaosuError("file_folder_path", {"path": folder.name})
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
    except OSError:
        raise YaosuError("file_folder_path", {"path": folder.name}) from None
    try:
        _hold(handle)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            # network drives may know no locks; two watchers there do no harm, files are known by their digest
            return handle
        os.close(handle)
        raise YaosuError("file_folder_taken") from None
    return handle


def _hold(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Watcher:
    """One folder. `look` goes through it once; call it again and again."""

    def __init__(
        self,
        folder: Path,
        door: Door,
        *,
        settle_s: float = SETTLE_S,
        patience_s: float = PATIENCE_S,
        tell: Callable[[str, Outcome], None] = lambda name, outcome: None,
    ) -> None:
        self.folder, self._door = folder, door
        self._settle_s, self._patience_s, self._tell = settle_s, patience_s, tell
        self._seen: dict[str, _Seen] = {}

    def _files(self) -> Iterator[tuple[str, int | None]]:
        """Paths of files that may be picked up, and the bill type their subfolder names; oldest first."""
        places: list[tuple[str, int | None]] = [(str(self.folder), None)]
        with os.scandir(self.folder) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False) and entry.name not in (DONE, FAILED):
                    code = type_of(shown(entry.name))
                    if code:
                        places.append((entry.path, code))
        files: list[tuple[int, str, int | None]] = []
        for place, kind in places:
            with os.scandir(place) as found:
                for entry in found:
                    name = entry.name.lower()
                    if name.startswith((".", "~$")) or name.endswith((*_UNFINISHED, *_RESULTS)):
                        continue
                    with suppress(FileNotFoundError):
                        if entry.is_file(follow_symlinks=False):
                            files.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.path, kind))
        for _, path, named in sorted(files, key=lambda f: f[:2]):
            yield path, named

    def waiting(self) -> bool:
        """Whether files are there that have not been finished."""
        return next(self._files(), None) is not None

    async def look(self) -> int:
        """Handle every file that is complete; how many were finished."""
        finished = 0
        present = list(self._files())
        for gone in self._seen.keys() - {p for p, _ in present}:
            del self._seen[gone]
        for path, named in present:
            mark = _mark(path)
            if mark is None:
                continue
            known, now = self._seen.get(path), time.monotonic()
            if known is None or known.mark != mark:
                self._seen[path] = known = _Seen(mark, now)
            if now - known.since < self._settle_s:
                continue
            finished += await self._handle(path, named, mark, now - known.since)
        return finished

    async def _handle(self, path: str, kind: int | None, mark: tuple[int, int, int], still_s: float) -> int:
        try:
            data = await asyncio.to_thread(_read, path)
        except OSError:
            # somebody still holds it, or took it away
            return 0
        if _mark(path) != mark or len(data) < min(mark[0], FILE_MB_MAX << 20):
            return 0
        if still_s < min(self._patience_s, UNENDED_S) and _unended(data):
            return 0
        name = shown(os.path.basename(path))  # noqa: PTH119 - names need not be UTF-8
        outcome = await self._door.process(data, name, kind)
        if outcome.again or (outcome.incomplete and still_s < self._patience_s):
            if outcome.again:
                self._tell(name, outcome)
            return 0
        if _mark(path) != mark:
            # it was still being written after all; what was sent is known by its number and is sent again
            return 0
        try:
            self._move(path, outcome)
        except OSError as error:
            # held open by the program that wrote it, a full disk, a network drive that went away: later again
            reason = Finding("file_folder_move", {"reason": error.strerror or type(error).__name__})
            self._tell(name, Outcome(False, reason.text("zh"), again=True))
            return 0
        self._seen.pop(path, None)
        self._tell(name, outcome)
        return 1

    def _move(self, path: str, outcome: Outcome) -> None:
        place = os.path.join(os.path.dirname(path), DONE if outcome.ok else FAILED)  # noqa: PTH118, PTH120
        os.makedirs(place, exist_ok=True)  # noqa: PTH103 - names need not be UTF-8
        target = _free(place, os.path.basename(path))  # noqa: PTH119
        for ending, body in (
            (".result.csv", outcome.table),
            (".result.txt", outcome.said.encode("utf-8-sig")),
        ):
            if body:
                _put(target + ending, body)
        os.replace(path, target)  # noqa: PTH105
        _sync(place)


def _unended(data: bytes) -> bool:
    """Whether lines of text stop amid a line. XML and archives say themselves when they are cut off."""
    if (
        data.startswith((b"PK", b"\x1f\x8b", b"\xd0\xcf\x11\xe0"))
        or data.lstrip(b"\xef\xbb\xbf \r\n")[:1] == b"<"
    ):
        return False
    return not data.rstrip(b"\0").endswith((b"\n", b"\r"))


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read((FILE_MB_MAX << 20) + 1)


def _mark(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _free(place: str, name: str) -> str:
    """A name nobody has in the folder: `a.xml`, `a~2.xml` …"""
    stem, dot, ending = name.rpartition(".")
    for n in range(1, 100_000):
        one = name if n == 1 else (f"{stem}~{n}.{ending}" if dot and stem else f"{name}~{n}")
        full = os.path.join(place, one)  # noqa: PTH118
        if not os.path.lexists(full):
            return full
    raise OSError(f"no free name for {shown(name)}")


def _put(path: str, body: bytes) -> None:
    place, name = os.path.split(path)
    temporary = os.path.join(place, f".{name}.writing")  # noqa: PTH118
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o660)
    try:
        with os.fdopen(handle, "wb", closefd=False) as out:
            out.write(body)
        os.fsync(handle)
    finally:
        os.close(handle)
    os.replace(temporary, path)  # noqa: PTH105


def _sync(place: str) -> None:
    # some systems and network drives cannot do this for folders; the files in it are safe by then
    with suppress(OSError):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
