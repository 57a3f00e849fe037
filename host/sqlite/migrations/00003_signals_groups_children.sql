-- +goose Up

-- Tasks that were spawned wait in lanes of their own, at their parent's place in the
-- queue. The unique key of a table can't be altered: the table is made anew.
CREATE TABLE lane_new (
  id       INTEGER PRIMARY KEY,
  type     TEXT NOT NULL,
  owner    TEXT NOT NULL,
  route    TEXT NOT NULL,
  executor TEXT NOT NULL,
  suspect  INTEGER NOT NULL CHECK (suspect IN (0, 1)),
  child    INTEGER NOT NULL CHECK (child IN (0, 1)),
  UNIQUE (type, owner, route, executor, suspect, child)
);
INSERT INTO lane_new (id, type, owner, route, executor, suspect, child) SELECT id, type, owner, route, executor, suspect, 0 FROM lane;
DROP TABLE lane;
ALTER TABLE lane_new RENAME TO lane;

-- The place of a child in the queue: the order key of the task at the top of its tree.
ALTER TABLE task ADD COLUMN place INTEGER;
CREATE INDEX task_ready_child ON task (lane, priority DESC, place) WHERE waiting = 1 AND place IS NOT NULL;
-- A child's name is in step; a parent has each once.
CREATE UNIQUE INDEX task_child ON task (parent, step) WHERE parent IS NOT NULL AND step IS NOT NULL;

-- The children that a parent waits for and that are not final yet.
CREATE TABLE child_wait (
  parent BLOB NOT NULL,
  child  BLOB NOT NULL,
  PRIMARY KEY (parent, child)
) WITHOUT ROWID;

-- Who is to decide anew, because of what became of tasks that it depends on. n is
-- another each time, so that what comes while a decision is made is not taken for decided.
--   kind 1 group: its finisher  2 parent: it may go on  3 parent: its children are to be canceled
CREATE TABLE signal (
  kind INTEGER NOT NULL,
  id   BLOB NOT NULL,
  n    INTEGER NOT NULL,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- The index of members gives its name to the table of groups.
DROP INDEX task_group;
CREATE INDEX task_member ON task (group_id, id) WHERE group_id IS NOT NULL;

-- A group and how many of its members are in which state, those included that were
-- deleted since they were final. finished_at stands while it is closed and all are final.
CREATE TABLE task_group (
  id            BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner         TEXT NOT NULL,
  name          TEXT,
  labels        TEXT,
  on_finished   TEXT,
  finisher      BLOB,
  created_at    INTEGER NOT NULL,
  closed_at     INTEGER,
  finished_at   INTEGER,
  pending       INTEGER NOT NULL DEFAULT 0,
  running       INTEGER NOT NULL DEFAULT 0,
  canceling     INTEGER NOT NULL DEFAULT 0,
  reverting     INTEGER NOT NULL DEFAULT 0,
  succeeded     INTEGER NOT NULL DEFAULT 0,
  failed        INTEGER NOT NULL DEFAULT 0,
  canceled      INTEGER NOT NULL DEFAULT 0,
  skipped       INTEGER NOT NULL DEFAULT 0,
  reverted      INTEGER NOT NULL DEFAULT 0,
  revert_failed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX task_group_finished ON task_group (finished_at) WHERE finished_at IS NOT NULL;
