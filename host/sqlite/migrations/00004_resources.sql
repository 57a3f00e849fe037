-- +goose Up

-- The names that a task needs, as JSON: {"exclusive": [...], "shared": [...]}.
ALTER TABLE task ADD COLUMN resources TEXT;

-- Who holds which resource or waits for it, by the order of coming. Those that hold it are
-- the first of its rows, always.
--   mode  1 shared 2 exclusive
CREATE TABLE resource_claim (
  owner TEXT NOT NULL,
  name  TEXT NOT NULL,
  place INTEGER NOT NULL,
  task  INTEGER NOT NULL,
  mode  INTEGER NOT NULL CHECK (mode IN (1, 2)),
  held  INTEGER NOT NULL CHECK (held IN (0, 1)),
  since INTEGER NOT NULL,
  PRIMARY KEY (owner, name, place)
) WITHOUT ROWID;
CREATE INDEX resource_claim_task ON resource_claim (task);
CREATE INDEX resource_claim_waiting ON resource_claim (owner, name, place) WHERE held = 0;
