-- +goose Up

-- Claims are kept by their tasks, and found by the queue of a name: tasks that come, get what
-- they wait for and end one after another then write the same few pages, and what was held
-- is not in an index that is written when it is given. Who holds a name are the first of its
-- queue, always.
CREATE TABLE resource_claim_new (
  task  INTEGER NOT NULL,
  owner TEXT NOT NULL,
  name  TEXT NOT NULL,
  place INTEGER NOT NULL,
  mode  INTEGER NOT NULL CHECK (mode IN (1, 2)), -- 1 shared 2 exclusive
  held  INTEGER NOT NULL CHECK (held IN (0, 1)),
  since INTEGER NOT NULL,
  PRIMARY KEY (task, name)
) WITHOUT ROWID;
INSERT INTO resource_claim_new (task, owner, name, place, mode, held, since) SELECT task, owner, name, place, mode, held, since FROM resource_claim;
DROP TABLE resource_claim;
ALTER TABLE resource_claim_new RENAME TO resource_claim;
CREATE INDEX resource_queue ON resource_claim (name, owner, place, mode);
