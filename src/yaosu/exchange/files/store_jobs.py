"""SQL of this room's jobs."""

from __future__ import annotations

# The worker's own look at a job it was given.
# ungated: run by the worker, which acts for the organisation in the row
JOB = "SELECT id, kind, org, account_id, input FROM job WHERE id = $1"

# How far the job of a file is, for its organisation.
PROGRESS = "SELECT id, state, done, total, result FROM job WHERE id = $1 AND org = $2"
