"""The job as a Celery task, and a client that reads from its standard input what to submit.

A request is a line of JSON with an id; so is its answer. The worker tells which jobs it runs by
datagrams to a socket, so that they are counted where all others are.
"""

import json
import os
import queue
import socket
import sys
import threading
import time

import celery
from celery import signals

CLIENTS = 64

app = celery.Celery("celery_job", broker=os.environ["BENCH_BROKER"], backend="rpc://")
app.conf.update(
    broker_transport_options={"confirm_publish": True},  # a publish returns when the broker has it
    broker_pool_limit=CLIENTS,
    result_persistent=True,
    task_acks_late=True,  # a job whose worker dies is run again
    worker_prefetch_multiplier=128,  # what the optimizing guide says of many short tasks
)

to_bench = threading.local()


def tell(text):
    """Sends a datagram; each process and thread has a socket of its own."""
    if getattr(to_bench, "pid", None) != os.getpid():
        to_bench.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        to_bench.socket.connect(os.environ["BENCH_SOCKET"])
        to_bench.pid = os.getpid()
    to_bench.socket.send(text.encode())


@signals.worker_ready.connect
def ready(**_):
    tell("ready")


@app.task(ignore_result=True)
def job(number):
    tell(str(number))


@app.task
def job_with_result(number):
    tell(str(number))
    return number


def submit(request):
    """Submits jobs over one connection; Celery has no call for several."""
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(request["first"], request["first"] + request["count"]):
            job.apply_async((number,), producer=producer)
    return {}


def round_trip(request):
    started = time.perf_counter()
    result = job_with_result.delay(request["first"])
    if result.get(timeout=60) != request["first"]:
        raise ValueError("another job's result")
    return {"seconds": time.perf_counter() - started}


def waiting(_):
    with app.connection_for_read() as connection:
        declared = connection.default_channel.queue_declare(app.conf.task_default_queue, durable=True, auto_delete=False)
        return {"waiting": declared.message_count}


def client():
    answering = threading.Lock()

    def answer(**fields):
        with answering:
            print(json.dumps(fields), flush=True)

    def serve(requests):
        while True:
            request = requests.get()
            try:
                answer(id=request["id"], **DO[request["do"]](request))
            except Exception as e:  # whatever it is, the bench is to hear of it
                answer(id=request["id"], error=f"{type(e).__name__}: {e}")

    jobs, others = queue.Queue(), queue.Queue()
    for requests in [jobs] * CLIENTS + [others]:  # results come to the thread that asked first
        threading.Thread(target=serve, args=(requests,), daemon=True).start()
    answer(id=0, version=celery.__version__)
    for line in sys.stdin:
        request = json.loads(line)
        (jobs if request["do"] == "submit" else others).put(request)


DO = {"submit": submit, "round_trip": round_trip, "waiting": waiting}

if __name__ == "__main__":
    client()
