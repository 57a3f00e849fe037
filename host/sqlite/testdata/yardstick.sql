-- What BenchmarkRawStatements writes into: it stays as it is.

CREATE TABLE lane (
  id       INTEGER PRIMARY KEY,
  type     TEXT NOT NULL,
  owner    TEXT NOT NULL,
  route    TEXT NOT NULL,
  executor TEXT NOT NULL,
  suspect  INTEGER NOT NULL CHECK (suspect IN (0, 1)),
  UNIQUE (type, owner, route, executor, suspect)
);

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

CREATE INDEX task_ready ON task (lane, priority DESC) WHERE waiting = 1;
CREATE INDEX task_scheduled ON task (run_at, lane) WHERE waiting = 2;
CREATE INDEX task_resting ON task (lane) WHERE waiting IN (3, 4, 5, 8);
CREATE INDEX task_deadline ON task (deadline) WHERE state = 1 AND deadline IS NOT NULL;
CREATE INDEX task_group ON task (group_id, id) WHERE group_id IS NOT NULL;
CREATE INDEX task_flow ON task (flow, id) WHERE flow IS NOT NULL;
CREATE INDEX task_parent ON task (parent, id) WHERE parent IS NOT NULL;

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
