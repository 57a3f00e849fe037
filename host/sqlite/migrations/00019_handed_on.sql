-- +goose Up

-- When the attempt that the task has was handed on, if the row tells that by itself: with the
-- version before begun or, while it has not begun, with the task's own. NULL: it is in table
-- history, or the attempt was not handed on.
ALTER TABLE task ADD COLUMN handed_at INTEGER;
