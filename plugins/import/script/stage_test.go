package script

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

func stageOf(t *testing.T, dir string, attempt int) *stage {
	t.Helper()
	st, err := newStage(dir, sdk.Task{ID: "t", Attempt: attempt, Token: sdk.Token{byte(attempt)}})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// An attempt that was given up as lost wakes when its successor works already: it
// publishes nothing, and its successor does.
func TestLateAttemptPublishesNothing(t *testing.T) {
	dir := t.TempDir()
	old := stageOf(t, dir, 1)
	next := stageOf(t, dir, 2)
	if _, err := old.data.WriteString("old"); err != nil {
		t.Fatal(err)
	}
	if _, err := next.data.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	if err := old.publish(t.Context(), []byte("old")); !errors.Is(err, errSuperseded) {
		t.Errorf("the old attempt: %v", err)
	}
	old.discard()
	if err := next.publish(t.Context(), []byte("new")); err != nil {
		t.Fatal(err)
	}
	next.discard()
	isNext(t, dir)
	if _, err := newStage(dir, sdk.Task{ID: "t", Attempt: 1}); err != nil {
		t.Errorf("nothing runs: %v", err)
	}
}

// publishNext has attempt 2 publish an image.
func publishNext(t *testing.T, dir string) {
	t.Helper()
	next := stageOf(t, dir, 2)
	if _, err := next.data.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	if err := next.publish(t.Context(), []byte("new")); err != nil {
		t.Fatal(err)
	}
	next.discard()
}

// isNext checks that the image of publishNext is whole, and all that there is.
func isNext(t *testing.T, dir string) {
	t.Helper()
	for _, p := range []string{imagePath(dir, "t"), metaPath(dir, "t")} {
		if data, err := os.ReadFile(p); err != nil || string(data) != "new" {
			t.Errorf("%s: %q, %v", p, data, err)
		}
	}
	if left := inDir(t, dir); len(left) != 2 {
		t.Errorf("there is %v", left)
	}
}

// It may wake when its successor has published already, or be stopped just before its
// renames until that has: the image stays as it is.
func TestLateAttemptLeavesTheImage(t *testing.T) {
	for name, late := range map[string]func(*stage) error{
		"before it publishes": func(st *stage) error { return st.publish(t.Context(), []byte("old")) },
		"as it publishes":     (*stage).replaceImage,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			old := stageOf(t, dir, 1)
			publishNext(t, dir)
			if err := late(old); !errors.Is(err, errSuperseded) {
				t.Errorf("the old attempt: %v", err)
			}
			old.discard()
			isNext(t, dir)
		})
	}
}

// Between its renames a late attempt may have put the metadata of its successor's image
// aside, which is no reason for another to remove the image.
func TestDiscardLeavesOthersImages(t *testing.T) {
	dir := t.TempDir()
	late := stageOf(t, dir, 1)
	publishNext(t, dir)
	if err := late.putMetadataAside(); err != nil {
		t.Fatal(err)
	}
	late.discard()
	if err := putMetadataBack(dir, "t", late.asideName()); err != nil {
		t.Fatal(err)
	}
	isNext(t, dir)
}

// Its start may even be late: then it must not end its successor.
func TestLateStartIsRefused(t *testing.T) {
	dir := t.TempDir()
	next := stageOf(t, dir, 2)
	if _, err := newStage(dir, sdk.Task{ID: "t", Attempt: 1}); !errors.Is(err, errSuperseded) {
		t.Errorf("%v", err)
	}
	if err := next.publish(t.Context(), []byte("{}")); err != nil {
		t.Error(err)
	}
}

// A second attempt sweeps what a killed one left, and nothing of other tasks; a
// second success replaces the first.
func TestNextAttemptSweeps(t *testing.T) {
	b := newBench(t, nil)
	b.put("raw", example(t, "small.raw"))
	task := b.task(1, map[string]any{"import_from": "raw"})
	if _, err := newStage(b.images, task); err != nil { // and is never discarded: a kill
		t.Fatal(err)
	}
	other, err := newStage(b.images, sdk.Task{ID: "01990f4e-bbbb-7000-8000-000000000001", Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	for attempt := 2; attempt <= 3; attempt++ {
		if _, o := b.run(t.Context(), b.task(attempt, map[string]any{"import_from": "raw"})); o.Kind != sdk.OutcomeSucceeded {
			t.Fatalf("%+v", o)
		}
		if names := b.files(); len(names) != 4 {
			t.Errorf("want an image, its metadata and the other's two files: %v", names)
		}
	}
	other.discard()
	if _, err := newStage(b.images, task); err != nil {
		t.Fatal(err)
	}
	if err := b.script.Undo(t.Context(), task, b.reporter()); err != nil {
		t.Error(err)
	}
	b.empty()
}

// An attempt whose time is up while it syncs leaves the earlier image alone.
func TestPublishObeysTheContext(t *testing.T) {
	dir := t.TempDir()
	first := stageOf(t, dir, 1)
	if _, err := first.data.WriteString("first"); err != nil {
		t.Fatal(err)
	}
	if err := first.publish(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(sdk.ErrCancel)
	st := stageOf(t, dir, 2)
	if err := st.publish(ctx, []byte("{}")); !errors.Is(err, sdk.ErrCancel) {
		t.Error(err)
	}
	st.discard()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	if data, err := os.ReadFile(imagePath(dir, "t")); err != nil || string(data) != "first" {
		t.Errorf("%q, %v", data, err)
	}
}

// Metadata that cannot be given their name take the image with them, in its own
// attempt; one that is at work keeps it.
func TestHalfPublished(t *testing.T) {
	dir := t.TempDir()
	st := stageOf(t, dir, 1)
	if err := os.Remove(st.meta.Name()); err != nil {
		t.Fatal(err)
	}
	if err := st.publish(t.Context(), []byte("{}")); err == nil {
		t.Fatal("published without metadata")
	}
	late := &stage{dir: dir, id: "t"}
	late.discard()
	if _, err := os.Stat(imagePath(dir, "t")); err != nil {
		t.Errorf("taken from an attempt that is at work: %v", err)
	}
	st.discard()
	if left := inDir(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Of an image that is replaced, the old metadata go before the new bytes come: a kill
// between must not leave bytes beside another image's format.
func TestReplacedImageLosesItsMetadataFirst(t *testing.T) {
	dir := t.TempDir()
	if err := stageOf(t, dir, 1).publish(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	next := stageOf(t, dir, 2)
	if err := os.Remove(next.meta.Name()); err != nil { // so that it ends where a kill might end it
		t.Fatal(err)
	}
	if err := next.publish(t.Context(), []byte("{}")); err == nil {
		t.Fatal("published without metadata")
	}
	if _, err := os.Stat(metaPath(dir, "t")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the first image's metadata are beside the second: %v", err)
	}
	next.discard()
	if left := inDir(t, dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func inDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
