"""Keeping a file byte for byte (D8): cut into pieces, each a zlib stream, packed while the units are written.

Packing goes through a temporary file, so memory is bounded by one piece whatever the size of the file.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from yaosu.db.engine import Connection
from yaosu.production import store_activation as store

PIECE = 8 << 20
"""Bytes per piece before packing."""


@dataclass(slots=True)
class Packed:
    """Pieces in a temporary file: (length, whether packed) of each, in order."""

    file: BinaryIO
    pieces: list[tuple[int, bool]]

    def close(self) -> None:
        """Give the temporary file back."""
        self.file.close()


def pack(path: Path) -> Packed:
    """Cut and pack a file. Blocking: run it in a thread."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 - outlives this function; closed by `Packed.close`
    pieces = []
    with path.open("rb") as source:
        while raw := source.read(PIECE):
            small = zlib.compress(raw, 1)
            packed = len(small) < len(raw)
            body = small if packed else raw
            out.write(body)
            pieces.append((len(body), packed))
    out.seek(0)
    return Packed(out, pieces)


def manifest(name: str, sha256: bytes, size: int) -> bytes:
    """The submission's own body: says that its bytes are in `relation_chunk`. Packed like every submission."""
    text = json.dumps({"relation_file": name[:200], "sha256": sha256.hex(), "size": size}, ensure_ascii=False)
    return pack_body(text.encode())


async def keep(conn: Connection, submission: int, packed: Packed) -> None:
    """Write the pieces."""
    for n, (length, is_packed) in enumerate(packed.pieces):
        await conn.execute(store.INSERT_CHUNK, submission, n, is_packed, packed.file.read(length))


async def kept(conn: Connection, submission: int) -> AsyncIterator[bytes]:
    """The file as received, piece by piece."""
    n = 0
    while (row := await conn.fetchrow(store.CHUNKS, submission, n)) is not None:
        yield zlib.decompress(row["body"]) if row["packed"] else row["body"]
        n += 1


def pack_body(body: bytes) -> bytes:
    """A small submission in the form all submissions are kept in: one length-prefixed part."""
    return zlib.compress(len(body).to_bytes(4, "big") + body, 1)
