"""A hospital system dispenses: a whole box to one patient, a few capsules out of another, and some come back.

YAOSU_URL=… YAOSU_KEY=… python his.py BOX BOX
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from yaosu_client import CONSUMER_RETURN, DISPENSE, AsyncYaosu, Movement


async def main() -> int:
    """The asynchronous client: a ward's round sends many at once."""
    whole, opened = sys.argv[1:3]
    number = time.time_ns()
    async with AsyncYaosu(os.environ["YAOSU_URL"], os.environ["YAOSU_KEY"], lang="en") as yaosu:
        first, second = await asyncio.gather(
            yaosu.submit(Movement(DISPENSE, f"HIS-{number}-1", [whole])),
            yaosu.submit(Movement(DISPENSE, f"HIS-{number}-2", [opened], parts={opened: 6})),
        )
        print("whole box", first.status, "| six capsules", second.status)
        back = await yaosu.submit(Movement(CONSUMER_RETURN, f"HIS-{number}-3", [opened], parts={opened: 2}))
        print("two came back", back.status)
        history = await yaosu.history(opened)
        print("events", len(history["events"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
