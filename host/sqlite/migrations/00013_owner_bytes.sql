-- +goose Up

-- How much the tasks of each owner take, as payloads, labels and logs, while somebody has a
-- quota on that: triggers of the writer's connection keep it, so that no statement can be
-- forgotten. Row 'bytes' of table meta says that all is in it.
CREATE TABLE owner_bytes (
  owner TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL
) WITHOUT ROWID;
