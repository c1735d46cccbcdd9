// Command bench measures the server against what the same machine does without it, all in one run: a bare Echo and pgx
// handler, bare bcrypt, bare commits. Absolute rates depend on the machine; the ratios are what the project promises.
//
// It builds the server, starts it with a private cluster and the demo, and drives it over loopback for a bounded time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"
)

// A row is one measured ratio with its budget.
type row struct {
	what   string
	ratio  float64
	budget float64
	atMost bool
	detail string
}

func main() {
	duration := flag.Duration("duration", 3*time.Second, "of each run")
	rounds := flag.Int("rounds", 3, "interleaved rounds; the median counts")
	only := flag.String("only", "", "one of reads, rest, roundtrips, refreshes, logins, limits, policies")
	bare := flag.String("bare", "", "internal: serve the bare handler for this database URL")
	statement := flag.String("statement", "", "internal: its statement")
	connections := flag.Int("connections", 0, "internal: its pool")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	if *bare != "" {
		address, stopBare, err := serveBare(ctx, *bare, *statement, *connections)
		if err != nil {
			fatal(err)
		}
		defer stopBare()
		fmt.Println(address)
		<-ctx.Done()
		return
	}

	b, err := newBench(ctx, *duration, *rounds)
	if err != nil {
		fatal(err)
	}
	defer b.close()
	failed := false
	for _, m := range []struct {
		name    string
		measure func(context.Context) ([]row, error)
	}{{"reads", b.reads}, {"rest", b.rest}, {"roundtrips", b.roundTrips}, {"refreshes", b.refreshes}, {"logins", b.logins}, {"limits", b.limits}, {"policies", b.policies}} {
		if *only != "" && *only != m.name {
			continue
		}
		rows, err := m.measure(ctx)
		if err != nil {
			b.close()
			fatal(err)
		}
		for _, r := range rows {
			failed = !r.print() || failed
		}
	}
	if failed {
		b.close()
		os.Exit(1)
	}
}

func (r row) print() bool {
	met, sign := r.ratio >= r.budget, ">="
	if r.atMost {
		met, sign = r.ratio <= r.budget, "<="
	}
	verdict := "ok"
	switch {
	case r.budget == 0:
		fmt.Printf("%-58s %6.2f  %16s %s\n", r.what, r.ratio, "", r.detail)
		return true
	case !met:
		verdict = "MISSED"
	}
	fmt.Printf("%-58s %6.2f  %s %-5.2f %-7s %s\n", r.what, r.ratio, sign, r.budget, verdict, r.detail)
	return met
}

func fatal(err error) {
	fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	os.Exit(1)
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}
