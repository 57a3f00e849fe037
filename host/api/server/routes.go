package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// routes are all that is served.
func (h *handlers) routes() []route {
	var all []route
	all = append(all, h.taskRoutes()...)
	all = append(all, h.groupRoutes()...)
	all = append(all, h.resourceRoutes()...)
	all = append(all, h.scheduleRoutes()...)
	all = append(all, h.recordRoutes()...)
	all = append(all, h.registryRoutes()...)
	all = append(all, h.attemptRoutes()...)
	return append(all, h.hostRoutes()...)
}

var (
	waitParam = param{name: "wait", in: "query", kind: "string", doc: "hold the answer until the task is final, this long at most: 30s, or a number of seconds"}
	idemParam = param{name: "Idempotency-Key", in: "header", kind: "string", doc: "the same key with the same body answers with the first tasks, with another body 422 idempotency_mismatch; by owner"}
	location  = param{name: "Location", kind: "string", doc: "the task"}
	replayed  = param{name: "Idempotency-Replayed", kind: "string", doc: "true if the Idempotency-Key named an earlier request"}
	applied   = param{name: "Preference-Applied", kind: "string", doc: "the wait that was granted"}
	etag      = param{name: "ETag", kind: "string", doc: "of this state of the task"}
	nextLink  = param{name: "Link", kind: "string", doc: `rel="next": the next page`}
)

func (h *handlers) taskRoutes() []route {
	const tag = "tasks"
	submitCodes := []task.Code{task.CodeInvalidInput, task.CodeUnknownType, task.CodeConflict, task.CodeIdempotencyMismatch,
		task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout, task.CodeQueueFull, task.CodeExecutorUnavailable, task.CodeStoreFull}
	return []route{
		{method: http.MethodPost, path: "/v1/tasks", id: "submitTask", tag: tag, summary: "Submit a task", handle: h.submitTask,
			description: "The task is on disk when this answers. key is unique within owner and type while the task exists: a second one is 409 conflict, naming the first.",
			params:      []param{{name: "Prefer", in: "header", kind: "string", doc: "wait=30: hold the answer until the task is final, so many seconds at most"}, idemParam},
			body:        api.TaskRequest{}, codes: submitCodes,
			answers: []answer{
				{status: http.StatusAccepted, doc: "accepted", body: api.Task{}, headers: []param{location, replayed, applied}},
				{status: http.StatusOK, doc: "final within the wait", body: api.Task{}, headers: []param{location, replayed, applied}},
			}},
		{method: http.MethodPost, path: "/v1/batches", id: "submitBatch", tag: tag, summary: "Submit many tasks, all or none", handle: h.submitBatch,
			params: []param{idemParam}, body: api.BatchRequest{}, codes: submitCodes,
			answers: []answer{{status: http.StatusAccepted, doc: "all accepted", body: api.BatchAnswer{}, headers: []param{replayed, {name: "Location", kind: "string", doc: "the group, if they are one"}}}}},
		{method: http.MethodGet, path: "/v1/tasks", id: "listTasks", tag: tag, summary: "List tasks", handle: h.listTasks,
			description: "Newest first, without inputs, results and the details of errors.", params: listParams(),
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.TaskList{}, headers: []param{nextLink}}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}", id: "getTask", tag: tag, summary: "Read a task", handle: h.getTask,
			description: "The id may be any beginning of it that is unique, of 4 characters or more.",
			params:      []param{waitParam, {name: "If-None-Match", in: "header", kind: "string", doc: "an ETag: 304 if the task is still as it was"}},
			codes:       []task.Code{task.CodeNotFound, task.CodeConflict}, answers: showAnswers()},
		{method: http.MethodGet, path: "/v1/tasks/by-key/{type}/{key}", id: "getTaskByKey", tag: tag, summary: "Read the task of that type and key", handle: h.getTaskByKey,
			params: []param{waitParam, {name: "If-None-Match", in: "header", kind: "string", doc: "an ETag: 304 if the task is still as it was"}},
			codes:  []task.Code{task.CodeNotFound}, answers: showAnswers()},
		{method: http.MethodDelete, path: "/v1/tasks/{id}", id: "deleteTask", tag: tag, summary: "Delete a final task and all that belongs to it", handle: h.deleteTask,
			codes: []task.Code{task.CodeNotFound, task.CodeNotFinal}, answers: []answer{{status: http.StatusNoContent, doc: "deleted"}}},
		{method: http.MethodPost, path: "/v1/tasks/{id}/cancel", id: "cancelTask", tag: tag, summary: "Ask a task to end", handle: h.cancelTask,
			codes: []task.Code{task.CodeNotFound, task.CodeAlreadyFinal, task.CodeConflict},
			answers: []answer{{status: http.StatusAccepted, doc: "canceling: its attempt's end is awaited", body: api.Task{}},
				{status: http.StatusOK, doc: "canceled before it ran", body: api.Task{}}}},
		{method: http.MethodPost, path: "/v1/tasks/{id}/retry", id: "retryTask", tag: tag, summary: "Run a failed, canceled or reverted task again, with fresh attempts", handle: h.retryTask,
			codes: []task.Code{task.CodeNotFound, task.CodeNotFinal, task.CodeConflict}, answers: []answer{{status: http.StatusAccepted, doc: "waiting again", body: api.Task{}}}},
	}
}

