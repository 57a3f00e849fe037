#!/usr/bin/env bash
# The figures of bench.list, and whether they reach the marks of bench.marks, in rounds one after
# the other: BENCH_ROUNDS (3). The machines are noisy: compare ratios of one run, by their medians.
set -euo pipefail
cd "$(dirname "$0")/.."
export GOGC=400 # as taskhost itself has it
n=${BENCH_TASKS:-50000}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
sed "${BENCH_LONG:+s/^#long //;}/^#/d" tools/bench.list >"$out/list"
cut -d ' ' -f 1 "$out/list" | sort -u | while read -r package; do
	go test -c -o "$out/${package//\//_}" "$package"
done
for ((round = 1; round <= ${BENCH_ROUNDS:-3}; round++)); do
	while read -r package name times what; do
		echo "round $round: $what" >&2
		# Each part of a name is an expression of its own.
		(cd "$package" && "$out/${package//\//_}" -test.run '^$' -test.bench "^${name//\//\$/^}\$" -test.benchtime "$((times))x" -test.timeout 30m) |
			sed "s/^Benchmark/$round &/" | tee -a "$out/figures" | grep -E '^(FAIL|panic|---)' >&2 || true
	done <"$out/list"
done
awk -f tools/bench.awk "$out/list" tools/bench.marks "$out/figures"
