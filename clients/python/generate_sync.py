"""Write the synchronous client from the asynchronous one: `python generate_sync.py`. A test holds them together."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).parent / "src" / "yaosu_client" / "aio.py"
TARGET = SOURCE.with_name("sync.py")
WORDS = {
    "The asynchronous client.": "The synchronous client. Made from aio.py by generate_sync.py: change that one.",
    "an `async with`": "a `with`",
    "AsyncYaosu": "Yaosu",
    "AsyncIterator": "Iterator",
    "httpx.AsyncClient": "httpx.Client",
    "httpx.AsyncBaseTransport": "httpx.BaseTransport",
    "async def": "def",
    "async with": "with",
    "await calls.rest": "calls.sleep",
    "await ": "",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "aclose": "close",
}
_WORD = re.compile("|".join(map(re.escape, WORDS)))


def synchronous(text: str) -> str:
    """The same client without waiting for others meanwhile."""
    return _WORD.sub(lambda found: WORDS[found.group()], text)


if __name__ == "__main__":
    TARGET.write_text(synchronous(SOURCE.read_text("utf-8")), "utf-8")
