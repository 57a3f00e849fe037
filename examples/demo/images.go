package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/task"
)

// source is an image where it is imported from.
type source struct {
	name, from, format string
	size               int64
	sha256             string
}

// imported is the result of the import script.
type imported struct {
	ImageID     string `json:"image_id"`
	Size        int64  `json:"size"`
	VirtualSize int64  `json:"virtual_size"`
	Format      string `json:"disk_format"`
	Checksums   struct {
		MD5    string `json:"md5"`
		SHA256 string `json:"sha256"`
		SHA512 string `json:"sha512"`
	} `json:"checksums"`
}

// web serves images over HTTP, slowly enough that there is progress to see.
type web struct {
	server  *http.Server
	port    int
	sources []source
}

const largeImage = 24 << 20

func serveImages(dir, images string) (*web, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &web{port: l.Addr().(*net.TCPAddr).Port}
	large := filepath.Join(dir, "large.raw")
	if err := writeLarge(large); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	at := fmt.Sprintf("http://127.0.0.1:%d/", w.port)
	for _, s := range []struct{ name, file, from, format string }{
		{"small.qcow2", filepath.Join(images, "small.qcow2"), at + "small.qcow2", "qcow2"},
		{"small.raw", filepath.Join(images, "small.raw"), "small.raw", "raw"}, // a path below import_root
		{"large.raw", large, at + "large.raw", "raw"},
	} {
		size, sum, err := digest(s.file)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		w.sources = append(w.sources, source{name: s.name, from: s.from, format: s.format, size: size, sha256: sum})
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(images)))
	mux.HandleFunc("/large.raw", func(rw http.ResponseWriter, r *http.Request) { trickle(rw, r, large) })
	w.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go w.server.Serve(l) //nolint:errcheck // it ends with close, and then always with an error
	return w, nil
}

func (w *web) close() { _ = w.server.Close() }

// writeLarge makes a raw image of noise, the same each time.
func writeLarge(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	noise := rand.NewChaCha8([32]byte{1})
	if _, err := io.CopyN(f, noise, largeImage); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func digest(path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}

// trickle serves a file over about a second.
func trickle(w http.ResponseWriter, r *http.Request, path string) {
	f, err := os.Open(path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Length", fmt.Sprint(largeImage))
	for r.Context().Err() == nil {
		if _, err := io.CopyN(w, f, 1<<20); err != nil {
			return
		}
		time.Sleep(40 * time.Millisecond)
	}
}

func importOne(ctx context.Context, c *client.Client, src source, w way) row {
	r := row{source: src, way: w}
	input, err := json.Marshal(map[string]any{"import_from": src.from, "import_from_format": src.format,
		"image_properties": map[string]string{"name": src.name}})
	if err != nil {
		r.err = err
		return r
	}
	if r.task, r.err = c.Submit(ctx, api.TaskRequest{Type: "import", Input: input, Executor: w.executor}, client.SubmitOptions{}); r.err != nil {
		return r
	}
	shown := time.Now()
	for ev, err := range c.Events(ctx, r.task.ID, 0) {
		if err != nil {
			r.err = err
			return r
		}
		if p := ev.Progress; p != nil && p.Total > 0 && time.Since(shown) > 200*time.Millisecond {
			fmt.Printf("  %-12s %3d %%  %d of %d bytes\n", src.name, 100*p.Done/p.Total, p.Done, p.Total)
			shown = time.Now()
		}
	}
	if r.task, r.err = c.Get(ctx, r.task.ID); r.err == nil && r.task.State == task.Succeeded {
		r.err = json.Unmarshal(r.task.Result, &r.image)
	}
	fmt.Printf("  %-12s %s\n", src.name, r.task.State)
	return r
}

// check says what is not as it should be.
func (r row) check() error {
	switch {
	case r.task.State != task.Succeeded:
		why := ""
		if r.task.Error != nil {
			why = ": " + r.task.Error.Message
		}
		return fmt.Errorf("is %s%s", r.task.State, why)
	case r.task.Executor == nil || *r.task.Executor != r.way.executor:
		return errors.New("ran elsewhere")
	case r.image.Checksums.SHA256 != r.source.sha256:
		return errors.New("DIFFERS from the source")
	case r.image.Size != r.source.size:
		return fmt.Errorf("has %d bytes, the source %d", r.image.Size, r.source.size)
	case r.image.Format != r.source.format:
		return fmt.Errorf("is said to be %s", r.image.Format)
	}
	return nil
}
