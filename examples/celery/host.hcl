# The host. What it is given, the workers of a Celery app run.
data_dir = "/tmp/taskhost-celery"

executor "celery" {
  plugin = "remote-queue"
  config {
    url      = "amqp://127.0.0.1:5672" # the app's broker
    protocol = "celery"
    queue    = "celery" # the app's queue
    tasks    = { add = "proj.tasks.add" }
  }
}
