package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/api"
)

// version is what the build knows of itself: the module's version, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "dev-" + s.Value[:12]
		}
	}
	return "dev"
}

func (p *program) versionCmd() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Say which taskhost this is", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := api.VersionInfo{Name: "taskhost", Version: version(), API: "v1", Go: runtime.Version()}
			return printFields(p, v, v.Version, []field{{"taskhost", v.Version}, {"go", v.Go}})
		}}
}
