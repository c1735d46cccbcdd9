package guard

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// redisTimeout is how long Redis may take to connect or to answer.
const redisTimeout = time.Second

// Redis counts in Redis, by the same rules as PostgreSQL: one script counts and decides, by the clock of Redis. It is
// safe for concurrent use.
type Redis struct {
	client  *redis.Client
	prefix  string // of all keys
	entries Entries
}

// NewRedis takes a URL, redis:// or rediss:// for TLS. It does not connect yet. Servers of the same installation count
// together; others that use the same Redis count for themselves. Refusals that belong into the audit log go there by
// entries.
func NewRedis(url, installation string, entries Entries) (*Redis, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("it is no URL of Redis") // the error of the library may quote the password
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = redisTimeout, redisTimeout, redisTimeout, redisTimeout
	o.DialerRetries = 1
	o.MaxRetries = -1 // a request that was counted is not counted twice
	o.ContextTimeoutEnabled = true
	quiet.Do(func() { redis.SetLogger(silent{}) })
	return &Redis{redis.NewClient(o), "{fluxbase:" + installation + "}:", entries}, nil // the braces: one slot of a cluster
}

// quiet keeps the library from writing to standard error what it returns as well.
var quiet sync.Once

type silent struct{}

// Printf is of the library's logger.
func (silent) Printf(context.Context, string, ...any) {}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// redisTake is fluxbase.rate_limit: for each key a limit, the length of the window, what is wanted, whether a refusal ends it and
// whether its windows slide. It answers with granted, remaining, the window, the milliseconds left of it or, of a refusal, until
// there is something to take, and whether this is the first refusal.
var redisTake = redis.NewScript(`
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local taken = {}
for i, key in ipairs(KEYS) do
  local limit, length, want = tonumber(ARGV[5 * i - 4]), tonumber(ARGV[5 * i - 3]), tonumber(ARGV[5 * i - 2])
  local slides = ARGV[5 * i] == '1'
  local window = math.floor(now[1] / length) * length
  local kept = redis.call('HMGET', key, 'window', 'hits', 'previous', 'refused')
  local hits, previous, refused = 0, 0, false
  if kept[1] and tonumber(kept[1]) >= window then
    window, hits, previous, refused = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3] or 0), kept[4]
  elseif kept[1] and slides and tonumber(kept[1]) + length >= window then
    previous = tonumber(kept[2])
  end
  local room = limit - hits - math.floor(previous * (1 - math.max(0, ms - window * 1000) / (length * 1000)))
  local granted = math.max(0, math.min(want, room))
  local free, first = (window + length) * 1000, 0
  if granted > 0 then
    redis.call('DEL', key)
    redis.call('HSET', key, 'window', window, 'hits', hits + granted, 'previous', previous)
    redis.call('PEXPIREAT', key, (window + (slides and 2 or 1) * length) * 1000 + 1000)
  elseif slides then
    local start = window
    if hits >= limit then
      start, previous, hits = start + length, hits, 0
    end
    local wanted = math.min(want, limit - hits)
    free = math.ceil((start + length * math.max(0, 1 - (limit - hits - wanted + 1) / math.max(previous, 1))) * 1000) + 1
  elseif not refused then
    first = 1
    redis.call('HSET', key, 'refused', 1)
  end
  taken[i] = {granted, math.max(0, room - granted), window, math.max(0, free - ms), first}
  if granted == 0 and ARGV[5 * i - 1] == '1' then break end
end
return taken`)

// Take is of Counters.
func (r *Redis) Take(ctx context.Context, list []Asking) ([]Taking, error) {
	keys, args := make([]string, len(list)), make([]any, 0, 5*len(list))
	for i, a := range list {
		keys[i] = r.prefix + strconv.Itoa(a.Rule) + ":" + a.Subject
		args = append(args, a.Limit, a.WindowSeconds, max(a.Want, 1), a.Enforced, !a.Durable)
	}
	rows, err := redisTake.Run(ctx, r.client, keys, args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("count a request in Redis: %w", err)
	}
	taken := make([]Taking, len(rows))
	for i, row := range rows {
		var n [5]int64
		fields, ok := row.([]any)
		for j := 0; ok && j < len(n); j++ {
			ok = len(fields) == len(n)
			if ok {
				n[j], ok = fields[j].(int64)
			}
		}
		if !ok || i >= len(list) {
			return nil, errors.New("count a request in Redis: unexpected answer")
		}
		a := list[i]
		taken[i] = Taking{a.Rule, a.Subject, int(n[0]), int(n[1]), n[2], n[3]}
		if n[4] == 1 && a.Durable && a.Enforced && a.Rule > 0 {
			if _, err := r.entries.Entry(ctx, gateway.Caller{Role: "anon"}, sqlRateRefused, [][]byte{strconv.AppendInt(nil, int64(a.Rule), 10), []byte(a.Subject)}); err != nil {
				return nil, fmt.Errorf("record a refusal: %w", err)
			}
		}
	}
	return taken, nil
}
