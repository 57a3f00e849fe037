package script

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/taskhost/taskhost/plugins/import/fetch"
	"github.com/taskhost/taskhost/sdk"
)

// open finds the source: with "://" in it, it is a URL, otherwise a path.
func (im *importer) open(ctx context.Context, from string) (source, error) {
	if strings.Contains(from, "://") {
		return im.openURL(ctx, from)
	}
	return im.openPath(from)
}

func (im *importer) openURL(ctx context.Context, from string) (source, error) {
	u, err := im.client.Parse(from)
	if err != nil {
		return source{}, err
	}
	resp, err := im.client.Do(ctx, fetch.Request{
		URL:    from,
		Header: http.Header{"Accept-Encoding": {"identity"}},
	})
	if errors.Is(err, fetch.ErrTooLarge) {
		return source{}, sdk.Permanent(tooLarge("the image", int64(im.cfg.MaxSize)))
	}
	if err != nil {
		return source{}, err
	}
	if resp.StatusCode != http.StatusOK {
		err := fetch.StatusError(resp, im.now())
		_ = resp.Body.Close() // the status is the news
		return source{}, err
	}
	if enc := contentEncodings(resp.Header); len(enc) > 0 {
		_ = resp.Body.Close() // will not be read
		return source{}, sdk.Permanent(fmt.Errorf("%s: the server sends it encoded (%.100q), so that its bytes are not the image's",
			fetch.ShowURL(u), strings.Join(enc, ", ")))
	}
	return source{name: fetch.ShowURL(u), body: resp.Body, size: max(resp.ContentLength, 0)}, nil
}

// contentEncodings are those in a header that change the bytes. It is a list, over any
// number of lines and in any case, and identity in it says nothing (RFC 9110, 8.4).
func contentEncodings(h http.Header) []string {
	var found []string
	for _, line := range h.Values("Content-Encoding") {
		for _, enc := range strings.Split(line, ",") {
			if enc = strings.TrimSpace(enc); enc != "" && !strings.EqualFold(enc, "identity") {
				found = append(found, enc)
			}
		}
	}
	return found
}

// openPath opens a file below import_root. os.Root follows links only as long as
// they stay below it, in the very calls that open, so that no link swapped
// in between leads out.
func (im *importer) openPath(from string) (source, error) {
	if im.cfg.ImportRoot == "" {
		return source{}, sdk.Permanent(im.noRoot)
	}
	name := from
	if filepath.IsAbs(name) {
		rel, err := filepath.Rel(string(im.cfg.ImportRoot), name)
		if err != nil || !filepath.IsLocal(rel) {
			return source{}, sdk.Permanent(fmt.Errorf("path %q is not below import_root", from))
		}
		name = rel
	}
	root, err := os.OpenRoot(string(im.cfg.ImportRoot))
	if err != nil {
		return source{}, fmt.Errorf("import_root: %w", err)
	}
	defer func() { _ = root.Close() }() // the file stays open without it
	// Without O_NONBLOCK the open of a pipe would wait for a writer.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return source{}, pathError(from, err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close() // the first error is the news
		return source{}, fmt.Errorf("path %q: %w", from, err)
	}
	if !info.Mode().IsRegular() {
		_ = f.Close() // will not be read
		return source{}, sdk.Permanent(fmt.Errorf("path %q is not a regular file", from))
	}
	if info.Size() > int64(im.cfg.MaxSize) {
		_ = f.Close() // will not be read
		return source{}, sdk.Permanent(tooLarge(from, int64(im.cfg.MaxSize)))
	}
	return source{name: from, body: f, size: info.Size()}, nil
}

// pathError says what was wrong without the operator's directories in it. What is
// not there, not allowed, or outside stays so; anything else may pass.
func pathError(from string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	err = fmt.Errorf("path %q: %w", from, err)
	var errno syscall.Errno
	if errors.As(err, &errno) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		switch errno {
		case syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ENXIO, syscall.EISDIR:
		default:
			return err // such as too many open files
		}
	}
	return sdk.Permanent(err)
}

func tooLarge(name string, limit int64) error {
	return fmt.Errorf("%s is larger than max_size (%d bytes)", name, limit)
}

// source is an open image, wherever it is.
type source struct {
	name string // for logs and metadata: without secrets
	body io.ReadCloser
	size int64 // 0: unknown
}

// errNoRoot is the error of a path where none is imported, with what the operator can write.
func errNoRoot(cfg sdk.Config) error {
	return fmt.Errorf("import_from is a path, and this executor imports none (the operator can name a directory for that in its config: %s)",
		cfg.Attribute("import_root", "/a/directory"))
}
