// A client of the types that are generated from the OpenAPI document: it compiles only if
// they say what is used here, and prints what a server that it is given answers.
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

type EventMessage = components["schemas"]["EventMessage"];
type TaskRequest = components["schemas"]["TaskRequest"];

const api = createClient<paths>({ baseUrl: process.argv[2] ?? "http://127.0.0.1:7070" });

async function submit(): Promise<string> {
  const request: TaskRequest = { type: "sum", input: [1, 2, 3.5], labels: { team: "a" }, timeout: "30s", retain: 3600, key: null };
  const { data, error, response } = await api.POST("/v1/tasks", { params: { header: { Prefer: "wait=30", "Idempotency-Key": "once" } }, body: request });
  if (error) {
    throw new Error(`${error.code}: ${error.detail}`);
  }
  console.log("submitted", response.status, response.headers.get("Location") === `/v1/tasks/${data.id}`, data.state, JSON.stringify(data.result), data.labels["team"]);
  // @ts-expect-error: there is no such state
  console.log(data.state === "done");
  return data.id;
}

async function list(): Promise<void> {
  const { data } = await api.GET("/v1/tasks", { params: { query: { state: ["succeeded", "failed"], type: ["sum"], limit: 10, order: "asc" } } });
  if (!data || Array.isArray(data)) throw new Error("not a page"); // an array is what format=jsonl gives
  for (const task of data.tasks) {
    console.log("listed", task.type, task.attempt, task.error?.code ?? "no error", task.finished_at !== null);
    // @ts-expect-error: lists have no inputs
    console.log("input", task.input);
  }
  // @ts-expect-error: a limit is a number
  await api.GET("/v1/tasks", { params: { query: { limit: "10" } } });
}

async function refusals(): Promise<void> {
  const { error, response } = await api.POST("/v1/tasks", { body: { type: "nobody" } });
  if (error?.code === "unknown_type") {
    console.log("refused", response.status, error.status, error.errors?.[0]?.pointer);
  }
  const gone = await api.GET("/v1/tasks/{id}", { params: { path: { id: "01990f4e-7f3a-7c55-a1b2-0123456789ab" } } });
  // @ts-expect-error: this route has no full queue
  console.log("missed", gone.error?.code, gone.error?.code === "queue_full");
}

async function watch(id: string): Promise<void> {
  const { data } = await api.GET("/v1/tasks/{id}/events", { params: { path: { id }, header: { "Last-Event-ID": "999" } }, parseAs: "text" });
  const stream: string = data ?? "";
  for (const block of stream.split("\n\n")) {
    const fields = new Map(block.split("\n").map((line): [string, string] => {
      const at = line.indexOf(": ");
      return [line.slice(0, at), line.slice(at + 2)];
    }));
    const json = fields.get("data");
    if (json === undefined) {
      continue;
    }
    const message = { event: fields.get("event"), id: fields.get("id"), data: JSON.parse(json) } as EventMessage;
    switch (message.event) {
      case "state":
        console.log("event", message.id === String(message.data.seq), message.data.from ?? "nothing", message.data.to, message.data.task.id === id);
        break;
      case "progress":
        console.log("progress", message.data.done, message.data.total);
        break;
      case "reset":
        console.log("reset", message.data.reason !== "");
        break;
      default:
        message satisfies never;
    }
  }
}

const id = await submit();
await list();
await refusals();
await watch(id);
