# The host. It runs nothing itself: every task goes to the fleet.
data_dir = "/tmp/taskhost-fleet/host"

executor "fleet" {
  plugin = "remote-queue"
  slots  = 1000 # dispatched and running together
  config {
    listen = "127.0.0.1:4222"
    # Where other machines are to reach it, say so and give each worker a token:
    #   listen        = "0.0.0.0:4222"
    #   worker_tokens = { w1 = "…", w2 = "…" }
    # Without listen, workers on this machine find it by: queue { join = "DATA_DIR" }
  }
}

# A type may ask for workers with certain labels, and so may a task ("route").
task_type "sum" {
  route = { zone = "b" }
}
