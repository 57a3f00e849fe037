"""Celery's own client: for each number in a line of its standard input it has so many tasks
run, and tells in how many seconds it had all results."""

import sys
import time

from celery.result import ResultSet
from proj import add

print("ready", flush=True)
for line in sys.stdin:
    count = int(line)
    started = time.perf_counter()
    with add.app.producer_pool.acquire(block=True) as producer:  # one connection for all
        results = [add.apply_async((n, 1), producer=producer) for n in range(count)]
    if ResultSet(results).join_native(timeout=120) != [n + 1 for n in range(count)]:
        raise ValueError("other results")
    print(time.perf_counter() - started, flush=True)
