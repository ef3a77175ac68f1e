package dashboard

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/softwareheritage/webhooks"
)

// Charts over time are drawn on a field of 1000 by 100, which the style sheet stretches. Texts
// stand beside it, since they would be stretched, too.
const (
	chartWidth  = 1000.0
	chartHeight = 100.0
)

func total(s webhooks.EndpointStats) int { return s.Succeeded + s.Failed + s.Pending + s.Sending }

// A segment is a rectangle of one kind of attempts.
type segment struct {
	Class               string
	X, Y, Width, Height string
}

func parts(s webhooks.EndpointStats) []struct {
	class string
	n     int
} {
	return []struct {
		class string
		n     int
	}{{"ok", s.Succeeded}, {"bad", s.Failed}, {"wait", s.Pending + s.Sending}}
}

func number(x float64) string { return fmt.Sprintf("%.2f", x) }

// rowBar is the bar in a row of a table. It is as long as the attempts are many, compared with the
// most of any row; a few always show.
func rowBar(s webhooks.EndpointStats, most int) []segment {
	var segments []segment
	x := 0.0
	for _, part := range parts(s) {
		if part.n == 0 {
			continue
		}
		width := max(8, chartWidth*float64(part.n)/float64(most))
		segments = append(segments,
			segment{Class: part.class, X: number(x), Y: "0", Width: number(width), Height: number(chartHeight)})
		x += width
	}
	return segments
}

// A barChart shows attempts over a time, as stacked bars.
type barChart struct {
	Bars   []bar
	Most   int // attempts of the highest bar
	Labels []string
}

type bar struct {
	Text     string // what it says if one points at it
	X, Width string
	Segments []segment
}

// newBarChart draws one bar for each count, the last of which ends at until.
func newBarChart(counts []webhooks.EndpointStats, until time.Time, w window) barChart {
	c := barChart{}
	for _, s := range counts {
		c.Most = max(c.Most, total(s))
	}
	step := w.Length / time.Duration(len(counts))
	width := chartWidth / float64(len(counts))
	for i, s := range counts {
		from := until.Add(-step * time.Duration(len(counts)-i)).UTC()
		x := number(float64(i) * width)
		b := bar{X: x, Width: number(width), Text: fmt.Sprintf("%s – %s UTC: %d delivered, %d failed, %d pending",
			from.Format("Jan 2 15:04"), from.Add(step).Format("15:04"), s.Succeeded, s.Failed, s.Pending+s.Sending)}
		y := chartHeight
		for _, part := range parts(s) {
			if part.n == 0 {
				continue
			}
			height := max(1.5, (chartHeight-4)*float64(part.n)/float64(c.Most))
			y -= height
			b.Segments = append(b.Segments, segment{
				Class: part.class, X: number(float64(i)*width + width*0.12), Y: number(max(0, y)),
				Width: number(width * 0.76), Height: number(height),
			})
		}
		c.Bars = append(c.Bars, b)
	}
	for _, share := range []int{4, 3, 2, 1} {
		c.Labels = append(c.Labels, until.Add(-w.Length*time.Duration(share)/4).UTC().Format(w.axis))
	}
	c.Labels = append(c.Labels, "now")
	return c
}

// A latency shows how long the newest attempts took.
type latency struct {
	Attempts int
	Failed   int
	Oldest   time.Time
	Lines    []line   // p50, p95, p99, oldest first
	Grid     []string // y of the lines of the scale
	Scale    []string // what they stand for, highest first
}

type line struct {
	Class  string
	Title  string
	Value  time.Duration // over all attempts
	Points string
}

const (
	maxPoints = 40 // of a line
	stretch   = 50 // attempts that a point is taken from, those up to it
)

