package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/softwareheritage/webhooks/internal/journaltest"
	"github.com/softwareheritage/webhooks/journal/testdata"
)

// Each script has a server as in TestScripts, and a broker with the sample records. Besides the
// commands of testscript there are status and expand, and:
//
//	await N    waits until N messages are on the server
func TestJournalScripts(t *testing.T) {
	t.Parallel()
	broker := journaltest.NewBroker(t, 2)
	produceSamples(t, broker)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/journal",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			setUp(env, newScript())
			env.Setenv("BROKER", broker.Addresses[0])
			env.Setenv("PREFIX", broker.Prefix)
			env.Setenv("GROUP", broker.Group)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": status,
			"expand": expand,
			"await":  awaitMessages,
		},
	})
}

// produceSamples writes the samples to the topics of a broker.
func produceSamples(t *testing.T, broker *journaltest.Broker) {
	t.Helper()
	n := int32(0)
	for dec := json.NewDecoder(bytes.NewReader(testdata.Samples)); ; n++ {
		var s struct {
			Topic string `json:"topic"`
			Key   []byte `json:"key"`
			Value []byte `json:"value"`
			Want  string `json:"want"`
		}
		if err := dec.Decode(&s); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if s.Want != "unrelated" {
			object := s.Topic[strings.LastIndexByte(s.Topic, '.')+1:]
			broker.Produce(t, &kgo.Record{Topic: broker.Topic(object), Partition: n % 2, Key: s.Key, Value: s.Value})
		}
	}
}

func awaitMessages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await N")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for want := number(ts, args[0]); len(of(ts).mock.Messages()) != want; {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			ts.Fatalf("%d messages, want %d", len(of(ts).mock.Messages()), want)
		}
	}
}
