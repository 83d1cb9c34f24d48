"""A till that keeps selling without network: sales wait in a file, and each is sent until it is answered.

YAOSU_URL=… YAOSU_KEY=… QUEUE=queue.jsonl python pos.py sell BOX …
YAOSU_URL=… YAOSU_KEY=… QUEUE=queue.jsonl python pos.py send
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from yaosu_client import SALE, Movement, NotReachedError, RefusedError, Yaosu

QUEUE = Path(os.environ.get("QUEUE", "queue.jsonl"))
ANSWERED = QUEUE.with_suffix(".answered")


def keep(file: Path, line: str) -> None:
    """Add a line and see it safely on the disk. Both files only grow, so a crash or a sale meanwhile loses nothing."""
    with file.open("a+", encoding="utf-8") as opened:
        # a crash may have left half a line
        opened.write(line + "\n" if ends_whole(file) else "\n" + line + "\n")
        opened.flush()
        os.fsync(opened.fileno())


def ends_whole(file: Path) -> bool:
    """Whether the last line has its end."""
    return not file.exists() or file.stat().st_size == 0 or file.read_bytes().endswith(b"\n")


def lines(file: Path) -> list[str]:
    """The whole lines of a file; half a line that a crash left was no receipt yet."""
    found = file.read_text("utf-8").split("\n") if file.exists() else []
    return [line for line in found if line.endswith("}") or file == ANSWERED]


def sell(codes: list[str]) -> None:
    """One receipt, written down before anything is sent."""
    sale = {"bill_no": f"POS-{time.time_ns()}", "at": datetime.now(UTC).isoformat(), "codes": codes}
    keep(QUEUE, json.dumps(sale))
    print("kept", sale["bill_no"])


def send() -> int:
    """Everything that waits, oldest first; what could not be sent waits on."""
    answered = set(lines(ANSWERED))
    waiting = [s for line in lines(QUEUE) if (s := json.loads(line))["bill_no"] not in answered]
    with Yaosu(os.environ["YAOSU_URL"], os.environ["YAOSU_KEY"], lang="en") as yaosu:
        for n, sale in enumerate(waiting):
            movement = Movement(
                SALE, sale["bill_no"], sale["codes"], happened_at=datetime.fromisoformat(sale["at"])
            )
            try:
                answer = yaosu.submit(movement)
                print(sale["bill_no"], answer.status, "again" if answer.replayed else "")
                for one in answer.refused:
                    print("  ", one.raw, one.message, "→", one.next)
            except NotReachedError:
                print("no network;", len(waiting) - n, "wait")
                return 1
            except RefusedError as refused:
                # a person has to look at it; the next customers' sales must not wait for that
                print(sale["bill_no"], "refused:", refused.message)
            keep(ANSWERED, sale["bill_no"])
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "sell":
        sell(sys.argv[2:])
        raise SystemExit(0)
    raise SystemExit(send())
