-- +goose Up

-- Of most claims the writer knows in memory whose turn is next, and they are in no index: that
-- of the queues is spread over as many pages as there are names that are in use, all of which
-- every commit wrote. A claim with by_name 1 is found by its name; those with 0 are no more than
-- the writer knows, and become 1 as the store is opened.
CREATE TABLE resource_claim_new (
  by_name INTEGER NOT NULL CHECK (by_name IN (0, 1)),
  task    INTEGER NOT NULL,
  owner   TEXT NOT NULL,
  name    TEXT NOT NULL,
  place   INTEGER NOT NULL,
  mode    INTEGER NOT NULL CHECK (mode IN (1, 2)), -- 1 shared 2 exclusive
  held    INTEGER NOT NULL CHECK (held IN (0, 1)),
  since   INTEGER NOT NULL,
  PRIMARY KEY (by_name, task, name)
) WITHOUT ROWID;
INSERT INTO resource_claim_new (by_name, task, owner, name, place, mode, held, since)
SELECT 1, task, owner, name, place, mode, held, since FROM resource_claim;
DROP TABLE resource_claim;
ALTER TABLE resource_claim_new RENAME TO resource_claim;
CREATE INDEX resource_queue ON resource_claim (name, owner, place, mode) WHERE by_name = 1;
