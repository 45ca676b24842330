package main

import (
	"context"
	"fmt"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

func readonly(ctx context.Context, client lift.Client) error {
	if err := client.SetStreamReadonly(ctx, "numbers"); err != nil {
		return err
	}
	_, err := client.Publish(ctx, "numbers", []byte("x"))
	if err := expectError("publishing to a read-only partition", err, lift.ErrReadonlyPartition); err != nil {
		return err
	}
	all := []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	if err := expectRead(ctx, client, "numbers", all, lift.StartAtEarliestReceived()); err != nil {
		return err
	}
	if err := client.SetStreamReadonly(ctx, "numbers", lift.Readonly(false)); err != nil {
		return err
	}
	if _, err := client.Publish(ctx, "numbers", []byte("10")); err != nil {
		return err
	}
	err = client.SetStreamReadonly(ctx, "numbers", lift.ReadonlyPartitions(9))
	return expectError("a partition that is not there", err, lift.ErrNoSuchPartition)
}

func pause(ctx context.Context, client lift.Client) error {
	subscription, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := subscribe(subscription, client, "spread", lift.Partition(1), lift.StartAtNewOnly())
	if err != nil {
		return err
	}
	if err := client.PauseStream(ctx, "spread"); err != nil {
		return err
	}
	_, err = next(ctx, events)
	if err := expectError("a subscription to a paused partition", err, lift.ErrPartitionPaused); err != nil {
		return err
	}
	if err := expectPaused(ctx, client, true, true, true); err != nil {
		return err
	}
	if _, err := client.Publish(ctx, "spread", []byte("resumes"), lift.ToPartition(1)); err != nil {
		return err
	}
	if err := expectPaused(ctx, client, true, false, true); err != nil {
		return err
	}
	if err := client.PauseStream(ctx, "spread", lift.PausePartitions(1), lift.ResumeAll()); err != nil {
		return err
	}
	resumed, cancelResumed := context.WithCancel(ctx)
	defer cancelResumed()
	if _, err := subscribe(resumed, client, "spread", lift.Partition(0), lift.Resume()); err != nil {
		return err
	}
	return expectPaused(ctx, client, false, false, false)
}

func expectPaused(ctx context.Context, client lift.Client, expected ...bool) error {
	metadata, err := client.FetchMetadata(ctx)
	if err != nil {
		return err
	}
	for partition, paused := range expected {
		if metadata.GetStream("spread").GetPartition(int32(partition)).Paused() != paused {
			return fmt.Errorf("partition %d: paused should be %v", partition, paused)
		}
	}
	return nil
}

func partitionMetadata(ctx context.Context, client lift.Client) error {
	partition, err := client.FetchPartitionMetadata(ctx, "numbers", 0)
	if err != nil {
		return err
	}
	if partition.NewestOffset() != 10 || partition.HighWatermark() != 10 || partition.Readonly() {
		return fmt.Errorf("numbers is described as %+v", partition)
	}
	received := partition.MessagesReceivedTimestamps()
	if received.FirstTime().IsZero() || !received.LatestTime().After(received.FirstTime()) {
		return fmt.Errorf("messages were received %v to %v", received.FirstTime(), received.LatestTime())
	}
	return nil
}

func deleteStreams(ctx context.Context, client lift.Client) error {
	subscription, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := subscribe(subscription, client, "numbers", lift.StartAtNewOnly())
	if err != nil {
		return err
	}
	if err := client.DeleteStream(ctx, "numbers"); err != nil {
		return err
	}
	_, err = next(ctx, events)
	if err := expectError("a subscription to a deleted stream", err, lift.ErrStreamDeleted); err != nil {
		return err
	}
	if err := expectError("deleting twice", client.DeleteStream(ctx, "numbers"), lift.ErrNoSuchStream); err != nil {
		return err
	}
	if err := client.CreateStream(ctx, "numbers.subject", "numbers"); err != nil {
		return err
	}
	ack, err := client.Publish(ctx, "numbers", []byte("anew"))
	if err != nil {
		return err
	}
	if ack.Offset() != 0 {
		return fmt.Errorf("a new stream of an old name begins at %d", ack.Offset())
	}
	return nil
}
