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


def sell(codes: list[str]) -> None:
    """One receipt, written down before anything is sent."""
    sale = {"bill_no": f"POS-{time.time_ns()}", "at": datetime.now(UTC).isoformat(), "codes": codes}
    with QUEUE.open("a") as file:
        file.write(json.dumps(sale) + "\n")
        file.flush()
        os.fsync(file.fileno())
    print("kept", sale["bill_no"])


def send() -> int:
    """Everything that waits, oldest first; what could not be sent waits on."""
    waiting = [json.loads(line) for line in QUEUE.read_text().splitlines()] if QUEUE.exists() else []
    with Yaosu(os.environ["YAOSU_URL"], os.environ["YAOSU_KEY"], lang="en") as yaosu:
        while waiting:
            sale = waiting[0]
            movement = Movement(
                SALE, sale["bill_no"], sale["codes"], happened_at=datetime.fromisoformat(sale["at"])
            )
            try:
                answer = yaosu.submit(movement)
                print(sale["bill_no"], answer.status, "again" if answer.replayed else "")
                for one in answer.refused:
                    print("  ", one.raw, one.message, "→", one.next)
            except NotReachedError:
                print("no network;", len(waiting), "wait")
                return 1
            except RefusedError as refused:
                # a person has to look at it; the next customers' sales must not wait for that
                print(sale["bill_no"], "refused:", refused.message)
            waiting.pop(0)
            QUEUE.write_text("".join(json.dumps(one) + "\n" for one in waiting))
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "sell":
        sell(sys.argv[2:])
        raise SystemExit(0)
    raise SystemExit(send())
