package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/secret"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
)

func dataDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// sealedStore makes a store with so many tasks whose inputs are sealed, and a schedule.
func sealedStore(t *testing.T, dir string, n int) {
	t.Helper()
	keys, made, err := openKeys(dir)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	spec := func(i int) task.Spec {
		clear := fmt.Appendf(nil, `{"n":%d,"secret":"s3cret"}`, i)
		at := bytes.Index(clear, []byte(`"s3cret"`))
		sealed, err := keys.Seal(secret.Origin{Owner: "me", Type: "work"}, clear, []task.JSONPart{{Path: []string{"secret"}, From: at, To: at + len(`"s3cret"`)}})
		if err != nil {
			t.Fatal(err)
		}
		return task.Spec{Type: "work", Input: json.RawMessage(sealed)}
	}
	tasks := make([]*task.Task, n)
	for i := range tasks {
		id, err := engine.NewID()
		if err != nil {
			t.Fatal(err)
		}
		one, err := task.New(id, "me", spec(i), task.DefaultLimits(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		tasks[i] = &one
	}
	if _, err := store.Insert(t.Context(), task.Submission{Tasks: tasks}); err != nil {
		t.Fatal(err)
	}
	s, err := schedule.New(task.ID{1}, "me", schedule.Spec{Name: "s", Every: time.Hour, Task: spec(-1)}, time.Now(), 0)
	if err == nil {
		err = store.CreateSchedule(t.Context(), s)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// opens wants the keys of a directory to open what is sealed in its store, and says how many they are.
func opens(t *testing.T, dir string) (keys int) {
	t.Helper()
	if r, err := CheckStore(t.Context(), dir); err != nil || !r.OK() {
		t.Fatalf("check: %+v, %v", r.Problems, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, KeyFileName))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(data, []byte("taskhost-key:"))
}

// rekeyUntil is a change of keys that ends once so many inputs were looked at.
func rekeyUntil(t *testing.T, dir string, inputs int) {
	t.Helper()
	keys, _, err := openKeys(dir)
	if err == nil {
		err = keys.Add()
	}
	if err == nil {
		err = writeKeys(dir, keys)
	}
	store, openErr := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err = errors.Join(err, openErr); err != nil {
		t.Fatal(err)
	}
	died := errors.New("killed")
	done := 0
	_, err = store.RewriteInputs(t.Context(), func(owner, taskType string, input []byte) ([]byte, error) {
		if done++; done > inputs {
			return nil, died
		}
		return keys.Reseal(secret.Origin{Owner: owner, Type: taskType}, input)
	})
	if closeErr := store.Close(); !errors.Is(err, died) || closeErr != nil {
		t.Fatal(err, closeErr)
	}
}

// A change of keys that ends at any moment loses nothing, and the next finishes it.
func TestRekey(t *testing.T) {
	dir := dataDir(t)
	sealedStore(t, dir, 450) // more than are written at once, twice
	path := filepath.Join(dir, KeyFileName)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, inputs := range []int{0, 1, 201, 449} {
		rekeyUntil(t, dir, inputs)
		opens(t, dir)
	}
	r, err := RekeyStore(t.Context(), dir)
	if keys := opens(t, dir); err != nil || r.Inputs != 451 || r.Unopened != 0 || keys != 1 {
		t.Errorf("rekey: %+v, %v, %d keys", r, err, keys)
	}
	after, err := os.ReadFile(path)
	if err != nil || bytes.Contains(after, bytes.TrimSpace(before[bytes.Index(before, []byte("taskhost-key:")):])) {
		t.Errorf("the first key is still there, %v", err)
	}

	// With another key nothing opens, and that is said; with the lost one back before it, all does.
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := CheckStore(t.Context(), dir); err != nil || len(c.Problems) != 1 || !strings.Contains(c.Problems[0], "in 451 inputs") {
		t.Errorf("check with another key: %+v, %v", c, err)
	}
	if r, err := RekeyStore(t.Context(), dir); err != nil || r.Inputs != 0 || r.Unopened != 451 {
		t.Errorf("rekey with another key: %+v, %v", r, err)
	}
	other, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(after, other...), 0o600)
	}
	if keys := opens(t, dir); err != nil || keys != 2 {
		t.Errorf("the files of two keys are not one with both: %d, %v", keys, err)
	}
}

// A key file that others may read, or that is none, is refused; so is the host.
func TestKeyFile(t *testing.T) {
	dir := dataDir(t)
	keys, made, err := openKeys(dir)
	path := filepath.Join(dir, KeyFileName)
	info, statErr := os.Stat(path)
	if err = errors.Join(err, statErr); err != nil || !made || info.Mode() != 0o600 {
		t.Fatalf("made %v, %v, %v", made, info, err)
	}
	if again, made, err := openKeys(dir); err != nil || made || !bytes.Equal(again.Encode(), keys.Encode()) {
		t.Errorf("read again: made %v, %v", made, err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key file that others may read: %v", err)
	}
	if err := errors.Join(os.WriteFile(path, []byte("x"), 0o600), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := openKeys(dir); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("no key file: %v", err)
	}
}
