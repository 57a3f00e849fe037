package sqlite

import (
	"fmt"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// sqlNames has SQL say states, reasons to wait and kinds of result by name: {running}
// becomes the number by which host/task knows it, which is also the one that is stored.
var sqlNames = func() *strings.Replacer {
	numbers := []string{
		"{no reason}", fmt.Sprint(int(task.WaitNone)),
		"{no result}", fmt.Sprint(resultNone),
		"{result row}", fmt.Sprint(resultRow),
		"{never}", fmt.Sprint(int64(never)),
		"{block shift}", fmt.Sprint(blockShift),
	}
	for _, s := range task.States() {
		numbers = append(numbers, "{"+s.String()+"}", fmt.Sprint(int(s)))
	}
	for w := task.WaitQueued; w <= task.WaitChildren; w++ {
		numbers = append(numbers, "{"+w.String()+"}", fmt.Sprint(int(w)))
	}
	return strings.NewReplacer(numbers...)
}()

// named is a statement with its names replaced by numbers.
func named(sql string) string { return sqlNames.Replace(sql) }
