package load

import "slices"

// Figures are all that one run measured, and under which circumstances. Rates are jobs a second,
// times milliseconds; each list has one entry a round, so that entries of one place belong together.
type Figures struct {
	// Date is the day of the run.
	Date string `json:"date"`
	// Commit is taskhost's, short; with "+" where the tree differed from it.
	Commit string `json:"commit"`
	// Machine is what it ran on.
	Machine Machine `json:"machine"`
	// Rounds is how often everything was measured.
	Rounds int `json:"rounds"`
	// Clients is how many submitted at the same time.
	Clients int `json:"clients"`
	// Seconds is how long clients went on submitting for one rate.
	Seconds float64 `json:"seconds"`
	// FillSeconds is how long a backlog may take to be filled, WorkSeconds how long it is worked off.
	FillSeconds float64 `json:"fill_seconds"`
	WorkSeconds float64 `json:"work_seconds"`
	// Fdatasync is the median of one page appended and made durable.
	Fdatasync []float64 `json:"fdatasync_ms"`
	// Load is how many processes wanted a core, on average over the minute before the first round:
	// later it would be the run's own.
	Load float64 `json:"load_before"`
	// Peers in the order of All.
	Peers []PeerFigures `json:"peers"`
}

// Machine is a computer, as far as it matters.
type Machine struct {
	CPU       string  `json:"cpu"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memory_gib"`
	Kernel    string  `json:"kernel"`
	Go        string  `json:"go"`
}

// PeerFigures are those of one peer.
type PeerFigures struct {
	About
	Singly   []float64        `json:"singly"`
	Hundreds []float64        `json:"in_hundreds"`
	Idle50   []float64        `json:"idle_p50_ms"`
	Idle99   []float64        `json:"idle_p99_ms"`
	Backlogs []BacklogFigures `json:"backlogs"`
}

// BacklogFigures are how fast a backlog was worked off.
type BacklogFigures struct {
	Waiting int       `json:"waiting"`
	Rates   []float64 `json:"rates"` // none if filling it took too long
}

// Median is the middle one; 0 of none.
func Median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// Ratio is the median of a[i] / b[i], and their extremes: what belongs to one round was measured
// within minutes, so that its ratio is worth more than the medians' ratio.
func Ratio(a, b []float64) (median, low, high float64) {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	if len(ratios) == 0 {
		return 0, 0, 0
	}
	return Median(ratios), slices.Min(ratios), slices.Max(ratios)
}
