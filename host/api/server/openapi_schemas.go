package server

import (
	"maps"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// eventMessages are the server-sent events of a stream, as a client's reader gives them:
// comments and the time to reconnect are left out.
type eventMessages []eventMessage

// eventMessage is one of stateMessage, progressMessage and resetMessage.
type eventMessage struct{}

type stateMessage struct {
	Event string         `json:"event" enum:"state" doc:"its kind"`
	ID    string         `json:"id" pattern:"^[0-9]+$" doc:"the transition's seq: give it as Last-Event-ID to hear what came after it"`
	Data  api.StateEvent `json:"data" doc:"the transition and the task, written as JSON on one line"`
}

type progressMessage struct {
	Event string           `json:"event" enum:"progress" doc:"its kind"`
	Data  api.TaskProgress `json:"data" doc:"how far the attempt is, written as JSON on one line"`
}

type resetMessage struct {
	Event string         `json:"event" enum:"reset" doc:"its kind"`
	Data  api.ResetEvent `json:"data" doc:"why the history is told anew, written as JSON on one line"`
}

// allMessages are the server-sent events of all tasks, as a client's reader gives them.
type allMessages []allMessage

// allMessage is one of allStateMessage and allResetMessage.
type allMessage struct{}

type allStateMessage struct {
	Event string         `json:"event" enum:"state" doc:"its kind"`
	ID    string         `json:"id" pattern:"^[0-9]+$" doc:"its place among the events of all tasks: give it as Last-Event-ID to hear what came after it"`
	Data  api.StateEvent `json:"data" doc:"the transition and the task, written as JSON on one line"`
}

type allResetMessage struct {
	Event string         `json:"event" enum:"reset" doc:"its kind"`
	ID    string         `json:"id" pattern:"^[0-9]+$" doc:"from where on events are told again"`
	Data  api.ResetEvent `json:"data" doc:"why events were missed, written as JSON on one line"`
}

// logLines are the lines of a log that is followed.
type logLines []task.LogLine

// schemaName is what a type is called in the document.
func schemaName(t reflect.Type, hint string) string {
	switch t {
	case reflect.TypeFor[group.Summary]():
		return "Group"
	case reflect.TypeFor[group.Progress]():
		return "GroupProgress"
	case reflect.TypeFor[taskLine]():
		return "TaskSummary" // see summarize
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// schemaDocs say what each schema is; they are the types' comments, for those who have
// the document alone.
var schemaDocs = map[string]string{
	"ActionCount":      "What a dry run of an action is answered with.",
	"ActionFilter":     "Which tasks an action is for. What is absent or null matches all.",
	"ActionRequest":    "Asks for something to be done to all tasks that match.",
	"AllMessage":       "One server-sent event of all tasks: its fields, and its data, read as JSON.",
	"AllResetMessage":  "The server-sent event that tells that events were missed.",
	"AllStateMessage":  "The server-sent event that tells a transition of any task.",
	"AuditEvent":       "A change that somebody asked for.",
	"AuditList":        "One page of what was changed.",
	"Backlog":          "Tasks that wait for the same thing.",
	"BackoffLimits":    "How long a failed task rests before it is tried again.",
	"BackoffRequest":   "How long a failed task is to rest before it is tried again.",
	"BatchAnswer":      "What a batch is answered with.",
	"BatchGroup":       "Asks for a group of the tasks of a batch.",
	"BatchRequest":     "Asks for many tasks, all or none.",
	"BoardClaim":       "A task that a worker has.",
	"Caller":           "Who asks.",
	"Claim":            "One task's hold of a resource, or its place in the queue for it.",
	"ClaimAnswer":      "The tasks that a worker was given.",
	"ClaimFailure":     "Why a worker did not do a task.",
	"ClaimHeard":       "What a worker hears that has spoken of a task which it has.",
	"ClaimLine":        "One line that a worker logs.",
	"ClaimLog":         "What a worker logs.",
	"ClaimProgress":    "How far a worker is, in units of its choice.",
	"ClaimRequest":     "Asks for tasks to do.",
	"ClaimTrash":       "Why a task is no use to anybody.",
	"ConcurrencyLimit": "A limit on how many attempts at tasks of a type may be under way at once.",
	"Counts":           "How many tasks there are that are not final.",
	"Event":            "One transition of a task.",
	"EventMessage":     "One server-sent event of a task: its fields, and its data, read as JSON.",
	"Executor":         "An executor as operators see it.",
	"ExecutorList":     "All executors.",
	"Group":            "A group of tasks, as clients see it and as its finisher gets it.",
	"GroupList":        "One page of groups.",
	"GroupProgress":    "How far a group is, in tasks.",
	"GroupRequest":     "Asks for a group without members.",
	"Health":           "Whether a host answers, or is ready.",
	"HeldClaim":        "A claim as operators see it.",
	"FullQueue":        "A task type that takes no new tasks.",
	"HeldClaimList":    "One page of claims.",
	"History":          "A task's transitions.",
	"HostProblem":      "A group or a schedule that cannot submit its task.",
	"Instance":         "One process of an executor's plugin.",
	"Limits":           "The bounds and defaults of a task type. Durations are text such as 1h30m.",
	"LogLine":          "One line that an attempt logged.",
	"LogList":          "Some lines of a task's log.",
	"NewToken":         "A token that was just made, with its secret.",
	"OwnerQuota":       "What one of the owners has, and may have.",
	"OwnerQuotaList":   "One page of owners.",
	"Problem":          "What was wrong with a request, by RFC 9457.",
	"ProblemField":     "One field of a request that is at fault.",
	"ProgressMessage":  "The server-sent event that tells how far an attempt is. It has no id.",
	"Quota":            "What an owner has, and may have.",
	"QuotaUse":         "What is used of one thing that a quota may bound.",
	"RateLimit":        "A limit on how many attempts at tasks of a type may begin.",
	"ResetEvent":       "What comes does not follow what the client saw before.",
	"ResetMessage":     "The server-sent event that tells that the history is told from its beginning. It has no id.",
	"Resource":         "A name that tasks have or wait for.",
	"ResourceList":     "One page of resources.",
	"Schedule":         "A task that is submitted again and again, as clients see it.",
	"ScheduleChange":   "What is to be different about a schedule. What is absent stays, null gives a field its default.",
	"ScheduleList":     "One page of schedules.",
	"ScheduleRequest":  "Asks for a schedule: a task that is submitted again and again, by exactly one of cron and every.",
	"Slots":            "How many attempts are out, and how many may be.",
	"StateEvent":       "A transition of a task, and the task when that was told.",
	"StateMessage":     "The server-sent event that tells a transition.",
	"Status":           "A host at one look.",
	"StoreState":       "How a store is.",
	"Task":             "A task as clients see it.",
	"TaskError":        "Why a task, or its last attempt, did not succeed.",
	"TaskList":         "One page of tasks.",
	"TaskProgress":     "How far an attempt is, in units of the script's choice.",
	"TaskRef":          "Where a task is.",
	"TaskRequest":      "Asks for a task. What is absent or null is left to the task type.",
	"TaskSummary":      "A task as lists and events show it: without its input, its result and the details of its error.",
	"TaskTree":         "A task with those that it has spawned, and theirs.",
	"Token":            "A token as admins see it.",
	"TokenList":        "All tokens.",
	"TokenRequest":     "Asks for a token.",
	"Type":             "A task type as clients and operators see it.",
	"TypeList":         "One page of task types.",
	"TypeRequest":      "What a client says of a task type. What is absent or null is left to whoever offers the type.",
	"VersionInfo":      "What answers.",
	"Worker":           "A machine or process behind an executor.",
	"WorkerList":       "Workers behind executors.",
}

// refineSchemas says what huma's derivation cannot.
func refineSchemas(byName map[string]*huma.Schema) {
	for name, s := range byName {
		s.Description = schemaDocs[name]
		if !slices.Contains(requests, name) {
			s.AdditionalProperties = nil // answers grow: a client must not forbid it, and need not type it
		}
	}
	for _, name := range requests {
		takeNull(byName[name].Properties)
	}
	refineDurations(byName["TaskRequest"].Properties, "timeout", "retain")
	refineSchedules(byName)
	refineDurations(byName["TypeRequest"].Properties, "timeout", "deadline", "retain")
	refineDurations(byName["BackoffRequest"].Properties, "initial", "max")
	refineBoard(byName)
	for _, field := range []string{"error", "progress"} {
		nullable(byName["Task"].Properties, field)
	}
	nullable(byName["Limits"].Properties, "rate")
	byName["Task"].Properties["state"].Enum = stateNames()
	byName["Task"].Properties["waiting"].Enum = waitingNames()
	for _, name := range []string{"Event", "StateEvent"} {
		e := byName[name]
		e.Properties["to"].Enum = stateNames()
		e.Properties["from"].Enum = append(stateNames(), nil)
	}
	refineEvents(byName)
	summarize(byName)
}

// requests are what clients send: what is not a field of one is refused.
var requests = []string{"TaskRequest", "BatchRequest", "GroupRequest", "BatchGroup", "ScheduleRequest", "ScheduleChange", "ActionRequest", "ActionFilter", "TokenRequest",
	"TypeRequest", "BackoffRequest", "ClaimRequest", "ClaimProgress", "ClaimLog", "ClaimLine", "ClaimFailure", "ClaimTrash"}

// takeNull lets fields of a request be null, which is as if they were absent.
func takeNull(fields map[string]*huma.Schema) {
	for name, f := range fields {
		switch {
		case name == "type" || name == "tasks" || name == "task" || name == "input" || name == "result" || name == "to": // which may be anything by itself
		case f.Ref != "":
			nullable(fields, name)
		default:
			f.Nullable = true
			if len(f.Enum) > 0 {
				f.Enum = append(f.Enum, nil)
			}
		}
	}
}

// nullable lets a field be null that is another schema.
func nullable(fields map[string]*huma.Schema, name string) {
	f := fields[name]
	fields[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: f.Ref}, {Type: "null"}}, Description: f.Description}
}

func refineDurations(fields map[string]*huma.Schema, names ...string) {
	for _, name := range names {
		fields[name] = &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString, Examples: []any{"30s", "1h30m"}}, {Type: huma.TypeNumber}, {Type: "null"}},
			Description: fields[name].Description + `; a string such as "1h30m", or a number of seconds`}
	}
}

