package sqlite

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// hotPlans are the statements that run while tasks wait or run, each with what its plan must have.
var hotPlans = map[string]struct{ sql, want string }{
	"whole task":        {sqlTaskWhole, "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
	"begin":             {sqlTaskBegin, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"start":             {sqlTaskStart, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"succeed":           {sqlTaskSucceed, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"guard":             {sqlTaskGuard, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
	"update":            {sqlTaskUpdate, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
	"note":              {sqlTaskProgress, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
	"promote":           {sqlPromote, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
	"places, same":      {sqlReadyPlaces + sqlReadySame, "SEARCH t USING COVERING INDEX task_ready (lane=? AND priority=? AND rowid>?)"},
	"places, below":     {sqlReadyPlaces + sqlReadyBelow, "SEARCH t USING COVERING INDEX task_ready (lane=? AND priority<?)"},
	"children, same":    {sqlChildPlaces + sqlReadyChildSame, "SEARCH t USING COVERING INDEX task_ready_child (lane=? AND priority=? AND place>?)"},
	"children, below":   {sqlChildPlaces + sqlReadyChildBelow, "SEARCH t USING COVERING INDEX task_ready_child (lane=? AND priority<?)"},
	"ready, same":       {sqlReadyTasks + sqlReadySame, "SEARCH t USING INDEX task_ready (lane=? AND priority=? AND rowid>?)"},
	"ready, below":      {sqlReadyTasks + sqlReadyBelow, "SEARCH t USING INDEX task_ready (lane=? AND priority<?)"},
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
	"lane":              {sqlLaneRow, "SEARCH lane USING COVERING INDEX sqlite_autoindex_lane_1 (type=? AND owner=? AND route=? AND executor=? AND suspect=? AND child=? AND label_values=?)"},
	"a child":           {sqlChildNamed, "SEARCH t USING INDEX task_child (parent=? AND step=?)"},
	"children":          {sqlChildren, "SEARCH t USING INDEX task_parent (parent=?)"},
	"a parent":          {sqlParent, "SEARCH t USING INDEX sqlite_autoindex_task_1 (id=?)"},
	"lane of a row":     {sqlLaneOf, "SEARCH lane USING INTEGER PRIMARY KEY (rowid=?)"},
	"span down":         {sqlSpanDown + sqlNthDown, "SEARCH t USING COVERING INDEX sqlite_autoindex_task_1 (id<?)"},
	"span up":           {sqlSpanUp + sqlNthUp, "SEARCH t USING COVERING INDEX sqlite_autoindex_task_1 (id>?)"},
	"held":              {sqlInFlight, "SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"overdue":           {sqlOverdue, "SEARCH t USING INDEX task_deadline (deadline>? AND deadline<?)"},
	"retire":            {sqlScanExpiry, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"retire, how far":   {sqlExpiryEnd, "SEARCH task USING INTEGER PRIMARY KEY (rowid>?)"},
	"upload":            {sqlUpload, "SEARCH upload USING INTEGER PRIMARY KEY (rowid=?)"},
	"token of a task":   {sqlTaskToken, "SEARCH task USING INTEGER PRIMARY KEY (rowid=?)"},
	"version":           {sqlVersionGet, "SEARCH version USING PRIMARY KEY (name=?)"},
	"history":           {sqlHistory, "SEARCH h USING PRIMARY KEY (task=? AND n>?) LEFT-JOIN"},
	"logs":              {sqlLogs, "SEARCH log USING PRIMARY KEY (task=? AND n>?)"},
	"token by name":     {sqlTokenNamed, "INDEX sqlite_autoindex_access_token_3 (owner=? AND name=?)"},
	"audit":             {sqlAuditList, "SEARCH audit USING PRIMARY KEY (id<?)"},
	"audit, forgotten":  {sqlAuditForget, "INDEX audit_at (at<?)"},
	"bytes of an owner": {sqlBytesOf, "SEARCH owner_bytes USING PRIMARY KEY (owner=?)"},
	"deletable":         {sqlDeletable, "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)"},
	"expired keys":      {sqlIdemExpire, "INDEX idempotency_at (at<?)"},
	"last in a queue":   {sqlClaimLast, "SEARCH resource_claim USING COVERING INDEX resource_queue (name=? AND owner=?)"},
	"waiters":           {sqlWaiters, "SEARCH resource_claim USING COVERING INDEX resource_queue (name=? AND owner=? AND place>?)"},
	"holders":           {sqlHolders, "SEARCH resource_claim USING INDEX resource_queue (name=? AND owner=?)"},
	"claims of a task":  {sqlClaimsOfTask, "SEARCH resource_claim USING PRIMARY KEY (by_name=? AND task=?)"},
	"grant":             {sqlClaimsGrant, "SEARCH resource_claim USING PRIMARY KEY (by_name=? AND task>? AND task<?)"},
	"release":           {sqlClaimsDelete, "SEARCH resource_claim USING PRIMARY KEY (by_name=? AND task>? AND task<?)"},
	"waiting tasks":     {sqlWaitingTasks, "SEARCH t USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"make ready":        {sqlMakeReady, "SEARCH task USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
	"count of claims":   {sqlResourceCount, "SEARCH resource_claim USING COVERING INDEX resource_queue (name=? AND owner=? AND place>? AND place<?)"},
	"rows of claims":    {sqlResourceRows, "SEARCH c USING INDEX resource_queue (name=? AND owner=? AND place>? AND place<?)"},
	"owner of a name":   {sqlResourceOwner, "SEARCH resource_claim USING COVERING INDEX resource_queue (name=? AND owner>?)"},
	"names":             {sqlResourceNames, "USING COVERING INDEX resource_queue"},
	"claims by tasks":   {sqlKeptClaims, "SEARCH c USING PRIMARY KEY (by_name=? AND task=? AND name=?)"},
	"missing":           {sqlMissing, "SEARCH resource_claim USING PRIMARY KEY (by_name=? AND task=?)"},
	"blocked by":        {sqlBlockedBy, "SEARCH c USING COVERING INDEX resource_queue (name=? AND owner=? AND place<?)"},
	"oldest queued":     {sqlOldestQueued, "SEARCH task USING INDEX task_ready (lane=? AND priority<?)"},
	"oldest resting":    {sqlOldestResting, "SEARCH task USING INDEX task_resting (lane=? AND waiting=?)"},
	"groups due":        {sqlGroupsDue, "USING COVERING INDEX task_group_retry (retry_at>?)"},
	"group problems":    {sqlGroupWrong, "USING INDEX task_group_problem"},
	"schedule problems": {sqlScheduleWrong, "USING INDEX schedule_problem"},
	"count ready":       {sqlCountReady, "USING COVERING INDEX task_ready"},
	"count resting":     {sqlCountResting, "USING COVERING INDEX task_resting"},
	"count scheduled":   {sqlCountScheduled, "USING COVERING INDEX task_scheduled"},
}

// TestPlans: what runs while tasks wait or run looks things up and never
// scans or sorts, however many there are.
func TestPlans(t *testing.T) {
	s := openStore(t, t.TempDir())
	for name, c := range hotPlans {
		t.Run(name, func(t *testing.T) {
			plan := explain(t, s, "EXPLAIN QUERY PLAN "+c.sql, 4, 3)
			text := strings.Join(plan, "\n")
			if !strings.Contains(text, c.want) {
				t.Errorf("the plan does not have %q:\n%s", c.want, text)
			}
			atOpen := strings.HasPrefix(name, "count ") || strings.HasSuffix(name, " problems") // an index of what has one, which few have
			for _, line := range plan {
				scan := strings.Contains(line, "SCAN") && !strings.Contains(line, "json_each") && !strings.Contains(line, "COVERING INDEX task_scheduled")
				if !atOpen && (scan || strings.Contains(line, "TEMP B-TREE")) {
					t.Errorf("the plan scans or sorts:\n%s", text)
				}
			}
		})
	}
}

// TestWriterPlans: no statement of the writer goes through a table or sorts, and none but
// what retires, what forgets and what ends a group makes a temporary tree, which costs more than all else that it does.
// A condition of an index on table task that makes one does so in every insert and update.
func TestWriterPlans(t *testing.T) {
	s := openStore(t, t.TempDir())
	// These end with the first row, or go through a table of a row an executor.
	short := map[*stmt]bool{s.w.st.nextDue: true, s.w.st.offerExpire: true}
	for _, st := range s.w.st.all {
		if strings.HasPrefix(st.sql, "PRAGMA") || st == s.w.st.begin || st == s.w.st.commit || st == s.w.st.rollback {
			continue
		}
		for _, line := range explain(t, s, "EXPLAIN QUERY PLAN "+st.sql, 4, 3) {
			scan := strings.Contains(line, "SCAN") && line != "SCAN CONSTANT ROW" && !strings.Contains(line, "VALUES CLAUSE")
			if scan && !short[st] || strings.Contains(line, "TEMP B-TREE") {
				t.Errorf("%s\ngoes through a table or sorts: %s", st.sql, line)
			}
		}
		for _, op := range explain(t, s, "EXPLAIN "+st.sql, 8, 1) {
			if (op == "OpenEphemeral" || op == "OpenAutoindex" || op == "SorterOpen") && st != s.w.st.idemExpire && st != s.w.st.groupFinished && st != s.w.st.auditForget {
				t.Errorf("%s\nmakes a temporary tree", st.sql)
			}
		}
	}
}

// TestNoBareLimits: a statement whose LIMIT is a bare parameter is prepared anew at every run
// (see writer_sql.go).
func TestNoBareLimits(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bare := "LIMIT " + "?"; strings.Contains(string(text), bare) {
			t.Errorf("%s has %q: write +? instead", name, bare)
		}
	}
}

// explain is one column of the rows that a statement returns, its parameters being 1.
func explain(t *testing.T, s *Store, sql string, columns, column int) (out []string) {
	t.Helper()
	var args []any
	for range parameters(sql) {
		args = append(args, 1)
	}
	if err := s.rows(t.Context(), sql, args, columns, func(r row) bool {
		out = append(out, r.text(column))
		return true
	}); err != nil {
		t.Fatal(sql, err)
	}
	return out
}

// parameters counts a statement's parameters; numbered ones by their highest.
func parameters(sql string) int {
	for n := 99; n > 0; n-- {
		if strings.Contains(sql, "?"+strconv.Itoa(n)) {
			return n
		}
	}
	return strings.Count(sql, "?")
}
