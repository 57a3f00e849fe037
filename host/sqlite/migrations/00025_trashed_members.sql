-- +goose Up

-- How many members failed because a worker found them to be no use to anybody: they are no
-- failures, and not counted among those that failed.
ALTER TABLE task_group ADD COLUMN trashed INTEGER NOT NULL DEFAULT 0;
UPDATE task_group SET trashed = m.n, failed = failed - m.n
FROM (SELECT group_id, count(*) AS n FROM task WHERE group_id IS NOT NULL AND state = 6 AND error_code = 'trashed' GROUP BY group_id) AS m
WHERE m.group_id = task_group.id;
