-- +goose Up

-- Who may call: what is kept of a secret is its SHA-256.
CREATE TABLE access_token (
  id         BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  owner      TEXT NOT NULL,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  created_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at    INTEGER,
  UNIQUE (owner, name)
) WITHOUT ROWID;

-- What was asked to change, by whom and from where. Ids begin with the time.
CREATE TABLE audit (
  id      BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  at      INTEGER NOT NULL,
  name    TEXT NOT NULL,
  owner   TEXT NOT NULL,
  role    TEXT NOT NULL,
  way     TEXT NOT NULL,
  token   BLOB,
  address TEXT NOT NULL,
  request TEXT NOT NULL,
  action  TEXT NOT NULL,
  target  TEXT NOT NULL,
  status  INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX audit_at ON audit (at);
