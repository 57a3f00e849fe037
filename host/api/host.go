package api

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string            `json:"status" enum:"ok,ready,degraded" doc:"of /healthz: ok; of /readyz: ready, or degraded where some executors can run nothing"`
	Checks map[string]string `json:"checks,omitempty" doc:"of /readyz?verbose: a line for each part of the host, by its name"`
}

// VersionInfo says what answers.
type VersionInfo struct {
	Name    string `json:"name" enum:"taskhost" doc:"the program"`
	Version string `json:"version" doc:"of the program"`
	API     string `json:"api" enum:"v1" doc:"the version of the API, which its paths begin with"`
	Go      string `json:"go" doc:"the version of Go that it was built with"`
}
