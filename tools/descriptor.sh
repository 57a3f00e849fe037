#!/usr/bin/env bash
# Writes the messages of sdk/executor.proto into the Python plugin, between its two
# marks. Given: buf.
set -euo pipefail
into=examples/python-plugin/shout.py
out=$(mktemp)
trap 'rm -f "$out"' EXIT
{
	sed '/^# descriptor begins$/q' "$into"
	"$1" build sdk -o -#format=binpb --as-file-descriptor-set --exclude-imports --exclude-source-info | gzip -9n | base64 -w 132
	sed -n '/^# descriptor ends$/,$p' "$into"
} >"$out"
cmp -s "$out" "$into" || cat "$out" >"$into" # in place: it stays executable
