"""The real application behind a real socket, in a process of its own: `python -m hostile.served ADDRESS PORT DATA`.

A process of its own, because tests here measure its memory, read its log and lie to it on the wire.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn

from yaosu.api.app import create_app
from yaosu.db.jobs import ensure_schema
from yaosu.edge import logging
from yaosu.settings import Settings


def main(address: str, port: int, data: str) -> None:
    """Serve until terminated; the log goes to standard output as JSON lines."""
    logging.configure("info", json=True, stream=sys.stdout)
    asyncio.run(ensure_schema(address))
    settings = Settings(
        data=Path(data),
        database_url=address,
        host="127.0.0.1",
        port=port,
        public_url=f"http://127.0.0.1:{port}",
    )
    uvicorn.run(
        create_app(settings, address),
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        loop="uvloop",
        http="httptools",
        server_header=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
