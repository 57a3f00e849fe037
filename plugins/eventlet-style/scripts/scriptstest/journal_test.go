package scriptstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	s, err := Journal().New(sdk.NewConfig("x", fmt.Appendf(nil, `{"path": %q}`, path), nil))
	if err != nil {
		t.Fatal(err)
	}
	do := func(ctx context.Context, attempt int, input string) (sdk.Result, error) {
		return s.Run(ctx, sdk.Task{ID: "t", Attempt: attempt, Token: sdk.Token{byte(attempt)}, Input: []byte(input)}, nil)
	}
	if _, err := do(t.Context(), 1, `{"fail": 1, "result": 7}`); err == nil {
		t.Error("the first attempt should fail")
	}
	if res, err := do(t.Context(), 2, `{"fail": 1, "result": 7}`); err != nil || string(res.Data) != "7" {
		t.Errorf("%s, %v", res.Data, err)
	}
	if err := os.WriteFile(path, append(readFile(t, path), "\nt 9 03"...), 0o600); err != nil { // of a process that was killed as it wrote
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(sdk.ErrDetach)
	if _, err := do(ctx, 3, `{"seconds": 3600}`); !errors.Is(err, sdk.ErrDetach) {
		t.Error(err)
	}
	if res, err := do(t.Context(), 4, "null"); err != nil || string(res.Data) != "null" {
		t.Errorf("%s, %v", res.Data, err)
	}
	var want strings.Builder
	for _, line := range []string{"1 start", "1 end", "2 start", "2 end", "", "3 start", "4 start", "4 end"} {
		if line == "" {
			want.WriteString("\nt 9 03")
			continue
		}
		var n int
		var what string
		if _, err := fmt.Sscan(line, &n, &what); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "\nt %d %s %s", n, sdk.Token{byte(n)}, what)
	}
	if data := readFile(t, path); string(data) != want.String() {
		t.Errorf("the journal reads\n%swant\n%s", data, &want)
	}
	if _, err := New(sdk.NewConfig("x", nil, nil)); err == nil {
		t.Error("a journal without a path")
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
