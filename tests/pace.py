"""How much work something is, whatever else the machine does: processor time, not time by the clock."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import psycopg

TICKS = os.sysconf("SC_CLK_TCK")


def own_s() -> float:
    """Processor time of this process and of those it started that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Work:
    """What this process and the database's connections of `address` do from now on.

    Connections count in hundredths of a second: measure several rounds together.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._own, self._theirs = time.process_time(), self._backends()

    def _backends(self) -> dict[int, int]:
        """Ticks by process of the database; empty where the kernel does not tell or it runs elsewhere."""
        with psycopg.connect(self._address) as conn:
            rows = conn.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        found = {}
        for (pid,) in rows:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[pid] = int(fields[11]) + int(fields[12])
        return found

    def seconds(self) -> float:
        """Processor time since the beginning."""
        # without children: one of an earlier test may be taken off the table just now, with all that it ever did
        own = time.process_time() - self._own
        return own + sum(t - self._theirs.get(pid, 0) for pid, t in self._backends().items()) / TICKS
