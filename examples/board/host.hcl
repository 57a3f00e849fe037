# A host with a board: tasks of these types wait for whoever claims them over HTTP.
data_dir = "/tmp/taskhost-board"

executor "board" {
  plugin = "board"
  slots  = 1000             # claimed and not ended yet, together
  config {
    types = ["count-words"] # any JSON is their input; inputs = { TYPE = { … } } gives a type a schema
  }
}

# A type may also be placed on the board, and gets limits, by its own block.
task_type "shout" {
  executor = "board"
  timeout  = "10m"
  max_lost = 1
}
