// Package logging makes the server's logger.
//
// Promises:
//
//   - Times are UTC. A line that is logged with a context carries the request id of that context as request_id.
//   - No caller should log a secret. As a second net an attribute whose name looks like one is masked, also below
//     groups and in maps, and passwords of URLs, bearer credentials, tokens and API keys are cut out of texts and
//     errors. What hides in the middle of another value is not found: the net replaces no care.
//
// The package keeps no state; a logger may be used by several goroutines at once.
package logging

import (
	"context"
	"io"
	"log/slog"
	"slices"
)

// New makes a logger that writes to w what has at least this level. Format "text" is for people, anything else is
// JSON, one object a line.
func New(w io.Writer, level slog.Leveler, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: replace}
	if format == "text" {
		return slog.New(&handler{base: slog.NewTextHandler(w, options)})
	}
	return slog.New(&handler{base: slog.NewJSONHandler(w, options)})
}

// replace is the last step before an attribute is written.
func replace(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && a.Value.Kind() == slog.KindTime {
		return slog.Time(a.Key, a.Value.Time().UTC())
	}
	if slices.ContainsFunc(groups, isSecretName) {
		return slog.String(a.Key, masked)
	}
	a.Value = clean(a.Key, a.Value)
	return a
}

type requestIDKey struct{}

// WithRequestID is a context whose log lines carry the id. The id must be one of ours: it is written as it is.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID is the id that WithRequestID put into the context, empty when there is none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// handler adds the request id to each record, at the top level even when groups are open.
type handler struct {
	base    slog.Handler                      // with attributes, before the first group
	grouped []func(slog.Handler) slog.Handler // the first group and what came after it
}

// Enabled is of [slog.Handler].
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.base.Enabled(ctx, level)
}

// Handle is of [slog.Handler]; here the request id is added.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	next := h.base
	if id := RequestID(ctx); id != "" && (len(h.grouped) > 0 || !names(record, "request_id")) {
		next = next.WithAttrs([]slog.Attr{slog.String("request_id", id)})
	}
	for _, apply := range h.grouped {
		next = apply(next)
	}
	return next.Handle(ctx, record)
}

// names reports whether the line itself has an attribute of that name: two members of one name are no good JSON.
func names(record slog.Record, key string) (found bool) {
	record.Attrs(func(a slog.Attr) bool {
		found = found || a.Key == key
		return !found
	})
	return found
}

// WithAttrs is of [slog.Handler].
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	if len(h.grouped) == 0 {
		return &handler{base: h.base.WithAttrs(attrs)}
	}
	return h.with(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup is of [slog.Handler].
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.with(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h *handler) with(apply func(slog.Handler) slog.Handler) slog.Handler {
	return &handler{base: h.base, grouped: append(slices.Clip(h.grouped), apply)}
}
