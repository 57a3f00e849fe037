package script

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/import/fetch"
	"github.com/taskhost/taskhost/sdk"
)

// config is the block's attributes. Each has a default, so that an empty block works.
type config struct {
	// ImagesDir receives the images; DATA_DIR/images by default.
	ImagesDir string `json:"images_dir"`
	// ImportRoot is the directory below which paths are imported; without it
	// only URLs are.
	ImportRoot string         `json:"import_root"`
	AllowHosts []string       `json:"allow_hosts"`
	AllowPorts []int          `json:"allow_ports"`
	MaxSize    fetch.Size     `json:"max_size"`
	Timeout    fetch.Duration `json:"timeout"` // of one transfer
	Stall      fetch.Duration `json:"stall_timeout"`
}

const (
	defaultMaxSize = 64 << 30
	defaultTimeout = time.Hour
	defaultStall   = time.Minute
)

func newImporter(cfg sdk.Config) (*importer, error) {
	c := config{
		MaxSize: defaultMaxSize,
		Timeout: fetch.Duration(defaultTimeout),
		Stall:   fetch.Duration(defaultStall),
	}
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if c.ImagesDir == "" {
		if cfg.DataDir == "" {
			return nil, fmt.Errorf("images_dir: say where images go (this executor has no data directory)")
		}
		c.ImagesDir = filepath.Join(cfg.DataDir, "images")
	}
	if !filepath.IsAbs(c.ImagesDir) {
		return nil, fmt.Errorf("images_dir: %q is not an absolute path", c.ImagesDir)
	}
	if err := os.MkdirAll(c.ImagesDir, 0o750); err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	if c.ImportRoot != "" {
		if !filepath.IsAbs(c.ImportRoot) {
			return nil, fmt.Errorf("import_root: %q is not an absolute path", c.ImportRoot)
		}
		root, err := os.OpenRoot(c.ImportRoot)
		if err != nil {
			return nil, fmt.Errorf("import_root: %w", err)
		}
		_ = root.Close() // opened only to see that it can be
	}
	policy, err := fetch.NewPolicy(c.AllowHosts, c.AllowPorts)
	if err != nil {
		return nil, err
	}
	client, err := fetch.New(fetch.Options{
		Policy:  policy,
		Timeout: time.Duration(c.Timeout),
		Stall:   time.Duration(c.Stall),
		MaxSize: int64(c.MaxSize),
	})
	if err != nil {
		return nil, err
	}
	log := cfg.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	return &importer{cfg: c, client: client, now: time.Now, log: log}, nil
}
