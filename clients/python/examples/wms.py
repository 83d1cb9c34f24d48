"""A warehouse system receives what was announced: notices in, scans against them, the check's result out.

YAOSU_URL=… YAOSU_KEY=… python wms.py [PHOTO.jpg …]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from yaosu_client import RECEIVE, Movement, Yaosu


def main() -> int:
    """Receive every open delivery; photos of the goods stand in for single scans."""
    with Yaosu(os.environ["YAOSU_URL"], os.environ["YAOSU_KEY"], lang="en") as yaosu:
        photographed = [
            code for name in sys.argv[1:] for code in yaosu.capture(Path(name).read_bytes())["codes"]
        ]
        for entry in yaosu.notices("in", ["open"]):
            notice = yaosu.notice(entry["bill_id"])
            # what is inside a package moves with it
            announced = [p["code"] for p in notice["packages"] if not p["parent"]]
            scanned = [c for c in photographed if c in announced] or announced
            answer = yaosu.submit(
                Movement(
                    RECEIVE,
                    f"WMS-{entry['bill_no']}",
                    scanned,
                    notice=entry["bill_no"],
                    from_org=entry["from_org"]["id"],
                )
            )
            states = [check["outcome"] for check in answer.body["checks"]]
            print(entry["bill_no"], answer.status, answer.qty, "check", *states)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
