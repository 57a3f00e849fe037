-- +goose Up

-- Why a finished group's finisher could not be submitted, and when that is tried again.
ALTER TABLE task_group ADD COLUMN problem TEXT;
ALTER TABLE task_group ADD COLUMN retry_at INTEGER;
CREATE INDEX task_group_retry ON task_group (retry_at) WHERE retry_at IS NOT NULL;

-- What has a problem is shown to whoever looks at the host.
CREATE INDEX task_group_problem ON task_group (id) WHERE problem IS NOT NULL;
CREATE INDEX schedule_problem ON schedule (id) WHERE problem IS NOT NULL;
