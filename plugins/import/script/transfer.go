package script

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/taskhost/taskhost/plugins/import/fetch"
	"github.com/taskhost/taskhost/sdk"
)

const (
	copySize = 256 << 10
	// progressEvery keeps a fast disk from reporting thousands of times a second.
	progressEvery = 100 * time.Millisecond
)

// transfer copies an image once, hashing as it goes. It is used once, by one goroutine:
// run, then finish and sums.
type transfer struct {
	file      *os.File      // the image is written to it
	requested formatRequest // what the client says of the image
	total     int64         // bytes to come; 0 if nobody knows
	limit     int64         // bytes that are taken at the most
	reporter  sdk.Reporter
	now       func() time.Time

	size         int64 // bytes copied so far
	head         []byte
	found        detected // what the image is, once hasDetected
	hasDetected  bool
	hashes       [3]hash.Hash // MD5, SHA-256 and SHA-512
	lastProgress time.Time
}

// run copies all of from. A wrong format is refused as soon as the head is
// there, not after the last of many gigabytes.
func (tr *transfer) run(ctx context.Context, from io.Reader) error {
	tr.hashes = [3]hash.Hash{md5.New(), sha256.New(), sha512.New()}
	tr.progress("copying", true)
	buf := make([]byte, copySize)
	for {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, readErr := from.Read(buf)
		if n > 0 {
			if err := tr.write(buf[:n]); err != nil {
				return err
			}
		}
		if readErr == io.EOF {
			break
		}
		if readErr != nil {
			if errors.Is(readErr, fetch.ErrTooLarge) {
				return sdk.Permanent(tooLarge("the image", tr.limit))
			}
			return fmt.Errorf("read after %d bytes: %w", tr.size, readErr)
		}
		tr.progress("copying", false)
	}
	tr.progress("storing", true)
	return nil
}

func (tr *transfer) write(p []byte) error {
	if tr.size+int64(len(p)) > tr.limit {
		return sdk.Permanent(tooLarge("the image", tr.limit))
	}
	if missing := headSize - len(tr.head); missing > 0 {
		tr.head = append(tr.head, p[:min(missing, len(p))]...)
		if len(tr.head) == headSize {
			if err := tr.detectOnce(); err != nil {
				return err
			}
		}
	}
	if _, err := tr.file.Write(p); err != nil {
		return writeError(err, tr.size)
	}
	for _, h := range tr.hashes {
		_, _ = h.Write(p) // a hash never fails
	}
	tr.size += int64(len(p))
	return nil
}

// detectOnce tells the format from the head, once.
func (tr *transfer) detectOnce() (err error) {
	if !tr.hasDetected {
		tr.hasDetected = true
		tr.found, err = detect(tr.head, tr.requested)
	}
	return err
}

// finish says what the image is, now that all of it is there.
func (tr *transfer) finish() (detected, error) {
	if tr.size == 0 {
		return detected{}, sdk.Permanent(errors.New("the source is empty"))
	}
	if err := tr.detectOnce(); err != nil {
		return detected{}, err
	}
	if tr.found.format == formatQCOW2 {
		if err := tr.found.qcow2.checkFile(tr.file, tr.size); err != nil {
			return detected{}, sdk.Permanent(err)
		}
		return tr.found, nil
	}
	if tr.found.recognized == "" {
		tail := make([]byte, min(tr.size, tailSize))
		if _, err := tr.file.ReadAt(tail, tr.size-int64(len(tail))); err != nil {
			return detected{}, fmt.Errorf("images_dir: read back the end of the image: %w", err)
		}
		found, err := detectTail(tail, tr.requested)
		if err != nil {
			return detected{}, err
		}
		tr.found = found
	}
	tr.found.virtualSize = tr.size
	return tr.found, nil
}

func (tr *transfer) sums() checksums {
	sum := func(i int) string { return hex.EncodeToString(tr.hashes[i].Sum(nil)) }
	return checksums{MD5: sum(0), SHA256: sum(1), SHA512: sum(2)}
}

func (tr *transfer) progress(message string, now bool) {
	at := tr.now()
	if !now && at.Sub(tr.lastProgress) < progressEvery {
		return
	}
	tr.lastProgress = at
	total := tr.total
	if total > 0 && tr.size > total { // the file grew while it was read
		total = tr.size
	}
	tr.reporter.Progress(tr.size, total, message)
}

// writeError says it plainly when the disk is full: a later attempt may find room.
func writeError(err error, at int64) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("images_dir: the disk is full, after %d bytes of this image: %w", at, err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("images_dir: the disk quota is used up, after %d bytes of this image: %w", at, err)
	default:
		return fmt.Errorf("images_dir: write after %d bytes: %w", at, err)
	}
}