// refineSchedules says what the task of a schedule is, which its type leaves open: it is
// read and told as it was given.
func refineSchedules(byName map[string]*huma.Schema) {
	for _, name := range []string{"ScheduleRequest", "ScheduleChange", "Schedule"} {
		p := byName[name].Properties
		p["task"] = &huma.Schema{Ref: "#/components/schemas/TaskRequest", Description: p["task"].Description}
		if name != "Schedule" {
			refineDurations(p, "every", "jitter")
		}
	}
	byName["ScheduleRequest"].Required = []string{"name", "task"}
}

// refineBoard says what workers may write in more than one way, and what must be there.
func refineBoard(byName map[string]*huma.Schema) {
	refineDurations(byName["ClaimRequest"].Properties, "wait", "lease")
	refineDurations(byName["ClaimFailure"].Properties, "retry_after")
	for name, required := range map[string][]string{"ClaimRequest": {"worker", "types"}, "ClaimProgress": {"done"}, "ClaimLog": {"lines"}, "ClaimLine": {"message"}, "ClaimFailure": {"message"}, "ClaimTrash": {"reason"}} {
		for _, field := range required {
			byName[name].Properties[field].Nullable = false
		}
	}
	lines := byName["ClaimLog"].Properties["lines"]
	lines.Items = &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, {Ref: "#/components/schemas/ClaimLine"}}}
	for _, name := range []string{"ClaimHeard", "HeldClaim"} {
		stop := byName[name].Properties["stop"]
		stop.Enum = append(stop.Enum, nil)
	}
}

