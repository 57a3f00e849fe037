package script

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// sweeperOf is an import script without anything but its directory.
func sweeperOf(dir string) *importer {
	return &importer{cfg: config{ImagesDir: sdk.Path(dir)}, now: time.Now, log: hclog.NewNullLogger()}
}

func sweep(t *testing.T, dir string) []string {
	t.Helper()
	if err := sweeperOf(dir).sweep(t.Context()); err != nil {
		t.Error(err)
	}
	return inDir(t, dir)
}

// kill lets go of an attempt's files as a kill of its process does.
func (st *stage) kill() {
	_ = st.data.Close()
	_ = st.meta.Close()
}

func TestSweepTakesTheDeadAndLeavesTheLiving(t *testing.T) {
	dir := t.TempDir()
	st := stageOf(t, dir, 1)
	long := time.Now().Add(-2 * staleAfter)
	if err := os.Chtimes(st.data.Name(), long, long); err != nil { // however long it has written nothing
		t.Fatal(err)
	}
	if left := sweep(t, dir); len(left) != 2 {
		t.Errorf("of an attempt that lives there is %v", left)
	}
	st.kill()
	if left := sweep(t, dir); len(left) > 0 {
		t.Errorf("of a dead one there is %v", left)
	}
}

// Locks of another machine may not be seen here: its files are left until they are
// old, and longer if a lock is seen. Those of earlier versions had none.
func TestSweepOfOtherMachines(t *testing.T) {
	for _, machine := range []string{".0123456789abcdef", ""} {
		dir := t.TempDir()
		name := filepath.Join(dir, ".t.1."+sdk.Token{1}.String()+machine+dataSuffix)
		f, err := createLocked(name)
		if err != nil {
			t.Fatal(err)
		}
		old := func(d time.Duration) {
			at := time.Now().Add(-d)
			if err := os.Chtimes(name, at, at); err != nil {
				t.Fatal(err)
			}
		}
		old(2 * staleAfter)
		if left := sweep(t, dir); len(left) != 1 {
			t.Errorf("locked: %v", left)
		}
		_ = f.Close()
		for _, age := range []time.Duration{-time.Hour, 0, staleAfter - time.Minute} {
			old(age)
			if left := sweep(t, dir); len(left) != 1 {
				t.Errorf("after %s: %v", age, left)
			}
		}
		old(staleAfter + time.Minute)
		if left := sweep(t, dir); len(left) > 0 {
			t.Errorf("after a day: %v", left)
		}
	}
}

// A kill between two steps of a publication or of a revert.
func TestSweepOfHalfDone(t *testing.T) {
	for name, half := range map[string]func(t *testing.T, dir string){
		"published without metadata": func(t *testing.T, dir string) {
			st := stageOf(t, dir, 1)
			must(t, os.Rename(st.data.Name(), imagePath(dir, "t")))
			st.kill()
		},
		"the image before has lost its metadata": func(t *testing.T, dir string) {
			must(t, stageOf(t, dir, 1).publish(t.Context(), []byte("{}")))
			st := stageOf(t, dir, 2)
			must(t, st.putMetadataAside())
			st.kill()
		},
		"reverted in part": func(t *testing.T, dir string) {
			must(t, stageOf(t, dir, 1).publish(t.Context(), []byte("{}")))
			must(t, os.Rename(metaPath(dir, "t"), filepath.Join(dir, stem("t", 0, sdk.Token{})+metaSuffix)))
		},
		"created in part": func(t *testing.T, dir string) {
			st := stageOf(t, dir, 1)
			must(t, os.Remove(st.meta.Name()))
			st.kill()
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			half(t, dir)
			if left := sweep(t, dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			half(t, dir) // and what the next attempt does about it
			next := stageOf(t, dir, 3)
			if left := inDir(t, dir); len(left) != 2 {
				t.Errorf("beside the next attempt: %v", left)
			}
			next.discard()
		})
	}
}

