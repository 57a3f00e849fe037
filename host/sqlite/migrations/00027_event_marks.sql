-- +goose Up

-- At which time a place of the feed was given, a mark a second while somebody follows it: so
-- what came after a place is found again when the feed does not reach back to it.
CREATE TABLE event_mark (
  slot  INTEGER PRIMARY KEY, -- counted, modulo how many are kept
  place INTEGER NOT NULL,
  at    INTEGER NOT NULL
);
