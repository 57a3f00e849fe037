name     = "w1"
data_dir = "/tmp/taskhost-fleet/w1"
labels   = { zone = "a" }

queue {
  url = "nats://127.0.0.1:4222"
  # token = "…" # its own, where the host asks for one
}

executor "local" {
  plugin = "eventlet-style"
  slots  = 100
}
