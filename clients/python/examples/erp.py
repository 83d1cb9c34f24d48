"""An ERP tells what it ships, reads every verdict, corrects its own mistake. Try it on a sandbox.

YAOSU_URL=http://127.0.0.1:8600 YAOSU_KEY=yk_… BUYER=12 python erp.py CODE …
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

from yaosu_client import SHIP, Movement, RefusedError, Result, Yaosu


def ship(yaosu: Yaosu, movement: Movement) -> Result:
    """One delivery. Keep the movement until it is answered: the same one again books nothing twice."""
    answer = yaosu.submit(movement)
    for one in answer.refused:
        print(f"refused {one.raw}: {one.message} → {one.next}")
    return answer


def main() -> int:
    """Ship, repeat, correct."""
    codes, buyer = sys.argv[1:], int(os.environ["BUYER"])
    order = f"ERP-{time.time_ns()}"
    with Yaosu(os.environ["YAOSU_URL"], os.environ["YAOSU_KEY"], lang="en") as yaosu:
        movement = Movement(SHIP, order, codes, to_org=buyer, header={"order_code": order})
        preview = yaosu.check(movement)
        print("preview", [r["verdict"] for r in preview["results"]])
        first = ship(yaosu, movement)
        print("shipped", first.status, first.qty)
        again = ship(yaosu, movement)
        print("sent again", "replayed" if again.replayed else again.status)
        # the last package stayed on the ramp: the corrected bill says so, the first one stays on record
        corrected = yaosu.submit(replace(movement, codes=codes[:-1], revision=2))
        print("corrected", corrected.status, corrected.qty)
        try:
            yaosu.submit(replace(movement, codes=codes[:1]))
        except RefusedError as refused:
            print("refused as a whole:", refused.code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
