package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Plan says how much is measured.
type Plan struct {
	// Rounds is how often; in each, all peers have their turn.
	Rounds int
	// Throughput bounds each rate, Idle each series of single jobs.
	Throughput, Idle Limits
	// Backlogs are how many jobs wait. Fill bounds how long it takes to have them wait, Work how
	// long they are worked off.
	Backlogs   []int
	Fill, Work time.Duration
	// Say is told what is measured, and what it was.
	Say func(format string, args ...any)
}

// Run measures the peers in plan.Rounds rounds, each round beginning with another of them. Peers
// keep what they have below dir, each in a directory that is removed after its turn. Those for
// which skip says true of the error with which they cannot be opened are left out.
func Run(ctx context.Context, peers []Peer, plan Plan, dir string, skip func(error) bool) (Figures, error) {
	f := Figures{Rounds: plan.Rounds, Clients: Clients, Seconds: plan.Throughput.Time.Seconds(),
		FillSeconds: plan.Fill.Seconds(), WorkSeconds: plan.Work.Seconds(), Peers: make([]PeerFigures, len(peers))}
	var err error
	if f.Load, err = loadAverage(); err != nil {
		return f, err
	}
	missing := map[int]bool{}
	for round := range plan.Rounds {
		sync, err := fdatasync(filepath.Join(dir, "page"))
		if err != nil {
			return f, err
		}
		f.Fdatasync = append(f.Fdatasync, milliseconds(sync))
		plan.Say("round %d of %d: one fdatasync %.2f ms", round+1, plan.Rounds, f.Fdatasync[round])
		for i := range peers {
			at := (round + i) % len(peers)
			if missing[at] {
				continue
			}
			err := f.Peers[at].turn(ctx, peers[at], plan, dir)
			if err != nil && round == 0 && skip(err) {
				plan.Say("%s is left out: %v", peers[at].Name, err)
				missing[at] = true
				continue
			}
			if err != nil {
				return f, fmt.Errorf("%s: %w", peers[at].Name, err)
			}
		}
	}
	var measured []PeerFigures
	for i := range f.Peers {
		if !missing[i] {
			measured = append(measured, f.Peers[i])
		}
	}
	f.Peers = measured
	return f, nil
}

// turn measures a peer once in all ways.
func (p *PeerFigures) turn(ctx context.Context, peer Peer, plan Plan, dir string) error {
	err := p.open(ctx, peer, dir, func(m *Meter) error {
		p.About = m.About()
		return p.steady(ctx, m, plan)
	})
	if err != nil {
		return err
	}
	for i, waiting := range plan.Backlogs {
		if len(p.Backlogs) <= i {
			p.Backlogs = append(p.Backlogs, BacklogFigures{Waiting: waiting})
		}
		b := &p.Backlogs[i]
		var rate float64
		err := p.open(ctx, peer, dir, func(m *Meter) (err error) {
			rate, err = m.Backlog(ctx, waiting, plan.Fill, plan.Work)
			return err
		})
		if errors.Is(err, ErrTooSlow) {
			plan.Say("%-26s %9d waiting: %v", p.Name, waiting, err)
			break // more would take even longer
		}
		if err != nil {
			return fmt.Errorf("%d waiting: %w", waiting, err)
		}
		b.Rates = append(b.Rates, rate)
		plan.Say("%-26s %9d waiting: %8.0f/s", p.Name, waiting, rate)
	}
	return nil
}

// open has f measure a peer on fresh servers.
func (p *PeerFigures) open(ctx context.Context, peer Peer, dir string, f func(*Meter) error) error {
	own, err := os.MkdirTemp(dir, "turn-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(own)
	if err := os.Chmod(own, 0o711); err != nil { // PostgreSQL passes through it as another user
		return err
	}
	m, err := NewMeter(ctx, peer, own)
	if err != nil {
		return err
	}
	if err := f(m); err != nil {
		m.abandoned = true // what is wrong is said already
		return errors.Join(err, m.Close(ctx))
	}
	return m.Close(ctx)
}

// steady measures what is worked while it is submitted.
func (p *PeerFigures) steady(ctx context.Context, m *Meter, plan Plan) error {
	singly, err := m.Throughput(ctx, 1, plan.Throughput)
	if err != nil {
		return fmt.Errorf("singly: %w", err)
	}
	hundreds, err := m.Throughput(ctx, 100, plan.Throughput)
	if err != nil {
		return fmt.Errorf("in hundreds: %w", err)
	}
	took, err := m.Idle(ctx, plan.Idle)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	p.Singly = append(p.Singly, singly)
	p.Hundreds = append(p.Hundreds, hundreds)
	p.Idle50 = append(p.Idle50, milliseconds(took[len(took)/2]))
	p.Idle99 = append(p.Idle99, milliseconds(took[len(took)*99/100]))
	plan.Say("%-26s singly %8.0f/s, in hundreds %8.0f/s, idle %8.2f ms, p99 %8.2f ms (%d jobs)", p.Name, singly, hundreds,
		p.Idle50[len(p.Idle50)-1], p.Idle99[len(p.Idle99)-1], len(took))
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
