#!/bin/sh
# Does the tasks of one type with a command of yours. It needs a shell and curl, and nothing else:
#
#   worker.sh TYPE COMMAND [ARGUMENT...]
#
# The command gets the task's input, a JSON value, on stdin. What it prints is the result, as plain text; if it
# fails, what it says on stderr is why, and the task is tried again. While it runs the claim is renewed, and
# a command whose task is canceled is ended.
#
# TASKHOST_ADDR   the host (127.0.0.1:7070)
# WORKER          the worker's name (host name and process id)
# TASKS           end after so many tasks (0: never)
set -u
type=$1
shift
board=http://${TASKHOST_ADDR:-127.0.0.1:7070}/v1
worker=${WORKER:-$(uname -n)-$$}
left=${TASKS:-0}
lease=15 # seconds
tmp=$(mktemp -d)
claim=   # what was claimed and is not ended
command= # that works
trap 'rm -rf "$tmp"' EXIT
trap 'stop' INT TERM

# stop ends what is under way, and gives its task back.
stop() {
	trap '' INT TERM
	if [ -n "$command" ]; then
		kill $renewing $command 2>/dev/null
		wait $command
	fi
	token=$(token_of "$claim")
	[ -z "$token" ] || say release
	exit 130
}

# token_of CLAIM: its token, which stands before all that others wrote. Nothing if nothing was claimed.
token_of() {
	printf '%s' "$1" | sed -n 's/^{"claims":\[{"token":"\([0-9a-f]\{32\}\)".*/\1/p'
}

# say PATH [CURL'S ARGUMENTS...]: a request about the claimed task. 0 if it was taken.
say() {
	path=$1
	shift
	curl -sS -f -X POST "$board/board/claims/$token/$path" "$@"
}

# tell PATH …: the same until it is heard, for the host may be away. A claim that is not ours any more
# (409) is not spoken of again.
tell() {
	while :; do
		code=$(say "$@" -o /dev/null -w '%{http_code}' 2>/dev/null)
		case $code in
		2?? | 4??) echo "$code" && return ;;
		esac
		sleep 1
	done
}

# text FILE: the beginning of a file as the inside of a JSON string.
text() {
	head -c 2000 "$1" | tr -d '\000-\010\013-\037\177-\377' | sed 's/\\/\\\\/g; s/"/\\"/g' | tr '\n\t' '  '
}

# renew PID: keeps the claim while the command runs, and ends one whose task is to stop, or is not ours any more.
# It looks for itself whether the command runs: a signal that comes as a subshell begins can be lost.
renew() {
	while sleep $((lease / 3)) && kill -0 "$1" 2>/dev/null; do
		case $(say renew 2>&1) in
		*'"stop":"cancel"'* | *'"stop":"timeout"'* | *'error: 409'*) kill "$1" ;;
		esac
	done
}

# work COMMAND…: does the claimed task; 1 if it was not to be had any more.
work() {
	until curl -sS -f "$board/attempts/$token/input" >"$tmp/input"; do
		sleep 1                                                      # the host is away
		case $(say renew 2>&1) in *'error: 409'*) return 1 ;; esac # or the claim is over
	done
	"$@" <"$tmp/input" >"$tmp/result" 2>"$tmp/why" &
	command=$!
	renew $command >/dev/null 2>&1 &
	renewing=$!
	wait $command
	status=$?
	command=
	kill $renewing 2>/dev/null
	if [ $status -eq 0 ]; then
		ended=$(tell finish -H 'Content-Type: text/plain' --data-binary "@$tmp/result")
	else
		ended=$(tell fail -H 'Content-Type: application/json' --data "{\"message\": \"$(text "$tmp/why")\"}")
	fi
	echo "$worker: task $task is answered with $ended" >&2
}

while :; do
	claim=$(curl -sS -f "$board/board/claims" -H 'Content-Type: application/json' \
		--data "{\"worker\": \"$worker\", \"types\": [\"$type\"], \"wait\": \"30s\", \"lease\": \"${lease}s\"}") || {
		sleep 1 # the host is away, or says what is wrong
		continue
	}
	token=$(token_of "$claim")
	[ -n "$token" ] || continue # nothing within the wait
	task=$(printf '%s' "$claim" | sed -n 's/^{"claims":\[{"token":"[0-9a-f]*","task":{"id":"\([0-9a-f-]*\)".*/\1/p')
	work "$@" || continue
	claim=
	left=$((left - 1))
	[ $left -ne 0 ] || exit 0
done
