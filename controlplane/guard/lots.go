package guard

import (
	"slices"
	"time"
)

type lotKey struct {
	rule    int
	subject string
}

// lot is what a server knows of one counter for a time: until the window ends, or, when nothing is left, until there is
// something to take.
type lot struct {
	left      int // requests that may pass without asking
	remaining int // in the database, when it was asked last
	window    int64
	until     time.Time
	exhausted bool // nothing is left, here and there
	logged    bool // that the limit was reached in this window
}

// serves tells whether the lot answers a request without a question.
func (k lot) serves(now time.Time) bool { return now.Before(k.until) && (k.exhausted || k.left > 0) }

// question is one call of the counters for a lot. Requests that come meanwhile wait for it: each with a lot of its own would
// take the rest of the limit for this server and leave it lying.
type question struct {
	done chan struct{}
	err  error // valid after done
}

// maxLots bounds the memory: beyond it, what ended is forgotten, and then everything, which is asked again.
const maxLots = 100_000

// fromMemory refuses what is known to be refused, gives out of the lots, and lists what must be asked; or it does nothing and
// says what to wait for.
func (l *Limiter) fromMemory(now time.Time, met []meeting) (d Decision, ask []Asking, wait *question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range met {
		if k, ok := l.lots[m.key]; ok && k.exhausted && now.Before(k.until) && m.rule.enforced() {
			return Decision{Refused: true, Rule: m.rule.Name, Limit: m.rule.Limit, Reset: k.until.Sub(now)}, nil, nil
		}
	}
	for _, m := range met {
		if q := l.asking[m.key]; q != nil && !l.lots[m.key].serves(now) {
			return Decision{}, nil, q
		}
	}
	for _, m := range met {
		k := l.lots[m.key]
		switch {
		case !k.serves(now):
			ask = append(ask, Asking{m.rule.ID, m.key.subject, m.rule.want(), m.rule.Limit, m.rule.WindowSeconds, m.rule.enforced(), m.rule.Durable})
			if !m.rule.Durable {
				l.asking[m.key] = &question{done: make(chan struct{})}
			}
		case k.exhausted: // reported before
		default:
			k.left--
			l.lots[m.key] = k
			d.nearest(m.rule, k.left+k.remaining, k.until.Sub(now))
		}
	}
	return d, ask, nil
}

// answered lets those go on who wait for the lots of ask.
func (l *Limiter) answered(ask []Asking, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range ask {
		key := lotKey{a.Rule, a.Subject}
		if q := l.asking[key]; q != nil && !a.Durable {
			q.err = err
			close(q.done)
			delete(l.asking, key)
		}
	}
}

// settle decides by what was granted and keeps the rest. Windows end by the clock from before the question, which is
// never later than that of the database.
func (l *Limiter) settle(now time.Time, met []meeting, taken []Taking, d Decision) Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shrink(now)
	for _, t := range taken {
		key := lotKey{t.Rule, t.Subject}
		i := slices.IndexFunc(met, func(m meeting) bool { return m.key == key })
		if i < 0 {
			continue
		}
		rule, reset := met[i].rule, time.Duration(t.ResetMS)*time.Millisecond
		if k := l.lots[key]; t.Window >= k.window { // else another request has begun the next one meanwhile
			k, t.Granted = k.after(t, now, reset)
			if k.exhausted && !k.logged {
				k.logged = true
				l.log.Warn("rate limit reached", "rule", rule.Name, "subject", t.Subject, "mode", rule.Mode)
			}
			l.lots[key] = k
		}
		switch {
		case t.Granted > 0:
			d.nearest(rule, t.Granted-1+t.Remaining, reset)
		case rule.enforced():
			return Decision{Refused: true, Rule: rule.Name, Limit: rule.Limit, Reset: reset}
		}
	}
	return d
}

// after is the lot that an answer leaves about its window or a later one, out of which the request that asked has been served; granted
// is 0 when there was nothing for it.
func (k lot) after(t Taking, now time.Time, reset time.Duration) (_ lot, granted int) {
	if t.Window > k.window {
		k = lot{window: t.Window}
	}
	k.remaining = t.Remaining
	switch {
	case t.Granted > 0:
		k.left += t.Granted - 1
		k.until, k.exhausted = now.Add(reset), false
		return k, t.Granted
	case k.left > 0 && now.Before(k.until): // of a lot that came meanwhile
		k.left--
		return k, 1
	}
	k.until, k.exhausted = now.Add(reset), true
	return k, 0
}

// shrink keeps the lots below maxLots.
func (l *Limiter) shrink(now time.Time) {
	if len(l.lots) < maxLots {
		return
	}
	for key, k := range l.lots {
		if !now.Before(k.until) {
			delete(l.lots, key)
		}
	}
	if len(l.lots) >= maxLots {
		clear(l.lots)
	}
}
