package sqlite

import (
	"strings"
	"testing"
)

// TestPlans: what runs while tasks wait or run looks things up and never
// scans or sorts, however many there are.
func TestPlans(t *testing.T) {
	s := openStore(t, t.TempDir())
	for name, c := range map[string]struct{ sql, want string }{
		"whole task":        {sqlTaskWhole, "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
		"begin":             {sqlTaskBegin, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"start":             {sqlTaskStart, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"succeed":           {sqlTaskSucceed, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"guard":             {sqlTaskGuard, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"update":            {sqlTaskUpdate, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"note":              {sqlTaskProgress, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"promote":           {sqlPromote, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"ready, same":       {sqlReadySame, "SEARCH task USING COVERING INDEX task_ready (lane=? AND priority=? AND rowid>?)"},
		"ready, below":      {sqlReadyBelow, "SEARCH task USING COVERING INDEX task_ready (lane=? AND priority<?)"},
		"due":               {sqlDue, "SEARCH task USING INDEX task_scheduled (run_at<?)"},
		"next due":          {sqlNextDue, "USING COVERING INDEX task_scheduled"},
		"key":               {sqlKeyHolder, "SEARCH k USING PRIMARY KEY (owner=? AND type=? AND key=?)"},
		"by key":            {sqlByKey, "SEARCH k USING PRIMARY KEY (owner=? AND type=? AND key=?)"},
		"get":               {sqlGet, "SEARCH t USING INDEX sqlite_autoindex_task_1 (id=?)"},
		"by prefix":         {sqlByPrefix, "USING INDEX sqlite_autoindex_task_1 (id>? AND id<?)"},
		"list down":         {sqlListDown + sqlDown, "SEARCH t USING INDEX sqlite_autoindex_task_1 (id>? AND id<?)"},
		"list up":           {sqlListUp + sqlUp, "SEARCH t USING INDEX sqlite_autoindex_task_1 (id>? AND id<?)"},
		"list of types":     {sqlListDown + listOwner + listTypes + sqlDown, "SEARCH t USING INDEX sqlite_autoindex_task_1 (id>? AND id<?)"},
		"list of a group":   {sqlListDown + listGroup + listOwner + sqlDown, "SEARCH t USING INDEX task_member (group_id=? AND id>? AND id<?)"},
		"list of a flow":    {sqlListUp + listFlow + sqlUp, "SEARCH t USING INDEX task_flow (flow=? AND id>? AND id<?)"},
		"list of a parent":  {sqlListDown + listParent + sqlDown, "SEARCH t USING INDEX task_parent (parent=? AND id>? AND id<?)"},
		"list of all three": {sqlListDown + listGroup + listFlow + listParent + sqlDown, "=? AND id>? AND id<?)"},
		"span of a group":   {sqlSpanDown + listGroup + sqlNthDown, "SEARCH t USING COVERING INDEX task_member (group_id=? AND id<?)"},
		"span of a flow":    {sqlSpanUp + listFlow + sqlNthUp, "SEARCH t USING COVERING INDEX task_flow (flow=? AND id>?)"},
		"span of a parent":  {sqlSpanUp + listParent + sqlNthUp, "SEARCH t USING COVERING INDEX task_parent (parent=? AND id>?)"},
		"lane":              {sqlLaneRow, "SEARCH lane USING COVERING INDEX sqlite_autoindex_lane_1 (type=? AND owner=? AND route=? AND executor=? AND suspect=? AND child=?)"},
		"lane of a row":     {sqlLaneOf, "SEARCH lane USING INTEGER PRIMARY KEY (rowid=?)"},
		"span down":         {sqlSpanDown + sqlNthDown, "SEARCH t USING COVERING INDEX sqlite_autoindex_task_1 (id<?)"},
		"span up":           {sqlSpanUp + sqlNthUp, "SEARCH t USING COVERING INDEX sqlite_autoindex_task_1 (id>?)"},
		"held":              {sqlInFlight, "SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		"overdue":           {sqlOverdue, "SEARCH t USING INDEX task_deadline (deadline>? AND deadline<?)"},
		"retire":            {sqlScanExpiry, "SEARCH task USING INTEGER PRIMARY KEY (rowid>?)"},
		"upload":            {sqlUpload, "SEARCH upload USING INTEGER PRIMARY KEY (rowid=?)"},
		"token of a task":   {sqlTaskToken, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
		"version":           {sqlVersionGet, "SEARCH version USING PRIMARY KEY (name=?)"},
		"history":           {sqlHistory, "SEARCH history USING PRIMARY KEY (task=? AND n>?)"},
		"logs":              {sqlLogs, "SEARCH log USING PRIMARY KEY (task=? AND n>?)"},
		"deletable":         {sqlDeletable, "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
		"expired keys":      {sqlIdemExpire, "INDEX idempotency_at (at<?)"},
		"count ready":       {sqlCountReady, "USING COVERING INDEX task_ready"},
		"count resting":     {sqlCountResting, "USING INDEX task_resting"},
		"count scheduled":   {sqlCountScheduled, "USING COVERING INDEX task_scheduled"},
	} {
		t.Run(name, func(t *testing.T) {
			var plan []string
			var args []any
			for range parameters(c.sql) {
				args = append(args, 1)
			}
			if err := s.rows(t.Context(), "EXPLAIN QUERY PLAN "+c.sql, args, 4, func(r row) bool {
				plan = append(plan, r.text(3))
				return true
			}); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(plan, "\n")
			if !strings.Contains(text, c.want) {
				t.Errorf("the plan does not have %q:\n%s", c.want, text)
			}
			atOpen := strings.HasPrefix(name, "count ")
			for _, line := range plan {
				scan := strings.Contains(line, "SCAN") && !strings.Contains(line, "json_each") && !strings.Contains(line, "COVERING INDEX task_scheduled")
				if !atOpen && (scan || strings.Contains(line, "TEMP B-TREE")) {
					t.Errorf("the plan scans or sorts:\n%s", text)
				}
			}
		})
	}
}

// parameters counts a statement's parameters; numbered ones by their highest.
func parameters(sql string) int {
	for n := 9; n > 0; n-- {
		if strings.Contains(sql, "?"+string(rune('0'+n))) {
			return n
		}
	}
	return strings.Count(sql, "?")
}
