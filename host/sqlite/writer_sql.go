package sqlite

import (
	"errors"
	"strings"

	sqlite3 "github.com/mattn/go-sqlite3"
)

// statements are all that the writer runs, prepared once.
type statements struct {
	all []*stmt

	begin, commit, rollback, checkpoint *stmt

	taskInsert, tasksInsert, alikeInsert, inputInsert, inputsInsert                           *stmt
	taskWhole, taskBegin, taskStart, taskSucceed, taskGuard, taskUpdate, taskProgress         *stmt
	historyInsert, inputUpdate, scheduleSpec, resultPut, resultDelete                         *stmt
	detailCheckpoint, detailError                                                             detailColumn
	readyPlaces, readyTasks                                                                   windowReads
	due, promote, nextDue                                                                     *stmt
	laneInsert, laneRow, laneOf, blockInsert, blockDelete                                     *stmt
	keyHolder, keyInsert, keyDelete, keyClear                                                 *stmt
	idemGet, idemInsert, idemExpire                                                           *stmt
	versionGet, versionPut, versionDelete                                                     *stmt
	taskToken, uploadPut, uploadDelete                                                        *stmt
	logInsert, offerPut, offerExpire                                                          *stmt
	signalPut, signalGet, signalDelete                                                        *stmt
	parent, childNamed, anyUnfinished, waitForAll, waitForOne, childDone, forgetWait, anyWait *stmt
	groupInsert, groupJoin, groupClose, groupCount, groupFinished, groupReopened              *stmt
	claimLast, holders, waiters, claimsOfTask, claimInsert, claimsInsert                      *stmt
	claimGrant, claimsGrant, claimsDelete, waitingTasks, makeReady                            *stmt
	scheduleInsert, scheduleUpdate, scheduleGuard, scheduleNamed, scheduleDelete              *stmt
	groupFinisher, groupState, groupDelete, groupRetire, groupPostpone, groupAsked, groupsDue *stmt
	tokenNamed, tokenInsert, tokenDelete, tokenUsed, auditInsert, auditForget                 *stmt
	typePut, typePause, typeDelete, typeSweep, held, moveLane, ratePut                        *stmt
	seqRecord, markPut, eventMark, lastMark                                                   *stmt
	deletable, taskDelete, historyDelete, logDelete, inputDelete, detailDelete                *stmt
	bytesOf, bytesAdd                                                                         *stmt
}

// The writer's SQL. What is here as text is what the query plan test explains.
//
// "+?" where "?" would do: SQLite prepares a statement anew at every run (60 µs
// instead of 6) if a parameter was compared with the condition of a partial
// index, or is a LIMIT, since its value could decide the plan. An expression is not looked into.
var (
	sqlTaskUpdate = updateTask()
	sqlTaskWhole  = `SELECT ` + wholeColumns + ` FROM ` + wholeTables + ` WHERE t.seq = +?`
	sqlTaskGuard  = `SELECT ` + guardColumns + ` FROM task WHERE seq = ?`
	// Of a run of tasks: a statement a task would cost two or three times as much. Of what each
	// has of its own there are 16 bytes in a blob: its token, or the time as digits.
	sqlTaskBegin = `UPDATE task SET state = ?5, waiting = ?6, attempt = ?7, version = ?3, begun = ?8, token = substr(?4, 16 * (seq - ?1) + 1, 16),
executor = ?9, node = NULL, handle = NULL, started_at = ?10, updated_at = ?11, handed_at = ?12, done = NULL, total = NULL, message = NULL
WHERE seq BETWEEN ?1 AND ?2 AND version = ?3 - 1`
	sqlTaskSucceed = named(strings.ReplaceAll(`UPDATE task SET state = {succeeded}, token = NULL, handle = NULL, version = ?3 + 1,
finished_at = TIME, expires_at = iif(?6 < 0, {never}, TIME + ?6), updated_at = TIME, result = ?7
WHERE seq BETWEEN ?1 AND ?2 AND state = {running} AND attempt = ?4 AND version = ?3 AND begun IS NOT NULL AND lane = `,
		"TIME", `CAST(substr(?5, 16 * (seq - ?1) + 1, 16) AS INTEGER)`) + laneOfRun(8))
	sqlTaskStart = named(`UPDATE task SET state = {running}, waiting = {no reason}, version = ?3 + 1, begun = ?3 + 1, node = ?5, handle = ?6, started_at = ?7, updated_at = ?8
WHERE seq BETWEEN ?1 AND ?2 AND state = {pending} AND waiting = {dispatched} AND attempt = ?4 AND version = ?3 AND lane = ` + laneOfRun(9))
	sqlTaskProgress = named(`UPDATE task SET done = ?, total = ?, message = ?, updated_at = ?
WHERE seq = ? AND attempt = ? AND state BETWEEN {running} AND {reverting}`)

	sqlDue     = named(`SELECT seq, lane, priority, version, id, place, resources FROM task WHERE waiting = {scheduled} AND run_at <= +? ORDER BY run_at LIMIT +?`)
	sqlPromote = named(`UPDATE task SET waiting = ?, version = version + 1, updated_at = ? WHERE seq = ? AND waiting = {scheduled}`)
	sqlNextDue = named(`SELECT run_at FROM task WHERE waiting = {scheduled} ORDER BY run_at LIMIT 1`)
)