func showAnswers() []answer {
	return []answer{{status: http.StatusOK, doc: "the task", body: api.Task{}, headers: []param{etag}}, {status: http.StatusNotModified, doc: "as it was"}}
}

func listParams() []param {
	return []param{
		{name: "state", in: "query", kind: "state", doc: "may repeat"},
		{name: "type", in: "query", kind: "strings", doc: "may repeat"},
		{name: "executor", in: "query", kind: "string", doc: "that runs the task, or ran it last"},
		{name: "owner", in: "query", kind: "string", doc: "admins see every owner's tasks"},
		{name: "key", in: "query", kind: "string", doc: "the key given at submit"},
		{name: "group", in: "query", kind: "string", doc: "members of this group"},
		{name: "parent", in: "query", kind: "string", doc: "children of this task"},
		{name: "label", in: "query", kind: "strings", doc: "name=value; may repeat, and all must match"},
		{name: "created_after", in: "query", kind: "date-time", doc: "created later than this"},
		{name: "created_before", in: "query", kind: "date-time", doc: "created earlier than this"},
		{name: "order", in: "query", kind: "string", enum: []string{"desc", "asc"}, doc: "desc, the default: newest first"},
		{name: "limit", in: "query", kind: "integer", doc: "tasks to a page: 1 to 1000, by default 100"},
		{name: "cursor", in: "query", kind: "string", doc: "next of the page before"},
	}
}