// newLatency draws percentiles of durations, which are newest first. The scale is logarithmic.
func newLatency(durations []time.Duration) latency {
	l := latency{Attempts: len(durations)}
	if len(durations) == 0 {
		return l
	}
	oldestFirst := slices.Clone(durations)
	slices.Reverse(oldestFirst)
	highest := max(slices.Max(durations), 10*time.Millisecond)
	top := math.Ceil(math.Log10(float64(highest) / float64(time.Millisecond)))
	y := func(d time.Duration) float64 {
		v := math.Log10(math.Max(1, float64(d)/float64(time.Millisecond)))
		return chartHeight - 4 - (chartHeight-8)*v/top
	}
	for decade := top; decade >= 0; decade-- {
		l.Grid = append(l.Grid, number(y(time.Duration(math.Pow10(int(decade)))*time.Millisecond)))
		l.Scale = append(l.Scale, decadeText(int(decade)))
	}
	n := len(oldestFirst)
	count := min(maxPoints, n)
	for _, p := range []struct {
		class string
		share float64
	}{{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}} {
		var points []string
		for i := range count {
			end := (i + 1) * n / count
			end = max(end, min(n, stretch/2))
			x := chartWidth / 2
			if count > 1 {
				x = chartWidth * float64(i) / float64(count-1)
			}
			points = append(points, number(x)+","+number(y(percentile(oldestFirst[max(0, end-stretch):end], p.share))))
		}
		l.Lines = append(l.Lines,
			line{
				Class: p.class, Title: p.class, Value: percentile(durations, p.share),
				Points: strings.Join(points, " "),
			})
	}
	return l
}

// decadeText writes a power of ten of milliseconds.
func decadeText(n int) string {
	if n < 3 {
		return fmt.Sprintf("%.0f ms", math.Pow10(n))
	}
	return fmt.Sprintf("%.0f s", math.Pow10(n-3))
}

// percentile returns the duration that a share of all does not exceed.
func percentile(durations []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(durations))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// A trail shows the attempts to deliver one message over time, one row for each endpoint. The scale
// is logarithmic, since the pauses between attempts grow.
type trail struct {
	Rows  []trailRow
	Ticks []tick
}

type trailRow struct {
	EndpointID, EndpointURL string
	Dots                    []dot
}

type dot struct{ Class, X, Text string }

type tick struct{ X, Text string }

var trailTicks = []struct {
	after time.Duration
	text  string
}{
	{0, "sent"},
	{5 * time.Second, "5 s"},
	{5 * time.Minute, "5 min"},
	{2 * time.Hour, "2 h"},
	{24 * time.Hour, "1 day"},
	{14 * 24 * time.Hour, "2 weeks"},
}

func newTrail(sent time.Time, attempts []webhooks.SentEvent) trail {
	last := 5 * time.Second
	for _, a := range attempts {
		last = max(last, a.Timestamp.Sub(sent))
	}
	scale := func(d time.Duration) float64 { return math.Log1p(max(0, d.Seconds())) }
	x := func(d time.Duration) string { return number(3 + 94*scale(d)/scale(last)) } // percent
	var t trail
	for _, mark := range trailTicks {
		if mark.after <= last {
			t.Ticks = append(t.Ticks, tick{x(mark.after), mark.text})
		}
	}
	rows := map[string]*trailRow{}
	for _, a := range attempts {
		row, ok := rows[a.EndpointID]
		if !ok {
			row = &trailRow{EndpointID: a.EndpointID, EndpointURL: a.EndpointURL}
			rows[a.EndpointID] = row
		}
		row.Dots = append(row.Dots, dot{
			Class: statusClass(a), X: x(a.Timestamp.Sub(sent)),
			Text: fmt.Sprintf("%s after it was sent: %s", took(max(0, a.Timestamp.Sub(sent))), answerText(a)),
		})
	}
	for _, row := range rows {
		t.Rows = append(t.Rows, *row)
	}
	slices.SortFunc(t.Rows, func(a, b trailRow) int {
		return cmp.Or(cmp.Compare(a.EndpointURL, b.EndpointURL), cmp.Compare(a.EndpointID, b.EndpointID))
	})
	return t
}