const (
	sqlInputInsert = `INSERT INTO input (task, data) VALUES (?, ?)`

	sqlKeyHolder = `SELECT t.id, t.seq, t.state, t.waiting FROM task_key k JOIN task t ON t.seq = k.task WHERE k.owner = ? AND k.type = ? AND k.key = ?`
	sqlIdemGet   = `SELECT hash, ids FROM idempotency WHERE owner = ? AND key = ? AND at >= +?`
	// One that is forgotten may be there still.
	sqlIdemInsert = `INSERT INTO idempotency (owner, key, hash, ids, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET hash = excluded.hash, ids = excluded.ids, at = excluded.at`
	sqlIdemExpire = `DELETE FROM idempotency WHERE (owner, key) IN (SELECT owner, key FROM idempotency WHERE at < ? ORDER BY at LIMIT +?)`
	sqlCheckpoint = `PRAGMA wal_checkpoint(PASSIVE)`
	sqlLaneRow    = `SELECT id FROM lane WHERE type = ? AND owner = ? AND route = ? AND executor = ? AND suspect = ? AND child = ? AND label_values = ?`
	sqlLaneOf     = `SELECT type, owner, route, executor, suspect, child, label_values FROM lane WHERE id = ?`
	sqlDeletable  = `SELECT t.state, t.key, l.owner, l.type, t.result, t.expires_at, t.id, t.parent FROM task t JOIN lane l ON l.id = t.lane WHERE t.seq = ?`
)

