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

// screen is a terminal with a bar in its last line, or a file of plain lines.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	bars  bool
	bar   *progressbar.ProgressBar
	total int64
	said  time.Time // when progress was last said in a plain line
}

// sayEvery bounds how often progress makes a line where there is no terminal.
const sayEvery = 2 * time.Second

func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear() // it is decoration
	}
	fmt.Fprintln(s.w, text)
	if s.bar != nil {
		_ = s.bar.RenderBlank()
	}
}

func (s *screen) progress(p *api.TaskProgress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bars {
		if time.Since(s.said) < sayEvery && (p.Total == 0 || p.Done < p.Total) {
			return
		}
		s.said = time.Now()
		fmt.Fprintln(s.w, supervisor.Printable(fmt.Sprintf("progress %d of %d (%s) %s", p.Done, p.Total, progressText(p), p.Message)))
		return
	}
	total := p.Total
	if total == 0 {
		total = -1 // a spinner
	}
	if s.bar == nil || s.total != total {
		s.total = total
		s.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.w), progressbar.OptionSetWidth(30),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	s.bar.Describe(supervisor.Printable(p.Message))
	_ = s.bar.Set64(p.Done)
}

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
	}
	s.bar, s.bars = nil, false
}