func (h *handlers) recordRoutes() []route {
	const tag = "records"
	notFound := []task.Code{task.CodeNotFound, task.CodeConflict}
	return []route{
		{method: http.MethodGet, path: "/v1/tasks/{id}/result", id: "getResult", tag: tag, summary: "Read the result's bytes", handle: h.getResult,
			codes:   []task.Code{task.CodeNotFound, task.CodeNotFinal, task.CodeConflict},
			answers: []answer{{status: http.StatusOK, doc: "the bytes, with the content type that the script gave them", media: "*/*"}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}/history", id: "getHistory", tag: tag, summary: "Read every transition, oldest first", handle: h.getHistory,
			codes: notFound, answers: []answer{{status: http.StatusOK, doc: "the transitions", body: api.History{}}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}/logs", id: "getLogs", tag: tag, summary: "Read or follow log lines", handle: h.getLogs,
			description: "With follow the answer is application/x-ndjson, a line of JSON for each, until the task is final.",
			params: []param{
				{name: "follow", in: "query", kind: "boolean", doc: "stream lines as they come"},
				{name: "since", in: "query", kind: "string", doc: "lines after that seq, or not before that time"},
				{name: "level", in: "query", kind: "string", enum: []string{"trace", "debug", "info", "warn", "error"}, doc: "lines of this level and above"},
				{name: "attempt", in: "query", kind: "integer", doc: "lines of this attempt"},
				{name: "limit", in: "query", kind: "integer", doc: "lines to an answer that is not followed: 1 to 10000, by default 1000"}},
			codes: append(notFound, api.CodeNotAcceptable), answers: []answer{{status: http.StatusOK, doc: "the lines", body: api.LogList{}}, {status: http.StatusOK, doc: "the lines", media: "application/x-ndjson"}}},
		{method: http.MethodGet, path: "/v1/tasks/{id}/events", id: "watchTask", tag: tag, summary: "Watch a task", handle: h.watchTask,
			description: "Server-sent events until the task is final: `state` (id: the seq; data: the transition and the task as it is then), `progress` (data: done, total, message), " +
				"and `reset` if Last-Event-ID is not of this task's history. All of the history is told first, or what came after Last-Event-ID. " +
				"204 if the task is final and Last-Event-ID was its last.",
			params: []param{{name: "Last-Event-ID", in: "header", kind: "string", doc: "the id of the last event seen"}}, codes: append(notFound, api.CodeNotAcceptable),
			answers: []answer{{status: http.StatusOK, doc: "the events", media: "text/event-stream"}, {status: http.StatusNoContent, doc: "nothing will come"}}},
	}
}

func (h *handlers) registryRoutes() []route {
	named := []task.Code{task.CodeNotFound}
	control := []task.Code{task.CodeNotFound, task.CodeConflict, task.CodeForbidden, task.CodeExecutorUnavailable}
	out := []route{
		{method: http.MethodGet, path: "/v1/types", id: "listTypes", tag: "types", summary: "List task types", handle: h.listTypes,
			answers: []answer{{status: http.StatusOK, doc: "by name", body: api.TypeList{}}}},
		{method: http.MethodGet, path: "/v1/types/{name}", id: "getType", tag: "types", summary: "Read a task type", handle: h.getType, codes: named,
			answers: []answer{{status: http.StatusOK, doc: "schemas, executor, limits and counts", body: api.Type{}}}},
		{method: http.MethodGet, path: "/v1/executors", id: "listExecutors", tag: "executors", summary: "List executors", handle: h.listExecutors,
			answers: []answer{{status: http.StatusOK, doc: "in the order of the config", body: api.ExecutorList{}}}},
		{method: http.MethodGet, path: "/v1/executors/{name}", id: "getExecutor", tag: "executors", summary: "Read an executor", handle: h.getExecutor, codes: named,
			answers: []answer{{status: http.StatusOK, doc: "state, processes, slots, types and workers", body: api.Executor{}}}},
		{method: http.MethodGet, path: "/v1/workers", id: "listWorkers", tag: "workers", summary: "List workers", handle: h.listWorkers,
			answers: []answer{{status: http.StatusOK, doc: "the workers of all executors", body: api.WorkerList{}}}},
		{method: http.MethodGet, path: "/v1/workers/{name}", id: "getWorker", tag: "workers", summary: "Read the workers of a name", handle: h.getWorker, codes: named,
			answers: []answer{{status: http.StatusOK, doc: "one, or several while one is restarted or two have one name", body: api.WorkerList{}}}},
		{method: http.MethodPost, path: "/v1/workers/{name}/drain", id: "drainWorker", tag: "workers", summary: "Give a worker no more attempts",
			description: "It finishes what it runs. The drain holds for the name, over restarts of the worker and of the host, until it is resumed.",
			handle:      h.controlWorker("drain"), codes: control, answers: []answer{{status: http.StatusOK, doc: "the worker", body: api.Worker{}}}},
		{method: http.MethodPost, path: "/v1/workers/{name}/resume", id: "resumeWorker", tag: "workers", summary: "Give a drained worker attempts again",
			handle: h.controlWorker("resume"), codes: control, answers: []answer{{status: http.StatusOK, doc: "the worker", body: api.Worker{}}}},
	}
	for _, c := range []struct{ action, summary string }{
		{"pause", "Start no more attempts on an executor"}, {"resume", "Start attempts again"},
		{"drain", "Let an executor finish what it runs, then stop it"}, {"restart", "Replace an executor's process, which finishes what it runs"},
	} {
		out = append(out, route{method: http.MethodPost, path: "/v1/executors/{name}/" + c.action, id: c.action + "Executor", tag: "executors", summary: c.summary,
			handle: h.controlExecutor(c.action), codes: control, answers: []answer{{status: http.StatusOK, doc: "the executor", body: api.Executor{}}}})
	}
	return out
}

