-- +goose Up

-- What the store says of itself: 'epoch' counts its opens; 'order' is an order
-- key that no deleted task's was above; 'store' tells stores apart, and is 0 in a
-- backup; 'mark' is raised whenever all of the write-ahead log was carried over;
-- 'sum' shows that these were written together.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

-- A lane is the queue of one type, owner, route and pinned executor; suspects
-- (tasks lost since their last checkpoint) wait apart. Final tasks refer to it too.
CREATE TABLE lane (
  id       INTEGER PRIMARY KEY,
  type     TEXT NOT NULL,
  owner    TEXT NOT NULL,
  route    TEXT NOT NULL,
  executor TEXT NOT NULL,
  suspect  INTEGER NOT NULL CHECK (suspect IN (0, 1)),
  UNIQUE (type, owner, route, executor, suspect)
);

-- A task as lists show it. Type, owner, route and pinned executor are its
-- lane's. Times are unix microseconds, durations microseconds, absent is NULL.
-- state and waiting are numbered as host/task numbers them:
--   state   1 pending 2 running 3 canceling 4 reverting
--           5 succeeded 6 failed 7 canceled 8 skipped 9 reverted 10 revert_failed
--   waiting 0 not 1 queued 2 scheduled 3 dependency 4 resource 5 paused
--           7 dispatched 8 children
CREATE TABLE task (
  seq                 INTEGER PRIMARY KEY,
  id                  BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  lane                INTEGER NOT NULL REFERENCES lane (id),
  state               INTEGER NOT NULL CHECK (state BETWEEN 1 AND 10),
  waiting             INTEGER NOT NULL CHECK ((state = 1) = (waiting BETWEEN 1 AND 8)),
  priority            INTEGER NOT NULL,
  attempt             INTEGER NOT NULL,
  version             INTEGER NOT NULL,
  token               BLOB,
  executor            TEXT,
  node                TEXT,
  failures            INTEGER NOT NULL,
  max_attempts        INTEGER NOT NULL,
  lost                INTEGER NOT NULL,
  max_lost            INTEGER NOT NULL,
  requeued            INTEGER,
  timeout             INTEGER NOT NULL,
  retain              INTEGER NOT NULL,
  created_at          INTEGER NOT NULL,
  run_at              INTEGER NOT NULL,
  started_at          INTEGER,
  finished_at         INTEGER,
  expires_at          INTEGER,
  updated_at          INTEGER NOT NULL,
  result              INTEGER NOT NULL CHECK (result BETWEEN 0 AND 2), -- 0 none, 1 JSON null, 2 a row of table result
  done                INTEGER,
  total               INTEGER,
  message             TEXT,
  error_code          TEXT,
  error_attempt       INTEGER,
  deadline            INTEGER,
  key                 TEXT,
  labels              TEXT,
  group_id            BLOB,
  flow                BLOB,
  parent              BLOB,
  step                TEXT,
  cancel_requested_at INTEGER,
  requested_by        TEXT,
  trace               TEXT,
  handle              BLOB,
  -- An attempt holds the task exactly while there is a token.
  CHECK ((token IS NOT NULL) = (state BETWEEN 2 AND 4 OR waiting = 7)),
  CHECK (state < 5 OR (finished_at IS NOT NULL AND expires_at IS NOT NULL))
);

-- Each holds only what waits for it: final and running rows are in none.
CREATE INDEX task_ready ON task (lane, priority DESC) WHERE waiting = 1;
CREATE INDEX task_scheduled ON task (run_at, lane) WHERE waiting = 2;
CREATE INDEX task_resting ON task (lane) WHERE waiting IN (3, 4, 5, 8);
CREATE INDEX task_deadline ON task (deadline) WHERE state = 1 AND deadline IS NOT NULL;

-- Of what a task belongs to; a task that belongs to nothing is in none.
CREATE INDEX task_group ON task (group_id, id) WHERE group_id IS NOT NULL;
CREATE INDEX task_flow ON task (flow, id) WHERE flow IS NOT NULL;
CREATE INDEX task_parent ON task (parent, id) WHERE parent IS NOT NULL;

-- Blocks of 4096 order keys that may have a row that an attempt holds: what to
-- look through after a crash. An index of those rows would be written twice in
-- the life of every task (measured: 14 to 16 % of the rate), this once in 4096.
CREATE TABLE in_flight_block (
  block INTEGER PRIMARY KEY
);

-- What does not belong in a list. No row means a null input, no result, or nothing kept.
CREATE TABLE input (
  task INTEGER PRIMARY KEY,
  data BLOB NOT NULL
);
CREATE TABLE result (
  task INTEGER PRIMARY KEY,
  type TEXT NOT NULL,
  data BLOB NOT NULL
);
CREATE TABLE task_detail (
  task          INTEGER PRIMARY KEY,
  checkpoint    BLOB,
  error_message TEXT,
  error_details TEXT
);

-- What an attempt uploaded before its outcome; it goes when the attempt ends.
CREATE TABLE upload (
  task  INTEGER PRIMARY KEY,
  token BLOB NOT NULL,
  type  TEXT NOT NULL,
  data  BLOB NOT NULL
);

-- The key of every task that has one, for as long as the task exists.
CREATE TABLE task_key (
  owner TEXT NOT NULL,
  type  TEXT NOT NULL,
  key   TEXT NOT NULL,
  task  INTEGER NOT NULL,
  PRIMARY KEY (owner, type, key)
) WITHOUT ROWID;

-- Append only. n is the task's version after the event; by is NULL for the host.
CREATE TABLE history (
  task       INTEGER NOT NULL,
  n          INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  from_state INTEGER NOT NULL,
  to_state   INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  by         TEXT,
  message    TEXT,
  PRIMARY KEY (task, n)
) WITHOUT ROWID;

CREATE TABLE log (
  task    INTEGER NOT NULL,
  n       INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  level   TEXT NOT NULL,
  message TEXT NOT NULL,
  fields  TEXT,
  PRIMARY KEY (task, n)
) WITHOUT ROWID;

-- Versions of what several callers decide about (a flow, a group): guards of commits.
CREATE TABLE version (
  name    TEXT PRIMARY KEY,
  version INTEGER NOT NULL
) WITHOUT ROWID;

-- What executors offer. An offer without expires is kept for good.
CREATE TABLE offer (
  host     TEXT NOT NULL,
  executor TEXT NOT NULL,
  data     BLOB NOT NULL,
  expires  INTEGER,
  PRIMARY KEY (host, executor)
) WITHOUT ROWID;

CREATE TABLE idempotency (
  owner TEXT NOT NULL,
  key   TEXT NOT NULL,
  hash  BLOB NOT NULL,
  ids   BLOB NOT NULL, -- of the tasks, 16 bytes each
  at    INTEGER NOT NULL,
  PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);
