-- +goose Up

-- A schedule. spec is what a client asked for, as JSON; the rest is how far it is. slot is
-- the time that the next run is for, next_at when it is due: both NULL if there will be none.
CREATE TABLE schedule (
  id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner      TEXT NOT NULL,
  name       TEXT NOT NULL,
  spec       TEXT NOT NULL,
  anchor     INTEGER,
  paused     INTEGER NOT NULL CHECK (paused IN (0, 1)),
  slot       INTEGER,
  next_at    INTEGER,
  last_at    INTEGER,
  last_task  BLOB,
  runs       INTEGER NOT NULL,
  skipped    INTEGER NOT NULL,
  problem    TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  UNIQUE (owner, name)
) WITHOUT ROWID;
CREATE INDEX schedule_due ON schedule (next_at) WHERE paused = 0 AND next_at IS NOT NULL;
