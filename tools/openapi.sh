#!/usr/bin/env bash
# Writes the OpenAPI document to bin/openapi.json and has two linters look it through, by
# all the rules that they recommend. They speak only if they find something.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin
go run ./host/api/server/testdata/openapi >bin/openapi.json
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true # neither is to call home
clean() {
	local said
	said=$("$@" 2>&1) || { printf '%s\n' "$said"; echo "the OpenAPI document is made of the table in host/api/server/routes.go and the types in host/api: mend it there"; exit 1; }
}
clean tools/node_modules/.bin/redocly lint --config tools/redocly.yaml bin/openapi.json
clean tools/node_modules/.bin/spectral lint --ruleset tools/spectral.yaml --fail-severity hint bin/openapi.json
