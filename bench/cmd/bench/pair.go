package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/taskhost/taskhost/bench/figure"
)

// pair is a figure and what it is measured beside.
type pair struct {
	figure figure.Figure
	base   *figure.Figure // nil if the figure has its base within itself, or none
	marks  []mark         // of the figure over this base
	rounds []round
	err    error // why it could not be measured; it is not tried again
}

// round is what a figure and its base reported one after the other, by unit.
type round struct {
	is, base map[string]float64
}

// figures are those that the pair measures.
func (p *pair) figures() []figure.Figure {
	if p.base == nil {
		return []figure.Figure{p.figure}
	}
	return []figure.Figure{*p.base, p.figure}
}

// pairUp has a pair for each figure that was asked for and each base that its marks name, which is one of all. A
// figure without marks stands alone, unless it is measured as the base of another.
func pairUp(asked, all []figure.Figure, marks []mark) (pairs []*pair) {
	isBase := map[string]bool{}
	for _, f := range asked {
		first := len(pairs)
		for _, m := range marks {
			if m.figure != f.Name {
				continue
			}
			at := slices.IndexFunc(pairs[first:], func(p *pair) bool { return p.baseName() == m.base })
			if at < 0 {
				p := &pair{figure: f}
				if m.base != f.Name {
					i := slices.IndexFunc(all, func(b figure.Figure) bool { return b.Name == m.base })
					if i < 0 {
						continue // it is long, and was not asked for
					}
					p.base = &all[i]
					isBase[m.base] = true
				}
				pairs = append(pairs, p)
				at = len(pairs) - 1 - first
			}
			pairs[first+at].marks = append(pairs[first+at].marks, m)
		}
		if len(pairs) == first {
			pairs = append(pairs, &pair{figure: f})
		}
	}
	return slices.DeleteFunc(pairs, func(p *pair) bool { return len(p.marks) == 0 && isBase[p.figure.Name] })
}

func (p *pair) baseName() string {
	if p.base == nil {
		return p.figure.Name
	}
	return p.base.Name
}

// measure measures the pairs, round after round: all of them in the first rounds, and up to most times those
// of which it is not decided whether a mark is reached. Who comes first in a pair alternates. One that fails is
// told, and the others go on.
func measure(ctx context.Context, tree figure.Tree, pairs []*pair, rounds, most int, progress io.Writer) error {
	for n := range max(rounds, most) {
		for _, p := range pairs {
			if p.err != nil || n >= rounds && p.decided() {
				continue
			}
			fmt.Fprintf(progress, "round %d: %s\n", n+1, p.figure.What)
			p.err = p.measure(ctx, tree)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if p.err != nil {
				fmt.Fprintln(progress, p.err)
			}
		}
	}
	var failed error
	for _, p := range pairs {
		if p.err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s was not measured", p.figure.What))
		}
	}
	return failed
}

func (p *pair) measure(ctx context.Context, tree figure.Tree) (err error) {
	figures := p.figures()
	if len(p.rounds)%2 == 1 {
		slices.Reverse(figures)
	}
	values := map[string]map[string]float64{}
	for _, f := range figures {
		if values[f.Name], err = tree.Measure(ctx, f); err != nil {
			return err
		}
	}
	p.rounds = append(p.rounds, round{values[p.figure.Name], values[p.baseName()]})
	return nil
}

// decided says whether every mark is reached or missed as surely as can be known.
func (p *pair) decided() bool {
	return !slices.ContainsFunc(p.marks, func(m mark) bool { return m.judge(p.rounds).verdict == undecided })
}
