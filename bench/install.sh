#!/usr/bin/env bash
# Installs what the peers need from Debian's packages where it is missing, or names it with
# --missing. Their services are not started: every run starts servers of its own.
set -euo pipefail

need=()
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || need+=(postgresql)
command -v redis-server >/dev/null || need+=(redis-server)
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || need+=(rabbitmq-server)
/usr/bin/python3 -c 'import celery' 2>/dev/null || need+=(python3-celery)
if [ "${1:-}" = --missing ]; then
	echo "${need[*]}"
	exit 0
fi
[ ${#need[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "the peers need ${need[*]}: apt-get install ${need[*]}" >&2
	exit 1
fi
# Debian asks this program before it starts a service that was installed; 101 is no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
echo "installing ${need[*]}" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${need[@]}" >/dev/null
