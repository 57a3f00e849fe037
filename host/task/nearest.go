package task

import "strings"

// Nearest is the one of names that somebody most likely meant who wrote name; "" if none is
// near: then it is no slip of the hand.
func Nearest(name string, names []string) string {
	if len(name) < 2 {
		return ""
	}
	best, least := "", max(1, min(3, len(name)/3))+1
	for _, n := range names {
		if n == name {
			continue
		}
		if d := editDistance(strings.ToLower(name), strings.ToLower(n), least); d < least {
			best, least = n, d
		}
	}
	return best
}

// editDistance is how many letters must be added, left out, replaced or swapped with their
// neighbor to make b of a; what is limit or more may be given as limit.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before := make([]int, len(b)+1) // the row before the last
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
