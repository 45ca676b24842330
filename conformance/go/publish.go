package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

func createStreams(ctx context.Context, client lift.Client) error {
	if err := client.CreateStream(ctx, "numbers.subject", "numbers"); err != nil {
		return err
	}
	err := client.CreateStream(ctx, "numbers.subject", "numbers")
	if err := expectError("a second stream of the name", err, lift.ErrStreamExists); err != nil {
		return err
	}
	options := []lift.StreamOption{
		lift.Partitions(3), lift.MaxReplication(), lift.RetentionMaxAge(time.Hour), lift.SegmentMaxBytes(1 << 20),
		lift.RetentionMaxMessages(1_000_000), lift.CleanerInterval(time.Minute), lift.MinISR(1),
	}
	if err := client.CreateStream(ctx, "spread", "spread", options...); err != nil {
		return err
	}
	metadata, err := client.FetchMetadata(ctx)
	if err != nil {
		return err
	}
	if count := metadata.PartitionCountForStream("spread"); count != 3 {
		return fmt.Errorf("spread has %d partitions, expected 3", count)
	}
	if subject := metadata.GetStream("numbers").Subject(); subject != "numbers.subject" {
		return fmt.Errorf("numbers is on subject %q", subject)
	}
	if brokers := metadata.Brokers(); len(brokers) != 1 {
		return fmt.Errorf("%d brokers, expected 1", len(brokers))
	}
	return nil
}

// publishOneByOne stores numbers 0 to 9, each under another policy than the one before.
func publishOneByOne(ctx context.Context, client lift.Client) error {
	policies := []lift.MessageOption{lift.AckPolicyLeader(), lift.AckPolicyAll()}
	for number := range int64(10) {
		value := []byte(fmt.Sprint(number))
		header := lift.Header("number", value)
		ack, err := client.Publish(ctx, "numbers", value, lift.Key(value), header, policies[number%2])
		if err != nil {
			return err
		}
		if ack.Offset() != number || ack.Stream() != "numbers" || ack.PartitionSubject() != "numbers.subject" {
			return fmt.Errorf("message %d got the ack %+v", number, ack)
		}
		if ack.CommitTimestamp().Before(ack.ReceptionTimestamp()) {
			return fmt.Errorf("message %d was committed before it was received", number)
		}
	}
	_, err := client.Publish(ctx, "missing", []byte("x"))
	return expectError("publishing to no stream", err, lift.ErrNoSuchPartition)
}

// publishPipelined stores messages without waiting and counts their acks.
func publishPipelined(ctx context.Context, client lift.Client) error {
	const count = 2000
	if err := client.CreateStream(ctx, "pipelined", "pipelined"); err != nil {
		return err
	}
	type answer struct {
		offset int64
		err    error
	}
	answers := make(chan answer, count)
	for number := range count {
		err := client.PublishAsync(ctx, "pipelined", []byte(fmt.Sprint(number)), func(ack *lift.Ack, err error) {
			if err != nil {
				answers <- answer{err: err}
				return
			}
			answers <- answer{offset: ack.Offset()}
		}, lift.AckPolicyAll())
		if err != nil {
			return err
		}
	}
	seen := make(map[int64]bool)
	for range count {
		select {
		case answer := <-answers:
			if answer.err != nil {
				return answer.err
			}
			if seen[answer.offset] {
				return fmt.Errorf("offset %d was acked twice", answer.offset)
			}
			seen[answer.offset] = true
		case <-ctx.Done():
			return fmt.Errorf("%d of %d messages were acked", len(seen), count)
		}
	}
	expected := make([]int64, count)
	for number := range expected {
		expected[number] = int64(number)
	}
	return expectRead(ctx, client, "pipelined", expected, lift.StartAtEarliestReceived(), lift.StopAtLatestReceived())
}

func partition(ctx context.Context, client lift.Client) error {
	for range 2 {
		for _, key := range []string{"a", "b", "c", "d"} {
			if _, err := client.Publish(ctx, "spread", []byte(key), lift.Key([]byte(key)), lift.PartitionByKey()); err != nil {
				return err
			}
		}
	}
	for range 3 {
		if _, err := client.Publish(ctx, "spread", []byte("turn"), lift.PartitionByRoundRobin()); err != nil {
			return err
		}
	}
	keyed, turns := 0, 0
	for partition := range int32(3) {
		subscriptionContext, cancel := context.WithCancel(ctx)
		events, err := subscribe(subscriptionContext, client, "spread", lift.Partition(partition),
			lift.StartAtEarliestReceived(), lift.StopAtLatestReceived())
		if err != nil {
			cancel()
			return err
		}
		homes := make(map[string]int)
		for {
			message, err := next(ctx, events)
			if err != nil {
				break
			}
			if string(message.Value()) == "turn" {
				turns++
				continue
			}
			homes[string(message.Key())]++
			keyed++
		}
		cancel()
		for key, count := range homes {
			if count != 2 {
				return fmt.Errorf("key %s is %d times in partition %d, expected both times", key, count, partition)
			}
		}
	}
	if keyed != 8 || turns != 3 {
		return fmt.Errorf("%d keyed messages and %d by turns, expected 8 and 3", keyed, turns)
	}
	return nil
}

func expectOffsets(ctx context.Context, client lift.Client) error {
	if err := client.CreateStream(ctx, "strict", "strict", lift.OptimisticConcurrencyControl(true)); err != nil {
		return err
	}
	if _, err := client.Publish(ctx, "strict", []byte("first"), lift.ExpectedOffset(0)); err != nil {
		return err
	}
	_, err := client.Publish(ctx, "strict", []byte("late"), lift.ExpectedOffset(0))
	if err == nil || !strings.Contains(err.Error(), "incorrect expected offset") {
		return fmt.Errorf("a wrong expectation: %v", err)
	}
	if _, err := client.Publish(ctx, "strict", []byte("any"), lift.ExpectedOffset(-1)); err != nil {
		return err
	}
	_, err = client.Publish(ctx, "strict", []byte("x"), lift.ExpectedOffset(2), lift.AckPolicyNone())
	if err != nil {
		return err
	}
	_, err = client.Publish(ctx, "strict", []byte("third"), lift.ExpectedOffset(2))
	return err
}

func publishToSubject(ctx context.Context, client lift.Client) error {
	if err := client.CreateStream(ctx, "events.>", "events"); err != nil {
		return err
	}
	ack, err := client.PublishToSubject(ctx, "events.door.open", []byte("now"), lift.Key([]byte("door")))
	if err != nil {
		return err
	}
	if ack.Stream() != "events" || ack.MessageSubject() != "events.door.open" {
		return fmt.Errorf("the ack is %+v", ack)
	}
	return expectRead(ctx, client, "events", []int64{0}, lift.StartAtEarliestReceived(), lift.StopAtLatestReceived())
}