// A late attempt is killed that had put its successor's metadata aside: they come back, once
// no other attempt may be about to replace the image.
func TestSweepRestoresMetadata(t *testing.T) {
	dir := t.TempDir()
	late := stageOf(t, dir, 1)
	publishNext(t, dir)
	must(t, late.putMetadataAside())
	late.kill()
	other := stageOf(t, t.TempDir(), 1)
	theirs := filepath.Join(dir, filepath.Base(other.data.Name()))
	must(t, os.Rename(other.data.Name(), theirs))
	if left := sweep(t, dir); len(left) != 3 {
		t.Errorf("beside another attempt: %v", left)
	}
	must(t, os.Remove(theirs))
	sweep(t, dir)
	isNext(t, dir)
}

// An attempt is killed that had replaced an image, and left the metadata of the one before.
func TestSweepAfterReplacement(t *testing.T) {
	dir := t.TempDir()
	must(t, stageOf(t, dir, 1).publish(t.Context(), []byte("old")))
	st := stageOf(t, dir, 2)
	for _, f := range []*os.File{st.data, st.meta} {
		_, err := f.WriteString("new")
		must(t, err)
	}
	must(t, st.putMetadataAside())
	must(t, os.Rename(st.data.Name(), imagePath(dir, "t")))
	must(t, os.Rename(st.meta.Name(), metaPath(dir, "t")))
	st.kill()
	sweep(t, dir)
	isNext(t, dir)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// An image is safe, whoever dies beside it, and so is what is not ours.
func TestSweepLeavesTheRest(t *testing.T) {
	dir := t.TempDir()
	must(t, stageOf(t, dir, 1).publish(t.Context(), []byte("{}")))
	for _, name := range []string{"image-of-the-operator", "u.json", "u.part", ".u.part", ".u.x.0a.part", ".keep", ".u.1.0a.b.c.part", ".a b.1.0a.part", ".t.1.0a.b.partial"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(t, os.Mkdir(filepath.Join(dir, "dir"), 0o700))
	before := inDir(t, dir)
	stageOf(t, dir, 2).kill()
	if left := sweep(t, dir); !slices.Equal(left, before) {
		t.Errorf("there is %v, before %v", left, before)
	}
	must(t, sweeperOf(filepath.Join(dir, "gone")).sweep(t.Context())) // there is nothing to sweep
}

// Sweeps run while attempts begin, work and publish, in any order: each publishes.
func TestSweepsBesideAttempts(t *testing.T) {
	dir := t.TempDir()
	var sweeps, attempts sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		sweeps.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := sweeperOf(dir).sweep(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 4 {
		attempts.Go(func() {
			for j := range 25 {
				task := sdk.Task{ID: fmt.Sprintf("t%d-%d", i, j), Attempt: 1, Token: sdk.Token{byte(i), byte(j)}}
				st, err := newStage(dir, task)
				if err != nil {
					t.Error(err)
					return
				}
				if err := st.publish(t.Context(), []byte("{}")); err != nil {
					t.Errorf("%s: %v", task.ID, err)
				}
				st.discard()
				for _, p := range []string{imagePath(dir, task.ID), metaPath(dir, task.ID)} {
					if _, err := os.Stat(p); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	attempts.Wait()
	close(done)
	sweeps.Wait()
}

// Whatever a file is called: what is taken for an attempt's is named as one is, and
// is within the directory.
func FuzzParsePartial(f *testing.F) {
	for _, name := range []string{".t.1.0a.part", ".t.1.0a.0b.meta", ".t.-1.0a.part", "..1.x.part", ".t.1.0a.0b.0c.part", ".t.1.0a.0b.aside", ".part", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, ok := parseAttemptFile(name)
		if !ok {
			return
		}
		suffix, isSuffix := strings.CutPrefix(name, p.stem)
		if !isSuffix || suffix != dataSuffix && suffix != metaSuffix && suffix != asideSuffix || !imageID.MatchString(p.task) || p.name != name ||
			!strings.HasPrefix(name, "."+p.task+".") {
			t.Fatalf("%q: %+v", name, p)
		}
	})
}
