package report

import (
	"bytes"
	"image/color"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/taskhost/taskhost/bench/load"
)

const (
	width  = 18 * vg.Centimeter
	height = 10 * vg.Centimeter
)

// plots are the page's, by their file names.
var plots = map[string]func(load.Figures) ([]byte, error){
	"throughput.svg": func(f load.Figures) ([]byte, error) {
		return byPeer(f, "Throughput", "jobs a second (the axis is logarithmic)", []series{
			{"singly", func(p load.PeerFigures) []float64 { return p.Singly }},
			{"in hundreds", func(p load.PeerFigures) []float64 { return p.Hundreds }},
		})
	},
	"idle.svg": func(f load.Figures) ([]byte, error) {
		return byPeer(f, "Submit to the end on record, nothing else to do", "milliseconds (the axis is logarithmic)", []series{
			{"median", func(p load.PeerFigures) []float64 { return p.Idle50 }},
			{"99th percentile", func(p load.PeerFigures) []float64 { return p.Idle99 }},
		})
	},
	"backlog.svg": overWaiting,
}

// series is one kind of figure of each peer.
type series struct {
	name string
	of   func(load.PeerFigures) []float64
}

// byPeer draws a row for each peer, with a mark at the median of each series and a line from the
// lowest to the highest round.
func byPeer(f load.Figures, title, axis string, all []series) ([]byte, error) {
	p := plot.New()
	p.Title.Text = title
	p.X.Label.Text = axis
	p.X.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Legend.Top = true
	p.Legend.ThumbnailWidth = vg.Centimeter / 2
	p.Add(grid())
	names := make([]string, len(f.Peers))
	for i := range f.Peers {
		names[len(names)-1-i] = f.Peers[i].Name // from the top
	}
	p.NominalY(names...)
	p.Y.Tick.Length = 0
	p.Y.Min = -0.5
	p.Y.Max = float64(len(names)) - 0.5
	for i, s := range all {
		var points marks
		for j, peer := range f.Peers {
			if rounds := s.of(peer); load.Median(rounds) > 0 {
				points.add(load.Median(rounds), float64(len(names)-1-j), rounds)
			}
		}
		if err := points.draw(p, s.name, i); err != nil {
			return nil, err
		}
	}
	return svg(p)
}

// marks are points of one series with their spread along the x axis.
type marks struct {
	plotter.XYs
	plotter.XErrors
}

func (m *marks) add(x, y float64, rounds []float64) {
	m.XYs = append(m.XYs, plotter.XY{X: x, Y: y})
	m.XErrors = append(m.XErrors, struct{ Low, High float64 }{slices.Min(rounds) - x, slices.Max(rounds) - x})
}

func (m *marks) draw(p *plot.Plot, name string, at int) error {
	points, err := plotter.NewScatter(m.XYs)
	if err != nil {
		return err
	}
	spread, err := plotter.NewXErrorBars(m)
	if err != nil {
		return err
	}
	points.GlyphStyle = draw.GlyphStyle{Color: plotutil.Color(at), Radius: vg.Points(4), Shape: shape(at)}
	spread.Color = plotutil.Color(at)
	spread.CapWidth = vg.Points(5)
	p.Add(spread, points)
	p.Legend.Add(name, points)
	return nil
}

// overWaiting draws a line for each peer: the rate over how many wait.
func overWaiting(f load.Figures) ([]byte, error) {
	p := plot.New()
	p.Title.Text = "A backlog is worked off"
	p.X.Label.Text = "jobs that wait when workers start"
	p.Y.Label.Text = "jobs a second"
	p.X.Scale = plot.LogScale{}
	p.Y.Scale = plot.LogScale{}
	p.X.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Y.Tick.Marker = plot.LogTicks{Prec: -1}
	p.Legend.Left = true
	p.Legend.YOffs = -vg.Millimeter
	p.Add(grid())
	for i, peer := range f.Peers {
		var line plotter.XYs
		for _, b := range peer.Backlogs {
			if rate := load.Median(b.Rates); rate > 0 {
				line = append(line, plotter.XY{X: float64(b.Waiting), Y: rate})
			}
		}
		if len(line) == 0 {
			continue
		}
		l, points, err := plotter.NewLinePoints(line)
		if err != nil {
			return nil, err
		}
		l.Color = plotutil.Color(i)
		l.Width = vg.Points(1.5)
		points.GlyphStyle = draw.GlyphStyle{Color: plotutil.Color(i), Radius: vg.Points(3), Shape: shape(i)}
		p.Add(l, points)
		p.Legend.Add(peer.Name, l, points)
	}
	return svg(p)
}

// shape tells series apart where colors do not.
func shape(i int) draw.GlyphDrawer {
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.PlusGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}}
	return shapes[i%len(shapes)]
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color = color.Gray{Y: 225}
	g.Vertical.Color = color.Gray{Y: 225}
	return g
}

func svg(p *plot.Plot) ([]byte, error) {
	c := vgsvg.New(width, height)
	p.Draw(draw.New(c))
	var out bytes.Buffer
	_, err := c.WriteTo(&out)
	return out.Bytes(), err
}
