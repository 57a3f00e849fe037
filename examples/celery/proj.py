from celery import Celery

app = Celery("proj", broker="amqp://127.0.0.1:5672", backend="rpc://")
app.conf.task_track_started = True  # so that taskhost knows what has begun


@app.task(name="proj.tasks.add")
def add(x, y):
    return x + y
