package main

import (
	"context"
	"fmt"
	"time"

	lift "github.com/liftbridge-io/go-liftbridge/v2"
)

// subscribeFromEverywhere reads the ten numbers from every start and to every stop there is.
func subscribeFromEverywhere(ctx context.Context, client lift.Client) error {
	times, err := receptionTimes(ctx, client)
	if err != nil {
		return err
	}
	all := []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	cases := []struct {
		expected []int64
		options  []lift.SubscriptionOption
	}{
		{all, []lift.SubscriptionOption{lift.StartAtEarliestReceived(), lift.StopAtLatestReceived()}},
		{all[9:], []lift.SubscriptionOption{lift.StartAtLatestReceived(), lift.StopAtLatestReceived()}},
		{all[4:], []lift.SubscriptionOption{lift.StartAtOffset(4), lift.StopAtLatestReceived()}},
		{all[4:7], []lift.SubscriptionOption{lift.StartAtOffset(4), lift.StopAtOffset(6)}},
		{all[3:], []lift.SubscriptionOption{lift.StartAtTime(times[3]), lift.StopAtLatestReceived()}},
		{all[2:7], []lift.SubscriptionOption{lift.StartAtTime(times[2]), lift.StopAtTime(times[6])}},
		{all, []lift.SubscriptionOption{lift.StartAtTimeDelta(time.Hour), lift.StopAtOffset(9)}},
	}
	for _, c := range cases {
		if err := expectRead(ctx, client, "numbers", c.expected, c.options...); err != nil {
			return err
		}
	}
	_, err = read(ctx, client, "numbers", lift.Partition(7))
	return expectSomeError("a partition that is not there", err)
}

// receptionTimes reads the numbers, checks what they carry, and returns when each was received.
func receptionTimes(ctx context.Context, client lift.Client) ([]time.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := subscribe(ctx, client, "numbers", lift.StartAtEarliestReceived(), lift.StopAtLatestReceived())
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for number := range int64(10) {
		message, err := next(ctx, events)
		if err != nil {
			return nil, err
		}
		text, headers := fmt.Sprint(number), message.Headers()
		same := string(message.Value()) == text && string(message.Key()) == text && string(headers["number"]) == text
		if !same || message.Stream() != "numbers" || string(headers["subject"]) != "numbers.subject" {
			return nil, fmt.Errorf("message %d came back as %+v with %v", number, message, headers)
		}
		times = append(times, message.Timestamp())
	}
	return times, nil
}

// follow subscribes before anything is published and gets exactly what comes then.
func follow(ctx context.Context, client lift.Client) error {
	if err := client.CreateStream(ctx, "later", "later"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var subscriptions []chan event
	for _, start := range []lift.SubscriptionOption{lift.StartAtNewOnly(), lift.StartAtEarliestReceived(), lift.StartAtOffset(100)} {
		events, err := subscribe(ctx, client, "later", start)
		if err != nil {
			return err
		}
		subscriptions = append(subscriptions, events)
	}
	for number := range 5 {
		if _, err := client.Publish(ctx, "later", []byte(fmt.Sprint(number))); err != nil {
			return err
		}
	}
	for _, events := range subscriptions {
		for number := range 5 {
			message, err := next(ctx, events)
			if err != nil {
				return err
			}
			if string(message.Value()) != fmt.Sprint(number) {
				return fmt.Errorf("got %s, expected %d", message.Value(), number)
			}
		}
	}
	return nil
}

func expectSomeError(what string, err error) error {
	if err == nil {
		return fmt.Errorf("%s is no error", what)
	}
	return nil
}
