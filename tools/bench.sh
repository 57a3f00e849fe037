#!/usr/bin/env bash
# One table of figures, measured in one run: each beside the raw limit of this
# machine. The machines are noisy: compare ratios, not figures of two runs.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOGC=400 # as taskhost itself has it
n=${BENCH_TASKS:-100000}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
while read -r package name times; do
	[ "${package:0:1}" != "#" ] || continue
	echo "measuring $package $name" >&2
	# Each part of a name is an expression of its own.
	go test "$package" -run '^$' -bench "^${name//\//\$/^}\$" -benchtime "$((times))x" -timeout 30m | tee -a "$out" | grep -E '^(FAIL|panic|---)' >&2 || true
done <tools/bench.list
awk '
function label(name,   l) { l = what[name]; return l == "" ? name : l }
BEGIN {
	what["BenchmarkFdatasync"] = "disk: one fdatasync"
	what["BenchmarkRawStatements"] = "raw: bare prepared statements, groups of 1,000"
	what["BenchmarkStoreSingly64"] = "store alone, singly by 64 clients"
	what["BenchmarkStoreHundreds"] = "store alone, in hundreds"
	what["BenchmarkHostSingly"] = "host, goroutines, singly by 64 clients"
	what["BenchmarkHostHundreds"] = "host, goroutines, in hundreds"
	what["BenchmarkProcessSingly"] = "host, plugin process, singly by 64 clients"
	what["BenchmarkProcessHundreds"] = "host, plugin process, in hundreds"
	what["BenchmarkRESTSingly"] = "REST, singly by 64 clients"
	what["BenchmarkRESTBatches"] = "REST, batches of 100"
	what["BenchmarkRawStream"] = "raw: bare gRPC stream"
	what["BenchmarkControlStream/grpc/1000"] = "protocol alone, 1,000 in flight"
	what["BenchmarkRawLoop"] = "raw: publish, work, reply on the embedded broker"
	what["BenchmarkFleet"] = "remote-queue alone, one worker"
	what["BenchmarkRawRabbitMQ"] = "raw: publish, consume on a quorum queue of RabbitMQ"
	what["BenchmarkFleetRabbitMQ"] = "remote-queue alone, one worker, RabbitMQ"
	what["BenchmarkFleetSingly"] = "host, embedded broker, one worker, singly"
	what["BenchmarkFleetHundreds"] = "host, embedded broker, one worker, in hundreds"
	what["BenchmarkStoreIdle"] = "idle: the store alone"
	what["BenchmarkHostIdle"] = "idle: submit to stored result, goroutines"
	what["BenchmarkProcessIdle"] = "idle: submit to stored result, plugin process"
	what["BenchmarkFleetIdle"] = "idle: submit to stored result, one worker process"
}
/^Benchmark/ {
	name = $1; sub(/-[0-9]+$/, "", name); order[++k] = name
	for (i = 3; i < NF; i += 2) v[name, $(i + 1)] = $i
}
END {
	raw["host"] = v["BenchmarkRawStatements", "tasks/s"]; raw["stream"] = v["BenchmarkRawStream", "tasks/s"]
	raw["loop"] = v["BenchmarkRawLoop", "tasks/s"]
	raw["rabbit"] = v["BenchmarkRawRabbitMQ", "tasks/s"]
	printf "\n%-52s %12s %14s %14s %12s\n", "", "tasks/s", "of statements", "of the stream", "of the loop"
	for (j = 1; j <= k; j++) { n = order[j]; t = v[n, "tasks/s"]; if (t == "" || n ~ /Idle|Fdatasync/) continue
		s = (n ~ /Stream|Loop|RabbitMQ|BenchmarkFleet$/) ? "" : sprintf("%.2f", t / raw["host"])
		g = (n ~ /Stream/) ? sprintf("%.2f", t / raw["stream"]) : ""
		l = (n ~ /Loop|Fleet/ && raw["loop"] > 0) ? sprintf("%.2f", t / raw["loop"]) : ""
		if (n ~ /RabbitMQ/) l = raw["rabbit"] > 0 ? sprintf("%.2f", t / raw["rabbit"]) : ""
		printf "%-52s %12d %14s %14s %12s\n", label(n), t, s, g, l }
	printf "\n%-52s %12s %14s\n", "", "p50 ms", "p99 ms"
	for (j = 1; j <= k; j++) { n = order[j]; if (n !~ /Idle|Fdatasync/) continue
		p = v[n, "p50-ms"]; q = v[n, "p99-ms"]; if (p == "") { p = v[n, "ns/op"] / 1e6; q = "" }
		printf "%-52s %12.3f %14s\n", label(n), p, q }
}' "$out"
