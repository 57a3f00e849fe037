package celery

import (
	"encoding/json"
	"strings"
)

// The exchanges of Celery's workers, as they declare them.
const (
	controlExchange = "celery.pidbox"
	controlReplies  = "reply.celery.pidbox"
	eventExchange   = "celeryev"
)

// command is what all workers hear, or those of destination.
type command struct {
	Method      string         `json:"method"`
	Arguments   map[string]any `json:"arguments"`
	Destination []string       `json:"destination"`
	Pattern     *string        `json:"pattern"`
	Matcher     *string        `json:"matcher"`
	Ticket      string         `json:"ticket,omitempty"`
	ReplyTo     *replyTo       `json:"reply_to,omitempty"`
}

type replyTo struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

// revokeCommand has every worker discard a message, and end the process that runs it.
func revokeCommand(id string) []byte {
	body, _ := json.Marshal(command{Method: "revoke", Arguments: map[string]any{"task_id": id, "terminate": true, "signal": "SIGTERM"}})
	return body
}

// The questions to a worker, which answers each by itself.
const (
	askQueues = "active_queues"
	askTasks  = "registered"
)

// askCommand asks one worker a question. The answers come to the queue of that name.
func askCommand(method, worker, queue string) []byte {
	arguments := map[string]any{}
	if method == askTasks {
		arguments["taskinfoitems"] = []string{"name"} // without it names come with more behind them
	}
	body, _ := json.Marshal(command{Method: method, Arguments: arguments, Destination: []string{worker}, Ticket: method,
		ReplyTo: &replyTo{Exchange: controlReplies, RoutingKey: queue}})
	return body
}

// decodeQueues reads which queues workers consume from, by worker.
func decodeQueues(body []byte) map[string][]string {
	var answers map[string][]struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(body, &answers) != nil {
		return nil
	}
	out := map[string][]string{}
	for worker, queues := range answers {
		out[worker] = []string{}
		for _, q := range queues {
			out[worker] = append(out[worker], q.Name)
		}
	}
	return out
}

// decodeTasks reads which tasks workers have, by worker.
func decodeTasks(body []byte) map[string][]string {
	var answers map[string][]string
	if json.Unmarshal(body, &answers) != nil {
		return nil
	}
	for _, tasks := range answers {
		for i, task := range tasks {
			name, _, _ := strings.Cut(task, " ") // "name [exchange=… rate_limit=…]"
			tasks[i] = name
		}
	}
	return answers
}

// event is what a worker tells whoever listens.
type event struct {
	Type     string  `json:"type"`
	Hostname string  `json:"hostname"`
	PID      int64   `json:"pid"`
	UUID     string  `json:"uuid"`
	Active   float64 `json:"active"`
	// Processed is how many tasks the process has begun; nil where the worker does not tell.
	Processed *float64 `json:"processed"`
	Ident     string   `json:"sw_ident"`
	Version   string   `json:"sw_ver"`
	System    string   `json:"sw_sys"`
}

// maxName bounds the names of workers that are taken: longer ones are no host's.
const maxName = 255

// decodeEvents reads one event, or several in one message, as events of tasks come.
func decodeEvents(body []byte) []event {
	var several []event
	var one event
	if json.Unmarshal(body, &several) != nil {
		if json.Unmarshal(body, &one) != nil {
			return nil
		}
		several = []event{one}
	}
	out := several[:0]
	for _, e := range several {
		if e.Hostname != "" && len(e.Hostname) <= maxName {
			out = append(out, e)
		}
	}
	return out
}
