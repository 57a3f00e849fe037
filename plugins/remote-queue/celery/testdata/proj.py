"""The app of the tests: it knows nothing of taskhost."""

import os
import time

from celery import Celery

app = Celery("proj", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(
    task_default_queue=os.environ.get("QUEUE", "celery"),
    task_track_started=os.environ.get("TRACK") == "1",
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")),
    broker_connection_max_retries=None,
)


@app.task(name="proj.tasks.add")
def add(x, y=0):
    return x + y


@app.task(name="proj.tasks.fail")
def fail(text):
    raise LookupError(text)


@app.task(name="proj.tasks.flaky", bind=True, max_retries=3, default_retry_delay=0)
def flaky(self, times):
    if self.request.retries < times:
        raise self.retry(exc=ValueError("not yet"))
    return {"retries": self.request.retries, "task": self.request.root_id}


@app.task(name="proj.tasks.context", bind=True)
def context(self):
    r = self.request
    return [r.taskhost_task, r.taskhost_attempt, r.traceparent, r.delivery_info["priority"], r.eta, r.timelimit]


@app.task(name="proj.tasks.slow", bind=True)
def slow(self, path):
    """Runs until there is a file at path."""
    done = 0
    while not os.path.exists(path):
        done += 1
        self.update_state(state="PROGRESS", meta={"current": done, "total": 1000, "status": "waiting"})
        time.sleep(0.05)
    return "through"


@app.task(name="proj.tasks.quiet")
def quiet(path):
    """As slow, and says nothing."""
    while not os.path.exists(path):
        time.sleep(0.02)
    return "through"


@app.task(name="proj.tasks.append")
def append(path, line):
    """Leaves a trace of each run."""
    with open(path, "a") as f:
        f.write(line + "\n")
    return line


@app.task(name="proj.tasks.when")
def when():
    return time.time()


@app.task(name="proj.tasks.die")
def die():
    os.kill(os.getpid(), 9)


@app.task(name="proj.tasks.nan")
def nan():
    return float("nan")
