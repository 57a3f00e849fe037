package script

import (
	"encoding/json"
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
	ImagesDir  sdk.Path     `json:"images_dir" jsonschema:"the directory that receives the images; without it, images in the executor's own directory"`
	ImportRoot sdk.Path     `json:"import_root" jsonschema:"the directory below which paths are imported; without it only URLs are"`
	AllowHosts []string     `json:"allow_hosts" jsonschema:"host names, addresses and networks that may be fetched from although they are not public ones"`
	AllowPorts []int        `json:"allow_ports" jsonschema:"the ports that may be fetched from"`
	MaxSize    sdk.Size     `json:"max_size" jsonschema:"the largest image that is taken"`
	Timeout    sdk.Duration `json:"timeout" jsonschema:"how long one transfer may take"`
	Stall      sdk.Duration `json:"stall_timeout" jsonschema:"how long a transfer may bring nothing"`
}

const (
	defaultMaxSize = 64 << 30
	defaultTimeout = time.Hour
	defaultStall   = time.Minute
)

func defaultConfig() config {
	return config{MaxSize: defaultMaxSize, Timeout: sdk.Duration(defaultTimeout), Stall: sdk.Duration(defaultStall)}
}

// ConfigSchema is the schema of the script's attributes.
func ConfigSchema() json.RawMessage {
	c := defaultConfig()
	c.AllowPorts = fetch.DefaultPorts()
	return sdk.ConfigSchema(c)
}

func newImporter(cfg sdk.Config) (*importer, error) {
	c := defaultConfig()
	if err := cfg.Decode(&c); err != nil {
		return nil, err
	}
	if c.ImagesDir == "" {
		if cfg.DataDir == "" {
			return nil, fmt.Errorf("images_dir: say where images go (this executor has no data directory)")
		}
		c.ImagesDir = sdk.Path(filepath.Join(cfg.DataDir, "images"))
	}
	if !filepath.IsAbs(string(c.ImagesDir)) {
		return nil, fmt.Errorf("images_dir: %q is not an absolute path", c.ImagesDir)
	}
	if err := os.MkdirAll(string(c.ImagesDir), 0o750); err != nil {
		return nil, fmt.Errorf("images_dir: %w", err)
	}
	if c.ImportRoot != "" {
		if !filepath.IsAbs(string(c.ImportRoot)) {
			return nil, fmt.Errorf("import_root: %q is not an absolute path", c.ImportRoot)
		}
		root, err := os.OpenRoot(string(c.ImportRoot))
		if err != nil {
			return nil, fmt.Errorf("import_root: %w", err)
		}
		_ = root.Close() // opened only to see that it can be
	}
	policy, err := fetch.NewPolicy(c.AllowHosts, c.AllowPorts, cfg.Attribute)
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
	return &importer{cfg: c, client: client, now: time.Now, log: log, noRoot: errNoRoot(cfg)}, nil
}
