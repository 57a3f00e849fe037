name     = "w2"
data_dir = "/tmp/taskhost-fleet/w2"
labels   = { zone = "b" }

queue {
  url = "nats://127.0.0.1:4222"
}

executor "local" {
  plugin = "eventlet-style"
  slots  = 100
}
