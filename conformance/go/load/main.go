// Command load publishes to a stream through the unchanged Go client until it is killed, one message after the other, each
// under ALL and repeated until it is acknowledged, and says what became of each. What it publishes is known from its
// number alone: tests/src/cluster_test/message_id.rs has the same rule and checks it.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

const (
	// keys each publisher uses in turn.
	keys = 5
	// patience is how long an ack is waited for.
	patience = time.Second
	// pause is the time from one message to the next.
	pause = 10 * time.Millisecond
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: load ADDRESSES STREAM PUBLISHER")
		os.Exit(2)
	}
	addresses, stream, publisher := strings.Split(os.Args[1], ","), os.Args[2], os.Args[3]
	client, err := lift.Connect(addresses)
	if err != nil {
		fmt.Fprintln(os.Stderr, "connect:", err)
		os.Exit(1)
	}
	for sequence := uint32(0); ; sequence++ {
		for attempt := 0; !publish(client, stream, publisher, sequence, attempt); attempt++ {
			time.Sleep(2 * pause)
		}
		time.Sleep(pause)
	}
}

// publish sends one message, says what became of it, and returns whether it was acknowledged.
func publish(client lift.Client, stream, publisher string, sequence uint32, attempt int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	key := fmt.Sprintf("%s-%d", publisher, sequence%keys)
	filler := bytes.Repeat([]byte{byte('a' + sequence%26)}, int(64+sequence*37%448))
	value := append(fmt.Appendf(nil, "%s/%d/%d ", publisher, sequence, attempt), filler...)
	sent := time.Now()
	ack, err := client.Publish(ctx, stream, value, lift.Key([]byte(key)), lift.PartitionByKey(), lift.AckPolicyAll())
	if err != nil {
		fmt.Println("failed", strings.ReplaceAll(err.Error(), "\n", " "))
		return false
	}
	fmt.Println("acked", sequence, attempt, ack.Offset(), time.Since(sent).Microseconds())
	return true
}
