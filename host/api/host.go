package api

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string            `json:"status" doc:"of /healthz: ok; of /readyz: ready, or degraded where some executors can run nothing"`
	Checks map[string]string `json:"checks,omitempty" doc:"of ?verbose: a line for each part"`
}

// VersionInfo says what answers.
type VersionInfo struct {
	Name    string `json:"name" doc:"taskhost"`
	Version string `json:"version"`
	API     string `json:"api" doc:"v1"`
	Go      string `json:"go"`
}
