"""SQL of large bills that run as jobs."""

from __future__ import annotations

# What the job was asked for; the worker reads it, no caller does.
JOB = "SELECT id, org, account_id, input FROM job WHERE id = $1"

# The submission as it was received.
BODY = "SELECT body FROM submission WHERE id = $1"
