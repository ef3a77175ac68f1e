package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A progress shows on a terminal how far a batch has come; on anything else it is not seen.
type progress struct {
	bar         *progressbar.ProgressBar
	start       time.Time
	shown       time.Time
	interrupted chan struct{}
}

// showEvery is how often people can read another number.
const showEvery = 100 * time.Millisecond

// newProgress measures the progress of reading in, if that has a size.
func newProgress(w io.Writer, in io.Reader) *progress {
	size := int64(-1)
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
	}
	return &progress{
		start:       time.Now(),
		interrupted: make(chan struct{}),
		bar: progressbar.NewOptions64(size,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetVisibility(isTerminal(w)),
			progressbar.OptionSetWidth(10),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionClearOnFinish(),
		),
	}
}

// update shows where in the input the batch is, and what became of its events.
func (p *progress) update(offset int64, s summary) {
	now := time.Now()
	if now.Sub(p.shown) < showEvery {
		return
	}
	p.shown = now
	rate := float64(s.Events) / max(now.Sub(p.start).Seconds(), 1e-3)
	text := fmt.Sprintf("%d sent, %d failed, %.0f/s", s.Sent, s.Failed, rate)
	select {
	case <-p.interrupted:
		text = "interrupted, finishing: " + text
	default:
	}
	p.bar.Describe(text)
	_ = p.bar.Set64(offset)
}

// interrupt is to be called once, when no more events are taken.
func (p *progress) interrupt() { close(p.interrupted) }

// end takes the progress off the screen.
func (p *progress) end() { _ = p.bar.Clear() }
