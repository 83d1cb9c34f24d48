"""A process that another of ours runs beside itself: it ends with it, whatever ended that one."""

from __future__ import annotations

import contextlib
import ctypes
import signal

_PR_SET_PDEATHSIG = 1


def ends_with_parent() -> None:
    """In the child, before its program: ask the kernel for SIGTERM when the parent is gone (Linux only)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