// prepareAll prepares every statement of the writer.
func prepareAll(conn *sqlite3.SQLiteConn) (st statements, err error) {
	p := func(to **stmt, sql string, columns int) {
		if err == nil {
			if *to, err = prepare(conn, sql, columns); err == nil {
				st.all = append(st.all, *to)
			}
		}
	}
	p(&st.begin, `BEGIN IMMEDIATE`, 0)
	p(&st.commit, `COMMIT`, 0)
	p(&st.rollback, `ROLLBACK`, 0)
	p(&st.checkpoint, sqlCheckpoint, 3)
	p(&st.taskInsert, insertTasks(1), 0)
	p(&st.tasksInsert, insertTasks(insertAtOnce), 0)
	p(&st.alikeInsert, insertAlike(insertAtOnce), 0)
	p(&st.inputInsert, sqlInputInsert, 0)
	p(&st.inputsInsert, sqlInputInsert+strings.Repeat(`, (?, ?)`, insertAtOnce-1), 0)
	p(&st.taskWhole, sqlTaskWhole, wholeCount)
	p(&st.taskBegin, sqlTaskBegin, 0)
	p(&st.taskSucceed, sqlTaskSucceed, 0)
	p(&st.taskStart, sqlTaskStart, 0)
	p(&st.taskGuard, sqlTaskGuard, guardCount)
	p(&st.taskUpdate, sqlTaskUpdate, 0)
	p(&st.taskProgress, sqlTaskProgress, 0)
	p(&st.historyInsert, `INSERT INTO history (task, n, at, from_state, to_state, attempt, by, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, 0)
	p(&st.inputUpdate, `UPDATE input SET data = ? WHERE task = ?`, 0)
	p(&st.scheduleSpec, `UPDATE schedule SET spec = ? WHERE id = ?`, 0)
	p(&st.resultPut, `INSERT INTO result (task, type, data) VALUES (?, ?, ?) ON CONFLICT (task) DO UPDATE SET type = excluded.type, data = excluded.data`, 0)
	p(&st.resultDelete, `DELETE FROM result WHERE task = ?`, 0)
	p(&st.detailCheckpoint.put, `INSERT INTO task_detail (task, checkpoint) VALUES (?, ?) ON CONFLICT (task) DO UPDATE SET checkpoint = excluded.checkpoint`, 0)
	p(&st.detailCheckpoint.clear, `UPDATE task_detail SET checkpoint = NULL WHERE task = ?`, 0)
	p(&st.detailError.put, `INSERT INTO task_detail (task, error_message, error_details) VALUES (?, ?, ?)
ON CONFLICT (task) DO UPDATE SET error_message = excluded.error_message, error_details = excluded.error_details`, 0)
	p(&st.detailError.clear, `UPDATE task_detail SET error_message = NULL, error_details = NULL WHERE task = ?`, 0)
	p(&st.readyPlaces.same, sqlReadyPlaces+sqlReadySame, 2)
	p(&st.readyPlaces.below, sqlReadyPlaces+sqlReadyBelow, 2)
	p(&st.readyPlaces.childSame, sqlChildPlaces+sqlReadyChildSame, 3)
	p(&st.readyPlaces.childBelow, sqlChildPlaces+sqlReadyChildBelow, 3)
	p(&st.readyTasks.same, sqlReadyTasks+sqlReadySame, readyCount)
	p(&st.readyTasks.below, sqlReadyTasks+sqlReadyBelow, readyCount)
	p(&st.readyTasks.childSame, sqlReadyTasks+sqlReadyChildSame, readyCount)
	p(&st.readyTasks.childBelow, sqlReadyTasks+sqlReadyChildBelow, readyCount)
	p(&st.due, sqlDue, 7)
	p(&st.promote, sqlPromote, 0)
	p(&st.nextDue, sqlNextDue, 1)
	p(&st.laneInsert, `INSERT INTO lane (id, type, owner, route, executor, suspect, child, label_values) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, 0)
	p(&st.laneRow, sqlLaneRow, 1)
	p(&st.laneOf, sqlLaneOf, 7)
	p(&st.blockInsert, `INSERT OR IGNORE INTO in_flight_block (block) VALUES (?)`, 0)
	p(&st.blockDelete, `DELETE FROM in_flight_block WHERE block = ?`, 0)
	p(&st.keyHolder, sqlKeyHolder, 4)
	p(&st.keyInsert, `INSERT INTO task_key (owner, type, key, task) VALUES (?, ?, ?, ?)`, 0)
	p(&st.keyDelete, `DELETE FROM task_key WHERE owner = ? AND type = ? AND key = ?`, 0)
	p(&st.keyClear, `UPDATE task SET key = NULL WHERE seq = ?`, 0)
	p(&st.idemGet, sqlIdemGet, 2)
	p(&st.idemInsert, sqlIdemInsert, 0)
	p(&st.idemExpire, sqlIdemExpire, 0)
	p(&st.logInsert, `INSERT OR IGNORE INTO log (task, n, at, attempt, level, message, fields)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM task WHERE seq = ?1)`, 0)
	p(&st.offerPut, sqlOfferPut, 0)
	p(&st.offerExpire, sqlOfferExpire, 0)
	p(&st.taskToken, sqlTaskToken, 1)
	p(&st.uploadPut, `INSERT INTO upload (task, token, type, data) VALUES (?, ?, ?, ?)
ON CONFLICT (task) DO UPDATE SET token = excluded.token, type = excluded.type, data = excluded.data`, 0)
	p(&st.uploadDelete, `DELETE FROM upload WHERE task = ?`, 0)
	p(&st.versionGet, sqlVersionGet, 1)
	p(&st.versionPut, sqlVersionPut, 0)
	p(&st.versionDelete, `DELETE FROM version WHERE name = ?`, 0)
	p(&st.signalPut, sqlSignalPut, 0)
	p(&st.signalGet, sqlSignalGet, 1)
	p(&st.signalDelete, `DELETE FROM signal WHERE kind = ? AND id = ?`, 0)
	p(&st.parent, sqlParent, 5)
	p(&st.childNamed, sqlChildNamed, 3)
	p(&st.anyUnfinished, sqlAnyUnfinished, 1)
	p(&st.waitForAll, sqlWaitForAll, 0)
	p(&st.waitForOne, sqlWaitForOne, 0)
	p(&st.childDone, sqlChildDone, 0)
	p(&st.forgetWait, sqlForgetWait, 0)
	p(&st.anyWait, sqlAnyWait, 1)
	p(&st.claimLast, sqlClaimLast, 1)
	p(&st.holders, sqlHolders, 3)
	p(&st.waiters, sqlWaiters, 3)
	p(&st.claimsOfTask, sqlClaimsOfTask, 4)
	p(&st.claimInsert, sqlClaimInsert+sqlClaimRow, 0)
	p(&st.claimsInsert, sqlClaimInsert+sqlClaimRow+strings.Repeat(", "+sqlClaimRow, claimsAtOnce-1), 0)
	p(&st.claimGrant, sqlClaimGrant, 0)
	p(&st.claimsGrant, sqlClaimsGrant, 0)
	p(&st.claimsDelete, sqlClaimsDelete, 0)
	p(&st.waitingTasks, sqlWaitingTasks, readyCount)
	p(&st.makeReady, sqlMakeReady, 0)
	p(&st.typePut, sqlTypePut, 0)
	p(&st.typePause, sqlTypePause, 0)
	p(&st.typeDelete, sqlTypeDelete, 0)
	p(&st.typeSweep, sqlTypeSweep, 0)
	p(&st.held, sqlHeld, 3)
	p(&st.moveLane, sqlMoveLane, 0)
	p(&st.ratePut, sqlRatePut, 0)
	p(&st.scheduleInsert, sqlScheduleInsert, 0)
	p(&st.scheduleUpdate, sqlScheduleUpdate, 0)
	p(&st.scheduleGuard, sqlScheduleGuard, 2)
	p(&st.scheduleNamed, sqlScheduleNamed, 1)
	p(&st.scheduleDelete, sqlScheduleDelete, 0)
	p(&st.tokenNamed, sqlTokenNamed, 1)
	p(&st.tokenInsert, sqlTokenInsert, 0)
	p(&st.tokenDelete, sqlTokenDelete, 0)
	p(&st.tokenUsed, sqlTokenUsed, 0)
	p(&st.auditInsert, sqlAuditInsert, 0)
	p(&st.auditForget, sqlAuditForget, 0)
	p(&st.groupInsert, sqlGroupInsert, 0)
	p(&st.groupJoin, sqlGroupJoin, 2)
	p(&st.groupClose, sqlGroupClose, 0)
	p(&st.groupCount, sqlGroupCount, 0)
	p(&st.groupFinished, sqlGroupFinished, 1)
	p(&st.groupReopened, sqlGroupReopened, 0)
	p(&st.groupFinisher, sqlGroupFinisher, 0)
	p(&st.groupState, sqlGroupState, 3)
	p(&st.groupDelete, sqlGroupDelete, 0)
	p(&st.groupRetire, sqlGroupRetire, 0)
	p(&st.groupPostpone, sqlGroupPostpone, 0)
	p(&st.groupAsked, sqlGroupAsked, 0)
	p(&st.groupsDue, sqlGroupsDue, 2)
	p(&st.deletable, sqlDeletable, 8)
	p(&st.seqRecord, `INSERT INTO meta (name, value) VALUES ('order', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, 0)
	p(&st.markPut, `INSERT INTO meta (name, value) VALUES ('mark', ?), ('sum', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, 0)
	p(&st.eventMark, sqlEventMark, 0)
	p(&st.lastMark, sqlLastMark, 2)
	p(&st.taskDelete, `DELETE FROM task WHERE seq = ?`, 0)
	p(&st.historyDelete, `DELETE FROM history WHERE task = ?`, 0)
	p(&st.logDelete, `DELETE FROM log WHERE task = ?`, 0)
	p(&st.inputDelete, `DELETE FROM input WHERE task = ?`, 0)
	p(&st.detailDelete, `DELETE FROM task_detail WHERE task = ?`, 0)
	p(&st.bytesOf, sqlBytesOf, 1)
	p(&st.bytesAdd, sqlBytesAdd, 0)
	return st, err
}

// close finalizes every statement; one that is left keeps the connection's files
// open after it is closed.
func (st *statements) close() error {
	var errs []error
	for _, s := range st.all {
		errs = append(errs, s.s.Close())
	}
	return errors.Join(errs...)
}