// attemptRoutes carry by reference what a broker cannot: a worker fetches an
// attempt's input from here and puts its result here. The attempt's token is
// the key, so they are open to callers without another.
func (h *handlers) attemptRoutes() []route {
	const tag = "attempts"
	return []route{
		{method: http.MethodGet, path: "/v1/attempts/{token}/input", id: "attemptInput", tag: tag, summary: "The input of a running attempt", open: true,
			description: "For workers. The token is the attempt's own and ends with it.", codes: []task.Code{task.CodeNotFound}, handle: h.attemptInput,
			answers: []answer{{status: http.StatusOK, doc: "the input, any JSON value", media: "application/json"}}},
		{method: http.MethodGet, path: "/v1/attempts/{token}/checkpoint", id: "attemptCheckpoint", tag: tag, summary: "The checkpoint of a running attempt", open: true,
			description: "For workers. The token is the attempt's own and ends with it.", codes: []task.Code{task.CodeNotFound}, handle: h.attemptCheckpoint,
			answers: []answer{{status: http.StatusOK, doc: "what an earlier attempt left", media: "application/octet-stream"}}},
		{method: http.MethodPut, path: "/v1/attempts/{token}/result", id: "putAttemptResult", tag: tag, summary: "Put the result of a running attempt", open: true,
			description: "For workers. The bytes become the task's result, with the request's content type, when the attempt's success is reported.",
			codes:       []task.Code{task.CodeNotFound, task.CodeTooLarge, api.CodeRequestTimeout}, handle: h.putAttemptResult,
			answers: []answer{{status: http.StatusNoContent, doc: "kept until the outcome is reported"}}},
	}
}

func (h *handlers) hostRoutes() []route {
	const tag = "host"
	return []route{
		{method: http.MethodGet, path: "/healthz", id: "health", tag: tag, summary: "The process answers", open: true, handle: h.health,
			answers: []answer{{status: http.StatusOK, doc: "it does", body: api.Health{}}}},
		{method: http.MethodGet, path: "/readyz", id: "ready", tag: tag, summary: "Tasks can be accepted", open: true, handle: h.ready,
			params: []param{{name: "verbose", in: "query", kind: "boolean", doc: "a line for each part"}}, codes: []task.Code{task.CodeStoreUnavailable},
			answers: []answer{{status: http.StatusOK, doc: "they can", body: api.Health{}}}},
		{method: http.MethodGet, path: "/version", id: "version", tag: tag, summary: "What answers", open: true, handle: h.version,
			answers: []answer{{status: http.StatusOK, doc: "name and versions", body: api.VersionInfo{}}}},
		{method: http.MethodGet, path: "/openapi.json", id: "openapi", tag: tag, summary: "This document", open: true, handle: h.openAPIDocument,
			codes: []task.Code{api.CodeNotAcceptable}, answers: []answer{{status: http.StatusOK, doc: "OpenAPI 3.1", media: "application/json"}}},
	}
}
