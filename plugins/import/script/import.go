// Package script is the import script: it copies a disk image from an HTTP
// server, or from a directory that the operator opened, into a directory of images. The plugin
// binary beside it serves it, and so may any executor that is handed scripts.
package script

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/import/fetch"
	"github.com/taskhost/taskhost/sdk"
)

// Plugin is the import script as a plugin of its own.
func Plugin(version string) sdk.Plugin {
	return sdk.Plugin{Name: typeInfo().Name, Version: version, ConfigSchema: ConfigSchema(), Types: []string{typeInfo().Name}, New: New}
}

// New makes an executor that offers the import script alone.
func New(cfg sdk.Config) (sdk.Executor, error) {
	s, err := Script(cfg)
	if err != nil {
		return nil, err
	}
	return sdk.NewScripts(s)
}

// Script makes the import script of the attributes images_dir, import_root,
// allow_hosts, allow_ports, max_size, timeout and stall_timeout. It creates images_dir.
// Its upkeep removes from there what killed attempts left, in this process or another.
// An error names the attribute at fault.
func Script(cfg sdk.Config) (sdk.Script, error) {
	im, err := newImporter(cfg)
	if err != nil {
		return sdk.Script{}, err
	}
	return sdk.Script{TypeInfo: typeInfo(), Run: im.run, Undo: im.undo, Upkeep: im.upkeep}, nil
}

// importer is the script with its config. It holds nothing of an attempt, and serves many
// at once.
type importer struct {
	cfg    config
	client *fetch.Client
	now    func() time.Time
	log    hclog.Logger // for what belongs to no attempt
	noRoot error        // of a path, where there is no import_root
}

// imageID is what may be a file's name: the host's ids are UUIDs, but a name is
// never trusted with a slash or a leading dot in it.
var imageID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)

func (im *importer) run(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	in, err := readInput(t)
	if err != nil {
		return sdk.Result{}, err
	}
	if !imageID.MatchString(t.ID) {
		return sdk.Result{}, sdk.Permanent(fmt.Errorf("task id %q cannot be the name of an image", t.ID))
	}
	out, err := im.copy(ctx, t, in, r)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("import stopped: %w", cause)
		}
		r.Log().Warn("import failed", "error", err)
		return sdk.Result{}, err
	}
	return sdk.JSON(out)
}

// copy stages the source's bytes and publishes them. Whatever fails, the stage
// leaves nothing behind.
func (im *importer) copy(ctx context.Context, t sdk.Task, in input, r sdk.Reporter) (output, error) {
	st, err := newStage(string(im.cfg.ImagesDir), t)
	if err != nil {
		return output{}, err
	}
	defer st.discard()
	src, err := im.open(ctx, in.From)
	if err != nil {
		return output{}, err
	}
	defer func() { _ = src.body.Close() }() // only read
	r.Log().Info("importing", "from", src.name, "size", src.size, "image", t.ID)

	began := im.now()
	tr := transfer{file: st.data, requested: formatRequest{in.Format, in.AllowAny}, total: src.size, limit: int64(im.cfg.MaxSize), reporter: r, now: im.now}
	if err := tr.run(ctx, src.body); err != nil {
		return output{}, err
	}
	found, err := tr.finish()
	if err != nil {
		return output{}, err
	}
	out := output{ImageID: t.ID, Size: tr.size, VirtualSize: found.virtualSize, DiskFormat: found.format,
		Recognized: found.recognized, Checksums: tr.sums()}
	if found.recognized != "" {
		r.Log().Warn("stored as raw because allow_any says so; never let it be probed", "recognized", found.recognized)
	}
	r.Log().Info("copied", "bytes", out.Size, "format", out.DiskFormat, "virtual_size", out.VirtualSize,
		"took", im.now().Sub(began).Round(time.Millisecond).String())
	if in.Checksum != "" {
		if got, ok := out.Checksums.is(in.Checksum); !ok {
			return output{}, sdk.Permanent(fmt.Errorf("checksum: expected %s, the source has %s", in.Checksum, got))
		}
		r.Log().Info("checksum matches", "checksum", in.Checksum)
	}
	meta, err := json.MarshalIndent(metadata{
		output: out, Properties: in.Properties, Source: src.name,
		CreatedAt: im.now().UTC().Format(time.RFC3339Nano),
	}, "", "  ")
	if err != nil {
		return output{}, sdk.Permanent(fmt.Errorf("metadata: %w", err))
	}
	if err := st.publish(ctx, append(meta, '\n')); err != nil {
		return output{}, err
	}
	r.Log().Info("image stored", "image", t.ID, "sha256", out.Checksums.SHA256)
	return out, nil
}

// undo removes the image, its metadata and whatever an attempt left behind. It
// succeeds if nothing is there, so that it may be repeated.
func (im *importer) undo(_ context.Context, t sdk.Task, r sdk.Reporter) error {
	if !imageID.MatchString(t.ID) {
		return sdk.Permanent(fmt.Errorf("task id %q cannot be the name of an image", t.ID))
	}
	if err := removeImage(string(im.cfg.ImagesDir), t.ID); err != nil {
		return fmt.Errorf("remove image %s: %w", t.ID, err)
	}
	r.Log().Info("image removed", "image", t.ID)
	return nil
}
