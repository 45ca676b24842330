// Command conformance uses a running server through the unchanged Go client, as programs written for the Go server do,
// and fails at the first answer that such a program would not expect. The server's address is in LIFTBRIDGE_ADDRESS.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

// patience is how long any step may take before the server counts as hanging.
const patience = 60 * time.Second

type step struct {
	name string
	run  func(ctx context.Context, client lift.Client) error
}

var steps = []step{
	{"create, refuse a second one, describe", createStreams},
	{"publish and wait for each ack", publishOneByOne},
	{"publish pipelined, every message acked once", publishPipelined},
	{"partition by key and by turns", partition},
	{"subscribe from every position", subscribeFromEverywhere},
	{"follow what is published later", follow},
	{"expected offsets", expectOffsets},
	{"publish to a subject", publishToSubject},
	{"read-only and back", readonly},
	{"pause and resume", pause},
	{"partition metadata and its times", partitionMetadata},
	{"delete, and the errors after it", deleteStreams},
}

func main() {
	address := os.Getenv("LIFTBRIDGE_ADDRESS")
	client, err := lift.Connect([]string{address})
	if err != nil {
		fail("connect to "+address, err)
	}
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if err := step.run(ctx, client); err != nil {
			fail(step.name, err)
		}
		cancel()
		fmt.Println("ok   ", step.name)
	}
	if err := client.Close(); err != nil {
		fail("close", err)
	}
	fmt.Println("the Go client", "v2.4.0", "finds what it expects")
}

func fail(step string, err error) {
	fmt.Println("FAIL ", step+":", err)
	os.Exit(1)
}
