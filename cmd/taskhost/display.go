package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/supervisor"
)

// display is a terminal with a bar in its last line, or a file of plain lines.
type display struct {
	mu sync.Mutex
	w  io.Writer
	// bars says that w is a terminal, which a bar is drawn on.
	bars bool
	// bar is nil until there is progress.
	bar   *progressbar.ProgressBar
	total int64
	// lastLine is when progress was last written as a plain line.
	lastLine time.Time
}

func newDisplay(w io.Writer) *display { return &display{w: w, bars: isTerminal(w)} }

// progressLineEvery bounds how often progress makes a line where there is no terminal.
const progressLineEvery = 2 * time.Second

// besideMessage is how much of a line is the bar's, with its figures and times, and not
// the message's: one that is too long would have each redraw begin another line.
const besideMessage = 44

// line writes a line above the bar.
func (d *display) line(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear() // it is decoration
	}
	fmt.Fprintln(d.w, text)
	if d.bar != nil {
		_ = d.bar.RenderBlank()
	}
}

// progress moves the bar, or writes a line now and then where there is none.
func (d *display) progress(p *api.TaskProgress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.bars {
		if time.Since(d.lastLine) < progressLineEvery && (p.Total == 0 || p.Done < p.Total) {
			return
		}
		d.lastLine = time.Now()
		fmt.Fprintln(d.w, supervisor.Printable(fmt.Sprintf("progress %d of %d (%s) %s", p.Done, p.Total, progressText(p), p.Message)))
		return
	}
	total := p.Total
	if total == 0 {
		total = -1 // a spinner
	}
	if d.bar == nil || d.total != total {
		d.total = total
		d.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(d.w), progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	d.bar.Describe(clip(supervisor.Printable(p.Message), terminalWidth(d.w)-besideMessage))
	_ = d.bar.Set64(p.Done)
}

// close takes the bar away; what is written after stays plain.
func (d *display) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bar != nil {
		_ = d.bar.Clear()
	}
	d.bar = nil
	d.bars = false
}
