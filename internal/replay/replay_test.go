package replay_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/softwareheritage/webhooks/internal/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// received returns whether the message counts as received: whether Once does without a call, here
// one that fails.
func received(t *testing.T, m *replay.Memory, messageID string) bool {
	t.Helper()
	errCalled := errors.New("called")
	err := m.Once(t.Context(), messageID, func(context.Context) error { return errCalled })
	if err != nil && !errors.Is(err, errCalled) {
		t.Fatal(err)
	}
	return err == nil
}

func succeed(context.Context) error { return nil }

func TestOnceForgetsTheOldest(t *testing.T) {
	t.Parallel()
	m := replay.NewMemory(3, time.Hour)
	for i := range 8 {
		if err := m.Once(t.Context(), strconv.Itoa(i), succeed); err != nil {
			t.Fatal(err)
		}
		for j := range 8 {
			want := j <= i && j > i-3
			if got := received(t, m, strconv.Itoa(j)); got != want {
				t.Errorf("after message %d: received %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

func TestOnceForgetsWhatIsOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const messages = 100 // received a second after each other
		m := replay.NewMemory(messages, 10*time.Second)
		for i := range messages {
			if err := m.Once(t.Context(), strconv.Itoa(i), succeed); err != nil {
				t.Fatal(err)
			}
			for j := range i + 1 {
				want := j >= i-10
				if got := received(t, m, strconv.Itoa(j)); got != want {
					t.Errorf("%d s after it: received %d: %v, want %v", i-j, j, got, want)
				}
			}
			time.Sleep(time.Second)
		}
		if got := m.Dropped(0); got != 0 {
			t.Errorf("%d messages dropped before their time, want none", got)
		}
	})
}

func TestDroppedCountsWhatWasForgottenEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := replay.NewMemory(3, time.Hour)
		receive := func(from, to int) {
			for i := from; i < to; i++ {
				if err := m.Once(t.Context(), strconv.Itoa(i), succeed); err != nil {
					t.Fatal(err)
				}
			}
		}
		check := func(when string, want int) {
			if got := m.Dropped(time.Minute); got != want {
				t.Errorf("%s: %d dropped, want %d", when, got, want)
			}
		}
		receive(0, 3)
		check("full", 0)
		receive(3, 5)
		check("two more", 2)
		receive(5, 6)
		check("one more at once", 0)
		time.Sleep(time.Minute)
		receive(6, 7)
		check("one more after a minute", 2)
		time.Sleep(time.Minute)
		check("nothing more", 0)
	})
}

func TestOnlyAFewWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := replay.NewMemory(3, time.Hour)
		outcomes := make(chan error)
		ended := make(chan error, 10)
		ctx, cancel := context.WithCancel(t.Context())
		for range cap(ended) {
			go func() {
				ended <- m.Once(ctx, "a", func(context.Context) error { return <-outcomes })
			}()
		}
		synctest.Wait()
		if got := len(ended); got != 5 {
			t.Errorf("%d of 10 ended, want 5: one receives and four wait", got)
		}
		for range len(ended) {
			if err := <-ended; !errors.Is(err, replay.ErrBusy) {
				t.Errorf("got %v, want ErrBusy", err)
			}
		}
		cancel() // who waits gives up its place
		synctest.Wait()
		for range 4 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want the error of the context", err)
			}
		}
		go func() {
			ended <- m.Once(t.Context(), "a", func(context.Context) error {
				t.Error("called after another call succeeded")
				return nil
			})
		}()
		synctest.Wait()
		if len(ended) != 0 {
			t.Errorf("got %v, want it to wait", <-ended)
		}
		outcomes <- nil
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestFailuresAreNotReceived(t *testing.T) {
	t.Parallel()
	failures := map[string]func(context.Context) error{
		"error": func(context.Context) error { return errors.New("boom") },
		"panic": func(context.Context) error { panic("boom") },
		"exit":  func(context.Context) error { runtime.Goexit(); return nil },
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := replay.NewMemory(3, time.Hour)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer func() { _ = recover() }()
				_ = m.Once(t.Context(), "a", fail)
			}()
			<-ended
			if received(t, m, "a") {
				t.Error("received")
			}
		})
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := replay.NewMemory(3, time.Hour)
		release := make(chan struct{})
		go func() {
			_ = m.Once(t.Context(), "a", func(context.Context) error {
				<-release
				return nil
			})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := m.Once(ctx, "a", func(context.Context) error {
			t.Error("called beside the other call")
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the error of the context", err)
		}
		if err := m.Once(t.Context(), "b", succeed); err != nil {
			t.Errorf("another message: %v", err)
		}
		close(release)
		synctest.Wait()
		if !received(t, m, "a") {
			t.Error("not received after the first call ended")
		}
	})
}

func TestOnceUnderLoad(t *testing.T) {
	t.Parallel()
	const messages, deliveries = 50, 5
	m := replay.NewMemory(messages, time.Hour)
	var running, calls [messages]atomic.Int32
	var wg sync.WaitGroup
	for i := range messages * deliveries {
		wg.Go(func() {
			n := i % messages
			_ = m.Once(t.Context(), strconv.Itoa(n), func(context.Context) error {
				defer running[n].Add(-1)
				if running[n].Add(1) != 1 {
					t.Error("two calls for one message at once")
				}
				runtime.Gosched()
				if calls[n].Add(1) == 1 {
					return errors.New("boom")
				}
				return nil
			})
		})
	}
	wg.Wait()
	for n := range messages {
		if got := calls[n].Load(); got != 2 {
			t.Errorf("message %d: %d calls, want one that fails and one that succeeds", n, got)
		}
	}
}
