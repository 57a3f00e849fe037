#!/usr/bin/env bash
# Writes the reference of the config's keys, docs/config.md: first the comments of the
# structs as code, then what the program makes of them and of its built-ins' schemas.
set -euo pipefail
out=$(mktemp)
trap 'rm -f "$out"' EXIT
replace() { cmp -s "$out" "$1" || cp "$out" "$1"; }
(cd tools && go run ./comments config=../host/config:Common,Config,TLS,TrustedProxy,Glance,Worker,TaskType task=../host/task:ExecutorConfig,TypeConfig,Backoff,Quota) >"$out"
replace host/config/comments.go
go run ./cmd/taskhost config reference --markdown >"$out"
replace docs/config.md
