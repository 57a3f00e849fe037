package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// shell is an executor of its own: it runs attempts itself, and offers a type for each of
// the words that it knows.
type shell struct {
	sdk.Irreversible // nothing is undone
	running          sdk.JoinTable
	words            map[string]func(string) string
}

func (s *shell) Describe(context.Context) (sdk.Info, error) {
	info := sdk.Info{Slots: 4}
	for word := range s.words {
		info.Types = append(info.Types, sdk.TypeInfo{Name: word, Input: []byte(`{"type": "string"}`)})
	}
	return info, nil
}

func (s *shell) Execute(ctx context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	// A token that runs already is joined, and one that an earlier process ran is lost.
	return s.running.Do(ctx, t, func() (sdk.Result, error) {
		word, ok := s.words[t.Type]
		if !ok {
			return sdk.Result{}, sdk.Permanent(errors.New("no such word: " + t.Type))
		}
		var text string
		if err := t.Decode(&text); err != nil {
			return sdk.Result{}, err
		}
		return sdk.Text(word(text)), nil
	})
}

// An executor of its own is for what scripts cannot say: types that are known only at run time, a
// machine elsewhere, slots.
func ExampleExecutor() {
	var executor sdk.Executor = &shell{words: map[string]func(string) string{"upper": strings.ToUpper}}
	info, err := executor.Describe(context.Background())
	fmt.Println(info.Types[0].Name, info.Slots, err)

	reporter := sdk.NewReporter(sdk.ReporterFuncs{})
	result, err := sdk.Execute(context.Background(), executor, sdk.Task{Type: "upper", Input: []byte(`"hello"`)}, reporter)
	fmt.Println(string(result.Data), err)

	_, err = sdk.Execute(context.Background(), executor, sdk.Task{Type: "upper", Rejoin: true}, reporter)
	fmt.Println(errors.Is(err, sdk.ErrLost))
	// Output:
	// upper 4 <nil>
	// HELLO <nil>
	// true
}
