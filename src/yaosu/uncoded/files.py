"""Proofs as files: what is accepted, told by the bytes themselves and never by name or header."""

from __future__ import annotations

from yaosu.errors import YaosuError
from yaosu.people.free_text import holds_citizen
from yaosu.uncoded.model import PROOF_MB_MAX, ProofMedia

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PDF = b"%PDF-"
NAME_MAX = 120
EXTENSIONS: dict[str, str] = {"application/pdf": "pdf", "image/jpeg": "jpg", "image/png": "png"}


def media_of(data: bytes) -> ProofMedia:
    """What `data` is: PDF, JPEG or PNG, complete from head to tail.

    Refused: `uncoded_proof_empty`, `uncoded_proof_large` (5 MB), `uncoded_proof_kind`.
    """
    if not data:
        raise YaosuError("uncoded_proof_empty")
    if len(data) > PROOF_MB_MAX << 20:
        raise YaosuError("uncoded_proof_large", {"max": PROOF_MB_MAX})
    if data.startswith(_PDF) and b"%%EOF" in data[-2048:]:
        return "application/pdf"
    if data.startswith(_PNG) and b"IEND" in data[-64:]:
        return "image/png"
    if data.startswith(_JPEG) and b"\xff\xd9" in data[-64:]:
        return "image/jpeg"
    raise YaosuError("uncoded_proof_kind")


def shown_name(name: str, media: str) -> str:
    """A file name fit to be shown: without folders and control characters, with the ending of what it is."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    base = "".join(c for c in base if c.isprintable() and c not in '<>:"|?*').strip(" .")
    stem = base.rsplit(".", 1)[0] if "." in base else base
    if holds_citizen(stem):
        # the name is shown and kept as it is; somebody's number is no name
        stem = ""
    return f"{(stem or 'proof')[:NAME_MAX]}.{EXTENSIONS[media]}"
