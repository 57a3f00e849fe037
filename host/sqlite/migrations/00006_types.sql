-- +goose Up

-- Tasks that met a limit by the value of a label wait in lanes of their own, so that nobody
-- looks past them. The unique key of a table can't be altered: the table is made anew.
CREATE TABLE lane_new (
  id           INTEGER PRIMARY KEY,
  type         TEXT NOT NULL,
  owner        TEXT NOT NULL,
  route        TEXT NOT NULL,
  executor     TEXT NOT NULL,
  suspect      INTEGER NOT NULL CHECK (suspect IN (0, 1)),
  child        INTEGER NOT NULL CHECK (child IN (0, 1)),
  label_values TEXT NOT NULL,
  UNIQUE (type, owner, route, executor, suspect, child, label_values)
);
INSERT INTO lane_new (id, type, owner, route, executor, suspect, child, label_values) SELECT id, type, owner, route, executor, suspect, child, '' FROM lane;
DROP TABLE lane;
ALTER TABLE lane_new RENAME TO lane;

-- What clients say of task types, as JSON, and which of them an operator has paused. spec is
-- NULL of a type that was paused and of which nothing else was said.
CREATE TABLE task_type (
  name   TEXT PRIMARY KEY,
  spec   TEXT,
  paused INTEGER NOT NULL CHECK (paused IN (0, 1))
) WITHOUT ROWID;

-- How far the rate of a type is used up: when all of its burst is there again, in
-- nanoseconds since 1970.
CREATE TABLE type_rate (
  type  TEXT PRIMARY KEY,
  spent INTEGER NOT NULL
) WITHOUT ROWID;
