package server

import (
	"net/http"
	"slices"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// routes are all that is served.
func (h *handlers) routes() []route {
	var all []route
	all = append(all, h.taskRoutes()...)
	all = append(all, h.childRoutes()...)
	all = append(all, h.actionRoutes()...)
	all = append(all, h.groupRoutes()...)
	all = append(all, h.resourceRoutes()...)
	all = append(all, h.scheduleRoutes()...)
	all = append(all, h.boardRoutes()...)
	all = append(all, h.recordRoutes()...)
	all = append(all, h.typeRoutes()...)
	all = append(all, h.executorRoutes()...)
	all = append(all, h.workerRoutes()...)
	all = append(all, h.attemptRoutes()...)
	all = append(all, h.identityRoutes()...)
	all = append(all, h.quotaRoutes()...)
	return append(all, h.hostRoutes()...)
}

// tags are the groups of routes, in the order of the document.
var tags = []struct{ name, doc string }{
	{"tasks", "Submit tasks, look at them, end them, run them again."},
	{"groups", "Tasks that belong together: counted by their states, ended and run again as one, with a last task that runs when all are final."},
	{"schedules", "Tasks that are submitted again and again, by a cron line or at an interval."},
	{"resources", "Names that tasks have for themselves or share, first come, first served, and who waits for them."},
	{"board", "For workers that have nothing but HTTP: they claim tasks that are placed on a board, and say how they go. The token of a claim is the attempt's."},
	{"records", "What is told of a task: its result, its history, its log, and what happens to it now."},
	{"types", "What can be run."},
	{"executors", "What runs it, as operators see it."},
	{"workers", "The machines and processes behind executors that have any, as operators see them."},
	{"attempts", "For workers: what a broker cannot carry. Attempts also submit, children of their tasks. The token of the attempt is the credential, and the only one."},
	{"identity", "Who may call, what they may do, and what they did."},
	{"host", "The host itself."},
}

// The parameters and headers that several routes have.
var (
	taskPrefix = param{name: "id", in: "path", kind: "string", least: 1, most: idLength, pattern: "^[0-9A-Fa-f-]+$",
		doc: "the task's id, or a beginning of it that no other task's id has"}
	taskID       = param{name: "id", in: "path", kind: "uuid", doc: "the task's whole id"}
	typeName     = param{name: "name", in: "path", kind: "string", doc: "the task type's name"}
	executorName = param{name: "name", in: "path", kind: "string", doc: "the executor's name"}
	workerName   = param{name: "name", in: "path", kind: "string", doc: "the worker's name"}
	token        = param{name: "token", in: "path", kind: "string", pattern: "^[0-9A-Fa-f]{32}$", doc: "the attempt's token, which ends with it"}

	waitParam = param{name: "wait", in: "query", kind: "string",
		doc: "hold the answer until the task is final, this long at the most: 30s, or a number of seconds; 5 minutes are granted"}
	prefer    = param{name: "Prefer", in: "header", kind: "string", doc: "wait=30: hold the answer until the task is final, so many seconds at the most; 300 are granted"}
	idemParam = param{name: "Idempotency-Key", in: "header", kind: "string", least: 1, most: maxIdempotencyKey,
		doc: "a name for this request, of the client's choice and by owner: sent again with the same body within 24 hours it is answered with the first tasks, with another body 422 idempotency_mismatch. " +
			"Of a task that was deleted meanwhile a batch is answered with the id, anything else with 409 conflict"}
	traceParam  = param{name: "traceparent", in: "header", kind: "string", doc: "the caller's trace context, as W3C has it: kept with the task and handed to its executor"}
	ifNoneMatch = param{name: "If-None-Match", in: "header", kind: "string", doc: "an ETag: 304 if the task is still as it was"}

	groupID      = param{name: "id", in: "path", kind: "uuid", doc: "the group's id"}
	scheduleID   = param{name: "id", in: "path", kind: "uuid", doc: "the schedule's id"}
	resourceName = param{name: "name", in: "path", kind: "string", doc: "the resource's name"}

	pageCursor     = param{name: "cursor", in: "query", kind: "uuid", doc: "next of the page before"}
	textPageCursor = param{name: "cursor", in: "query", kind: "string", doc: "next of the page before"}

	location        = param{name: "Location", kind: "string", doc: "the path of the task", always: true}
	groupLocation   = param{name: "Location", kind: "string", doc: "the path of the group, if they make one"}
	contentLocation = param{name: "Content-Location", kind: "string", doc: "the path of the task, by its whole id", always: true}
	replayed        = param{name: "Idempotency-Replayed", kind: "string", enum: []string{"true"}, doc: "there if the Idempotency-Key names an earlier request, whose tasks these are, or all are children that there were already"}
	applied         = param{name: "Preference-Applied", kind: "string", doc: "the wait that was granted, if one was asked for: wait=30"}
	etag            = param{name: "ETag", kind: "string", doc: "of the task as it is in this answer; its progress counts", always: true}
	nextLink        = param{name: "Link", kind: "string", doc: `the next page, with rel="next"; absent on the last`}
	noCache         = param{name: "Cache-Control", kind: "string", enum: []string{"no-cache"}, doc: "ask again before this is used again", always: true}
	noStore         = param{name: "Cache-Control", kind: "string", enum: []string{"no-store"}, doc: "a stream is not kept", always: true}
	sandbox         = param{name: "Content-Security-Policy", kind: "string", doc: "has a browser run nothing of it", always: true}
	shown           = []param{etag, contentLocation, noCache}
)

// The codes that go together.
var (
	reads  = []task.Code{task.CodeStoreUnavailable}
	writes = []task.Code{task.CodeStoreUnavailable, task.CodeStoreFull}
	// named are those of a route that takes the beginning of an id: it may be no id's, or several's.
	named = []task.Code{task.CodeStoreUnavailable, task.CodeNotFound, task.CodeConflict}
)

func codes(some []task.Code, more ...task.Code) []task.Code { return slices.Concat(some, more) }

func (h *handlers) taskRoutes() []route {
	const tag = "tasks"
	submit := codes(writes, task.CodeInvalidInput, task.CodeUnknownType, task.CodeNotFound, task.CodeConflict, task.CodeIdempotencyMismatch,
		task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout, task.CodeQueueFull, task.CodeQuotaExceeded, task.CodeExecutorUnavailable)
	shownTask := []answer{{status: http.StatusOK, doc: "the task", body: api.Task{}, headers: shown}, {status: http.StatusNotModified, doc: "the task is as it was", headers: shown}}
	accepted := []param{location, replayed, applied}
	return []route{
		{method: http.MethodPost, path: "/v1/tasks", id: "submitTask", tag: tag, summary: "Submit a task", handle: h.submitTask,
			description: "The task is on disk when this answers. A key is unique within owner and type while its task exists, which is until it is deleted or was final for as long as its retain says: " +
				"a second one is 409 conflict, naming the first, unless on_conflict asks for something else. An Idempotency-Key is remembered for 24 hours from the first request, whatever becomes of its tasks. " +
				"Both hold over a restart of the host. A group that it is to join must be there (404) and open (409). With a parent it is a child of that task: Authorization carries the token of the attempt " +
				"that runs it, and a child of the same name that is there already is the answer, as if it had been sent before. The body may have 1 MiB more than the largest input that a type takes.",
			params: []param{prefer, idemParam, traceParam}, body: api.TaskRequest{}, codes: submit, spawns: true,
			answers: []answer{
				{status: http.StatusAccepted, doc: "accepted, and not final yet", body: api.Task{}, headers: accepted},
				{status: http.StatusOK, doc: "accepted, and final within the wait; or, with on_conflict existing, the task that has the key", body: api.Task{}, headers: accepted},
			}},
		{method: http.MethodPost, path: "/v1/batches", id: "submitBatch", tag: tag, summary: "Submit many tasks, all or none", handle: h.submitBatch,
			description: "All tasks are on disk when this answers, or none is, and so is the group that they make, if they make one. Each task may say on_conflict for itself; " +
				"existing is not for the members of a batch's own group. The body may have 64 MiB.",
			params: []param{idemParam, traceParam}, body: api.BatchRequest{}, codes: submit, spawns: true,
			answers: []answer{{status: http.StatusAccepted, doc: "all are accepted", body: api.BatchAnswer{}, headers: []param{replayed, groupLocation}}}},
		{method: http.MethodGet, path: "/v1/tasks", id: "listTasks", tag: tag, summary: "List tasks", handle: h.listTasks,
			description: "Newest first, without inputs, results and the details of errors. Filters that are given must all match. With format=jsonl all of them are streamed, " +
				"however many: an answer that breaks off is not complete, and goes on with cursor, the id of the last task that it had.",
			params: listParams(), codes: codes(reads, api.CodeNotAcceptable),
			answers: []answer{{status: http.StatusOK, doc: "one page, or all as lines", body: api.TaskList{}, headers: []param{nextLink}},
				{status: http.StatusOK, doc: "one page, or all as lines", media: "application/x-ndjson", body: taskLines{}, content: "the tasks, each as JSON on a line of its own",
					headers: []param{{name: "Cache-Control", kind: "string", enum: []string{"no-store"}, doc: "a stream is not kept"}}}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}", id: "getTask", tag: tag, summary: "Read a task", handle: h.getTask,
			description: "With wait the answer is held until the task is final, or the time is up.",
			params:      []param{taskPrefix, waitParam, ifNoneMatch}, codes: named, answers: shownTask},
		{method: http.MethodGet, path: "/v1/tasks/by-key/{type}/{key...}", id: "getTaskByKey", tag: tag, summary: "Read a task by its key", handle: h.getTaskByKey,
			description: "Of the caller's own tasks, the one of that type that was submitted with that key.",
			params: []param{{name: "type", in: "path", kind: "string", doc: "the task's type"}, {name: "key", in: "path", kind: "string", doc: "the key that was given at submit, percent-encoded: a slash in it is %2F"},
				waitParam, ifNoneMatch},
			codes: codes(reads, task.CodeNotFound), answers: shownTask},
		{method: http.MethodDelete, path: "/v1/tasks/{id}", id: "deleteTask", tag: tag, summary: "Delete a final task", handle: h.deleteTask,
			description: "Its result, history and log go with it, and what it has spawned. 409 not_final also while something of that goes on, and of a child as long as its parent may ask for it again.", params: []param{taskID},
			codes: codes(writes, task.CodeNotFound, task.CodeNotFinal), answers: []answer{{status: http.StatusNoContent, doc: "it is deleted"}}},
		{method: http.MethodPost, path: "/v1/tasks/{id}/cancel", id: "cancelTask", tag: tag, summary: "Ask a task to end", handle: h.cancelTask,
			description: "A task that does not run is canceled at once. One that runs is canceling until its attempt was heard to end, or its time to end is up; " +
				"if its work is done meanwhile it succeeds. Asking again changes nothing.",
			params: []param{taskID}, codes: codes(writes, task.CodeNotFound, task.CodeAlreadyFinal, task.CodeConflict),
			answers: []answer{{status: http.StatusAccepted, doc: "canceling: its attempt's end is awaited", body: api.Task{}},
				{status: http.StatusOK, doc: "canceled before it ran", body: api.Task{}}}},
		{method: http.MethodPost, path: "/v1/tasks/{id}/retry", id: "retryTask", tag: tag, summary: "Run a final task again", handle: h.retryTask,
			description: "A failed, canceled or reverted task waits again, with fresh attempts and without its deadline, and so do those of its children that failed or were canceled.",
			params:      []param{taskID}, codes: codes(writes, task.CodeNotFound, task.CodeNotFinal, task.CodeConflict, task.CodeQueueFull, task.CodeQuotaExceeded),
			answers: []answer{{status: http.StatusAccepted, doc: "it waits again", body: api.Task{}}}},
	}
}

// selector is a parameter that selects by a text.
func selector(name, doc string) param {
	return param{name: name, in: "query", kind: "string", least: 1, doc: doc}
}

func pageLimit(of string) param {
	return param{name: "limit", in: "query", kind: "integer", least: 1, most: task.MaxListLimit, otherwise: task.DefaultListed, doc: of + " to a page"}
}

func listParams() []param {
	return []param{
		{name: "state", in: "query", kind: "states", doc: "tasks in this state; may repeat, and any may match"},
		{name: "type", in: "query", kind: "strings", doc: "tasks of this type; may repeat, and any may match"},
		selector("executor", "tasks that it runs or ran last, and those that wait and are its own by what they ask for or by their type"),
		selector("owner", "tasks of this owner; who is no admin sees their own alone"),
		selector("key", "the task with this key"),
		{name: "group", in: "query", kind: "uuid", doc: "members of this group"},
		{name: "parent", in: "query", kind: "uuid", doc: "children of this task"},
		{name: "label", in: "query", kind: "strings", pattern: "^[^=]+=", doc: "tasks with this label: name=value, where the first '=' ends the name; may repeat, and all must match"},
		{name: "created_after", in: "query", kind: "date-time", doc: "tasks created later than this"},
		{name: "created_before", in: "query", kind: "date-time", doc: "tasks created earlier than this"},
		{name: "finished_after", in: "query", kind: "date-time", doc: "tasks that became final later than this"},
		{name: "finished_before", in: "query", kind: "date-time", doc: "tasks that became final earlier than this; what is not final is none of them"},
		{name: "order", in: "query", kind: "string", enum: []string{"desc", "asc"}, otherwise: "desc", doc: "desc: newest first; asc: oldest first"},
		{name: "format", in: "query", kind: "string", enum: []string{"json", "jsonl"}, otherwise: "json", doc: "json: one page; jsonl: application/x-ndjson, a line of JSON for each task, and all of them unless limit is given"},
		pageLimit("tasks"),
		{name: "cursor", in: "query", kind: "uuid", doc: "next of the page before, or the id of any task: the list goes on behind it"},
	}
}

func (h *handlers) recordRoutes() []route {
	const tag = "records"
	return []route{
		{method: http.MethodGet, path: "/v1/tasks/{id}/result", id: "getResult", tag: tag, summary: "Read a task's result", handle: h.getResult,
			description: "Its bytes as the script left them. A task that left none is 404, one that is not final yet 409 not_final.",
			params:      []param{taskPrefix}, codes: codes(named, task.CodeNotFinal),
			answers: []answer{{status: http.StatusOK, doc: "the result", media: "*/*", content: "the bytes, with the content type that the script gave them", headers: []param{noCache, sandbox}}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}/history", id: "getHistory", tag: tag, summary: "Read a task's history", handle: h.getHistory,
			description: "Every transition, oldest first.", params: []param{taskPrefix}, codes: named,
			answers: []answer{{status: http.StatusOK, doc: "the transitions", body: api.History{}}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}/logs", id: "getLogs", tag: tag, summary: "Read or follow a task's log", handle: h.getLogs,
			description: "Without follow one page of the lines that there are; with follow all of them and those to come, as they come, until the task is final. " +
				"Of what an attempt logs so many lines and bytes are kept as the config says (10,000 and 4 MiB if it says nothing): a line of level warn stands where more began to be dropped, " +
				"and one at the attempt's end says how much, also in its fields dropped_lines and dropped_bytes.",
			params: []param{taskPrefix,
				{name: "follow", in: "query", kind: "boolean", flag: true, doc: "stream lines as they come: the answer is application/x-ndjson then, a line of JSON for each"},
				selector("since", "lines after that seq, or not before that time"),
				{name: "level", in: "query", kind: "string", enum: []string{"trace", "debug", "info", "warn", "error"}, doc: "lines of this level and above"},
				selector("text", "lines with this in their text, or in the value of a field; capital or small letters are the same"),
				{name: "attempt", in: "query", kind: "integer", least: 1, most: 1<<31 - 1, doc: "lines of this attempt"},
				{name: "limit", in: "query", kind: "integer", least: 1, most: 10_000, otherwise: logsListed, doc: "lines to an answer that is not followed"}},
			codes: codes(named, api.CodeNotAcceptable), answers: []answer{{status: http.StatusOK, doc: "the lines", body: api.LogList{}},
				{status: http.StatusOK, doc: "the lines", media: "application/x-ndjson", body: logLines{}, content: "the lines, each as JSON on a line of its own", headers: []param{{name: "Cache-Control", kind: "string", enum: []string{"no-store"}, doc: "a stream is not kept"}}}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}/events", id: "watchTask", tag: tag, summary: "Watch a task", handle: h.watchTask,
			description: "Server-sent events until the task is final: all of its history, or what came after Last-Event-ID, and then what comes. " +
				"`state` is a transition, with the task as it is by then; its id is the transition's seq, and no transition is left out or told twice. " +
				"`progress` is how far the attempt is, and not each of its steps is told. `reset` says that Last-Event-ID is not of this task's history, which is told from its " +
				"beginning then. The stream begins with retry, the milliseconds after which to ask again if it ends before a final state, and has a comment every 15 seconds.",
			params: []param{taskPrefix, {name: "Last-Event-ID", in: "header", kind: "string", pattern: "^[0-9]+$", doc: "the id of the last event seen"}},
			codes:  codes(named, api.CodeNotAcceptable),
			answers: []answer{{status: http.StatusOK, doc: "the events", media: "text/event-stream", body: eventMessages{}, content: "the events, in the order they come", headers: []param{noStore}},
				{status: http.StatusNoContent, doc: "the task is final and Last-Event-ID is its last event: nothing will come"}}},
		{method: http.MethodGet, path: "/v1/events", id: "watchTasks", tag: tag, summary: "Watch all tasks", handle: h.watchTasks,
			description: "Server-sent events, for as long as the client listens: what happens from now on, or after Last-Event-ID. Filters that are given must all match. " +
				"`state` is a transition of a task, with the task as it left it; transitions come in the order in which they were put on record, that of the submit first. " +
				"Ids rise, over restarts too. What a client has missed that comes back with its last id is told first, with the tasks as they are by then: exactly for some thousand events, and over a " +
				"restart as far as it is found on record, where what happened in the seconds before the id may be told again: an event is that of its task's id and its seq. " +
				"`reset` says that events were missed which are told no more, because the id is too old or the client too slow: read the tasks anew; the stream goes on from now. " +
				"Deletions and progress are not told. The stream begins with retry, the milliseconds after which to ask again if it ends, and with the id of now; " +
				"every 15 seconds comes a comment, and the id of what was looked at, so that it does not age with what is not asked for.",
			params: []param{
				{name: "type", in: "query", kind: "strings", doc: "events of tasks of this type; may repeat, and any may match"},
				{name: "state", in: "query", kind: "states", doc: "transitions to this state; may repeat, and any may match"},
				{name: "group", in: "query", kind: "uuid", doc: "events of members of this group"},
				selector("owner", "events of tasks of this owner; who is no admin sees their own alone"),
				{name: "Last-Event-ID", in: "header", kind: "string", pattern: "^[0-9]+$", doc: "the last id that the stream gave"}},
			codes:   codes(reads, api.CodeNotAcceptable),
			answers: []answer{{status: http.StatusOK, doc: "the events", media: "text/event-stream", body: allMessages{}, content: "the events, in the order they come", headers: []param{noStore}}}},
	}
}

func (h *handlers) executorRoutes() []route {
	const tag = "executors"
	out := []route{
		{method: http.MethodGet, path: "/v1/executors", id: "listExecutors", tag: tag, summary: "List executors", handle: h.listExecutors,
			description: "All that the config has, with what they do at the moment.",
			answers:     []answer{{status: http.StatusOK, doc: "the executors", body: api.ExecutorList{}}}},
		{method: http.MethodGet, path: "/v1/executors/{name}", id: "getExecutor", tag: tag, summary: "Read an executor", handle: h.getExecutor,
			description: "Its state and why it is in it, its processes, slots, types and workers.", params: []param{executorName}, codes: []task.Code{task.CodeNotFound},
			answers: []answer{{status: http.StatusOK, doc: "the executor", body: api.Executor{}}}},
	}
	record := codes(writes, task.CodeConflict)
	process := []task.Code{task.CodeConflict, task.CodeExecutorUnavailable}
	for _, c := range []struct {
		action, summary, doc string
		codes                []task.Code
	}{
		{"pause", "Pause an executor", "It starts no more attempts; those that run go on. The pause outlasts the host.", record},
		{"resume", "Resume a paused executor", "It starts attempts again.", record},
		{"drain", "Drain an executor", "It finishes what runs and then its process is stopped. A built-in has none.", process},
		{"restart", "Restart an executor", "Its process is replaced by a new one, and finishes what it runs. A built-in has none.", process},
	} {
		out = append(out, route{method: http.MethodPost, path: "/v1/executors/{name}/" + c.action, id: c.action + "Executor", tag: tag, summary: c.summary,
			description: c.doc + " What would change nothing is 409, and its detail names what would. For operators.", params: []param{executorName}, codes: codes(c.codes, task.CodeNotFound), role: identity.Operator,
			handle: h.controlExecutor(c.action), answers: []answer{{status: http.StatusOK, doc: "the executor as it is now", body: api.Executor{}}}})
	}
	return out
}

func (h *handlers) workerRoutes() []route {
	const tag = "workers"
	control := []task.Code{task.CodeNotFound, task.CodeConflict, task.CodeExecutorUnavailable}
	return []route{
		{method: http.MethodGet, path: "/v1/workers", id: "listWorkers", tag: tag, summary: "List workers", handle: h.listWorkers,
			description: "The workers of all executors, with what they do at the moment.",
			answers:     []answer{{status: http.StatusOK, doc: "the workers", body: api.WorkerList{}}}},
		{method: http.MethodGet, path: "/v1/workers/{name}", id: "getWorker", tag: tag, summary: "Read the workers of a name", handle: h.getWorker,
			description: "One; or several, while one is restarted or two have one name.", params: []param{workerName}, codes: []task.Code{task.CodeNotFound},
			answers: []answer{{status: http.StatusOK, doc: "the workers", body: api.WorkerList{}}}},
		{method: http.MethodPost, path: "/v1/workers/{name}/drain", id: "drainWorker", tag: tag, summary: "Drain a worker",
			description: "It finishes what it runs and is given nothing more. The drain holds for the name, over restarts of the worker and of the host, until it is resumed. A name that is drained already is 409. For operators.",
			params:      []param{workerName}, handle: h.controlWorker("drain"), codes: control, role: identity.Operator, answers: []answer{{status: http.StatusOK, doc: "the worker as it is now", body: api.Worker{}}}},
		{method: http.MethodPost, path: "/v1/workers/{name}/resume", id: "resumeWorker", tag: tag, summary: "Resume a drained worker",
			description: "It is given attempts again. A name that is not drained is 409. For operators.",
			params:      []param{workerName}, handle: h.controlWorker("resume"), codes: control, role: identity.Operator, answers: []answer{{status: http.StatusOK, doc: "the worker as it is now", body: api.Worker{}}}},
	}
}

// attemptRoutes carry by reference what a broker cannot: a worker fetches an
// attempt's input from here and puts its result here. The attempt's token is
// the key, so they are open to callers without another.
func (h *handlers) attemptRoutes() []route {
	const tag = "attempts"
	return []route{
		{method: http.MethodGet, path: "/v1/attempts/{token}/input", id: "attemptInput", tag: tag, summary: "Read the input of a running attempt", open: true,
			description: "As the task was submitted with it.", params: []param{token}, codes: []task.Code{task.CodeNotFound}, handle: h.attemptInput,
			answers: []answer{{status: http.StatusOK, doc: "the input", media: "application/json", content: "any JSON value"}}},
		{method: http.MethodGet, path: "/v1/attempts/{token}/checkpoint", id: "attemptCheckpoint", tag: tag, summary: "Read the checkpoint of a running attempt", open: true,
			description: "As an earlier attempt at the task left it; empty if none did.", params: []param{token}, codes: []task.Code{task.CodeNotFound}, handle: h.attemptCheckpoint,
			answers: []answer{{status: http.StatusOK, doc: "the checkpoint", media: "application/octet-stream", content: "the script's own bytes"}}},
		{method: http.MethodGet, path: "/v1/attempts/{token}/children", id: "attemptChildren", tag: tag, summary: "Read the children of a running attempt's task", open: true,
			description: "What the attempt is told of them; an empty list if earlier attempts have spawned none.", params: []param{token}, codes: codes(reads, task.CodeNotFound), handle: h.attemptChildren,
			answers: []answer{{status: http.StatusOK, doc: "the children", media: "application/json", content: "a list of objects with name, id, type, state, and result, in base64, with result_type, or error"}}},
		{method: http.MethodPut, path: "/v1/attempts/{token}/result", id: "putAttemptResult", tag: tag, summary: "Put the result of a running attempt", open: true,
			description: "The bytes become the task's result, with the request's content type, when the attempt's success is reported. A result of more than the type's max_result, or of 64 MiB, is 413.",
			params:      []param{token}, bodyDoc: "the result, with its own content type",
			codes: codes(writes, task.CodeNotFound, task.CodeConflict, task.CodeTooLarge, api.CodeRequestTimeout), handle: h.putAttemptResult,
			answers: []answer{{status: http.StatusNoContent, doc: "kept until the attempt's end is reported"}}},
	}
}

func (h *handlers) hostRoutes() []route {
	const tag = "host"
	return []route{
		{method: http.MethodGet, path: "/healthz", id: "health", tag: tag, summary: "Ask whether the process answers", open: true, handle: h.health,
			description: "Whatever else it can do: see /readyz for that.", answers: []answer{{status: http.StatusOK, doc: "it does", body: api.Health{}}}},
		{method: http.MethodGet, path: "/readyz", id: "ready", tag: tag, summary: "Ask whether tasks can be accepted and run", open: true, handle: h.ready,
			description: "503 if the store cannot be used, the host is shutting down, or no executor can run anything; degraded, with 200, if some can't.",
			params:      []param{{name: "verbose", in: "query", kind: "boolean", flag: true, doc: "a line for each part of the host, in a problem too"}},
			codes:       []task.Code{task.CodeStoreUnavailable, task.CodeExecutorUnavailable},
			answers:     []answer{{status: http.StatusOK, doc: "they can", body: api.Health{}}}},
		{method: http.MethodGet, path: "/v1/status", id: "getStatus", tag: tag, summary: "See the host at one look", handle: h.getStatus,
			description: "Host, store, executors and workers, what waits and why, and what failed last. It is answered with 200 also where the host is unavailable.",
			answers:     []answer{{status: http.StatusOK, doc: "the host; of tasks, those that the caller may see", body: api.Status{}}}},
		{method: http.MethodGet, path: "/version", id: "version", tag: tag, summary: "Ask what answers", open: true, handle: h.version,
			description: "The program, and the versions of what it is made of.", answers: []answer{{status: http.StatusOK, doc: "name and versions", body: api.VersionInfo{}}}},
		{method: http.MethodGet, path: "/openapi.json", id: "openapi", tag: tag, summary: "Read this document", open: true, handle: h.openAPIDocument,
			description: "It is made of the routes that this server serves.", codes: []task.Code{api.CodeNotAcceptable},
			answers: []answer{{status: http.StatusOK, doc: "the document", media: "application/json", content: "OpenAPI 3.1"}}},
	}
}
