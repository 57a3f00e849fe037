#!/usr/bin/env bash
# Runs every test, in an order that changes each time, under the race detector. What the
# machine lacks is left out, and the last lines say so.
set -uo pipefail
out=$(mktemp)
trap 'rm -f "$out"' EXIT
go test -race -shuffle=on -count=1 -timeout 20m ./... 2>&1 | tee "$out"
code=${PIPESTATUS[0]}
(cd bench && go test -race -shuffle=on -count=1 -timeout 20m ./...) || code=1
missing=()
command -v qemu-img >/dev/null || missing+=("qemu-img (Debian's qemu-utils): images made by the real tool are left out")
{ command -v curl && [ -x /sbin/debugfs ]; } >/dev/null || missing+=("curl, debugfs (Debian's curl, e2fsprogs): steps of READMEs that use them are left out")
command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ] || missing+=("nats-server (Debian's nats-server): the external broker is left out")
{ command -v node && [ -x tools/node_modules/.bin/tsc ]; } >/dev/null || missing+=("npm's packages of tools/package.json (make check installs them): the client in TypeScript is left out")
/usr/bin/python3 -c 'import cryptography, google.protobuf, grpc' 2>/dev/null || missing+=("grpc for /usr/bin/python3 (Debian's python3-grpcio, python3-protobuf, python3-cryptography): the plugin in Python is left out")
/usr/bin/python3 -c 'import glanceclient' 2>/dev/null || missing+=("glance (Debian's python3-glanceclient): OpenStack's own client is left out")
{ [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && /usr/bin/python3 -c 'import celery' 2>/dev/null; } || missing+=("RabbitMQ or Celery (Debian's rabbitmq-server, python3-celery): the workers of a Celery app are left out")
peers=$(bash bench/install.sh --missing)
[ -z "$peers" ] || missing+=("Debian's $peers: queues that taskhost is measured against are left out")
if [ ${#missing[@]} -gt 0 ]; then
	echo "left out, for want of:"
	printf '  %s\n' "${missing[@]}"
fi
exit "$code"
