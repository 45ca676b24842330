package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

// event is one call of a subscription's handler.
type event struct {
	message *lift.Message
	err     error
}

// subscribe begins a subscription whose handler calls arrive on a channel.
func subscribe(ctx context.Context, client lift.Client, stream string, options ...lift.SubscriptionOption) (chan event, error) {
	events := make(chan event, 1024)
	err := client.Subscribe(ctx, stream, func(message *lift.Message, err error) {
		select {
		case events <- event{message, err}:
		case <-ctx.Done():
		}
	}, options...)
	return events, err
}

// read subscribes and returns the offsets delivered until the subscription ends, and its end. Refusals count as ends.
func read(ctx context.Context, client lift.Client, stream string, options ...lift.SubscriptionOption) ([]int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := subscribe(ctx, client, stream, options...)
	if err != nil {
		return nil, err
	}
	var offsets []int64
	for {
		next, err := next(ctx, events)
		if err != nil {
			return offsets, err
		}
		offsets = append(offsets, next.Offset())
	}
}

// next is the next message of a subscription, or its end.
func next(ctx context.Context, events chan event) (*lift.Message, error) {
	select {
	case event := <-events:
		return event.message, event.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// expectRead reads up to the end that clients know as "nothing more to read" and compares the offsets.
func expectRead(ctx context.Context, client lift.Client, stream string, expected []int64, options ...lift.SubscriptionOption) error {
	offsets, err := read(ctx, client, stream, options...)
	if !errors.Is(err, lift.ErrReadonlyPartition) {
		return fmt.Errorf("reading %s ended with %v after %v", stream, err, offsets)
	}
	if !slices.Equal(offsets, expected) {
		return fmt.Errorf("read %v of %s, expected %v", offsets, stream, expected)
	}
	return nil
}

// expectError fails unless err is the expected one.
func expectError(what string, err, expected error) error {
	if !errors.Is(err, expected) {
		return fmt.Errorf("%s: got %v, expected %v", what, err, expected)
	}
	return nil
}