// refineEvents makes of the empty eventMessage and allMessage what they stand for.
func refineEvents(byName map[string]*huma.Schema) {
	for name, kinds := range map[string][]string{
		"EventMessage": {"StateMessage", "ProgressMessage", "ResetMessage"}, "AllMessage": {"AllStateMessage", "AllResetMessage"},
	} {
		mapping := map[string]string{}
		message := &huma.Schema{Description: byName[name].Description}
		for _, kind := range kinds {
			ref := "#/components/schemas/" + kind
			message.OneOf = append(message.OneOf, &huma.Schema{Ref: ref})
			mapping[byName[kind].Properties["event"].Enum[0].(string)] = ref
		}
		message.Discriminator = &huma.Discriminator{PropertyName: "event", Mapping: mapping}
		byName[name] = message
	}
}

// summarize tells a task as it is read from a task as lists and events show it.
func summarize(byName map[string]*huma.Schema) {
	whole := byName["Task"]
	summary := *whole
	summary.Description = schemaDocs["TaskSummary"]
	summary.Properties = maps.Clone(whole.Properties)
	delete(summary.Properties, "checkpoint")
	for _, field := range []string{"input", "result"} {
		delete(summary.Properties, field)
		whole.Required = append(slices.Clip(whole.Required), field)
	}
	byName["TaskSummary"] = &summary
	shown := &huma.Schema{Ref: "#/components/schemas/TaskSummary"}
	byName["TaskList"].Properties["tasks"].Items = shown
	byName["Status"].Properties["failed"].Items = shown
	byName["StateEvent"].Properties["task"].Ref = shown.Ref
	byName["TaskTree"].Properties["task"].Ref = shown.Ref
}

func stateNames() []any {
	var out []any
	for _, s := range task.States() {
		out = append(out, s.String())
	}
	return out
}

func waitingNames() []any {
	out := []any{}
	for w := task.WaitQueued; w <= task.WaitChildren; w++ {
		out = append(out, w.String())
	}
	return append(out, nil)
}
