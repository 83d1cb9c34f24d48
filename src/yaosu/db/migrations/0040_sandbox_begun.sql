-- Since when somebody builds a sandbox. A server that was killed, or whose database went away, never said that it had
-- stopped: after a while somebody else may begin.
ALTER TABLE sandbox ADD COLUMN begun_at timestamptz;
