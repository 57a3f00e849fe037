package report

import (
	"bytes"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/taskhost/taskhost/bench/load"
)

const (
	width       = 24 * vg.Centimeter
	height      = 11 * vg.Centimeter
	legendWidth = 6 * vg.Centimeter
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
	p := newPlot(title)
	p.X.Label.Text = axis
	names := make([]string, len(f.Peers))
	for i := range f.Peers {
		names[len(names)-1-i] = f.Peers[i].Name // from the top
	}
	p.NominalY(names...)
	p.Y.Tick.Length = 0
	p.Y.Tick.Label.XAlign = draw.XRight
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
	logarithmic(&p.X)
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
	points.GlyphStyle = draw.GlyphStyle{Color: seriesColor(at), Radius: vg.Points(4), Shape: shape(at)}
	spread.Color = seriesColor(at)
	spread.CapWidth = vg.Points(5)
	p.Add(spread, points)
	p.Legend.Add(name, points)
	return nil
}

// overWaiting draws a line for each peer: the rate over how many wait.
func overWaiting(f load.Figures) ([]byte, error) {
	p := newPlot("A backlog is worked off")
	p.X.Label.Text = "jobs that wait when workers start"
	p.Y.Label.Text = "jobs a second"
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
		l.Color = seriesColor(i)
		l.Width = vg.Points(1.5)
		points.GlyphStyle = draw.GlyphStyle{Color: seriesColor(i), Radius: vg.Points(3), Shape: shape(i)}
		p.Add(l, points)
		p.Legend.Add(peer.Name, l, points)
	}
	logarithmic(&p.X)
	logarithmic(&p.Y)
	return svg(p)
}

// shape tells series apart where colors do not.
func shape(i int) draw.GlyphDrawer {
	shapes := []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.PlusGlyph{}, draw.CrossGlyph{}, draw.RingGlyph{}, draw.SquareGlyph{}}
	return shapes[i%len(shapes)]
}

// seriesColor gives colors that are told apart by most people with a color vision deficiency, too (after Okabe and Ito).
func seriesColor(i int) color.Color {
	colors := []color.RGBA{
		{0, 0, 0, 255}, {0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
		{86, 180, 233, 255}, {230, 159, 0, 255}, {150, 140, 20, 255}, {120, 120, 120, 255},
	}
	return colors[i%len(colors)]
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = vg.Millimeter * 2
	p.Legend.Top = true
	p.Legend.Left = true
	p.Legend.ThumbnailWidth = vg.Centimeter * 0.7
	p.Legend.Padding = vg.Millimeter
	for _, style := range []*text.Style{&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle} {
		style.Font.Variant = "Sans"
	}
	g := plotter.NewGrid()
	g.Horizontal.Color = color.Gray{Y: 225}
	g.Vertical.Color = color.Gray{Y: 225}
	p.Add(g)
	return p
}

// logarithmic has the axis end at powers of ten, so that it has labels. What is drawn must be
// there already, and be more than 0.
func logarithmic(a *plot.Axis) {
	a.Scale = plot.LogScale{}
	a.Tick.Marker = plot.LogTicks{Prec: -1}
	a.Min = math.Pow10(int(math.Floor(math.Log10(a.Min))))
	a.Max = math.Pow10(int(math.Ceil(math.Log10(a.Max))))
}

// svg draws the plot, with its legend beside it.
func svg(p *plot.Plot) ([]byte, error) {
	canvas := vgsvg.New(width, height)
	c := draw.New(canvas)
	c.FillPolygon(color.White, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}})
	legend := p.Legend
	p.Legend = plot.NewLegend()
	p.Draw(draw.Crop(c, 0, -legendWidth, 0, 0))
	legend.Draw(draw.Crop(c, width-legendWidth+vg.Centimeter/2, 0, 0, -vg.Centimeter))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	// Others have a font of the same widths under another name, or the text runs into the marks.
	return bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}
