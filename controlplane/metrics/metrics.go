// Package metrics counts what a server does, for Prometheus.
//
// Promises: no label has a value that a client chose, so the number of series is bounded; no address, id, path or
// token is in any of them.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Pool is the state of one pool of connections to PostgreSQL.
type Pool struct {
	Name       string
	Busy, Idle int // connections
	Size       int // at most
}

// Metrics are those of one server. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	limited  *prometheus.CounterVec
}

// New makes metrics with nothing counted. pools is asked whenever somebody reads them.
func New(version string, pools func() []Pool) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fluxbase_http_requests_total",
			Help: "Requests that reached a route or a rate limit, by kind of route and status."}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "fluxbase_http_request_duration_seconds",
			Help: "Time from a request's headers to the end of its answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}},
			[]string{"route"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fluxbase_http_refused_total",
			Help: "Requests that were refused for protection, by the code of the answer."}, []string{"code"}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fluxbase_rate_limited_total",
			Help: "Requests beyond a rate limit, by its rule."}, []string{"rule"}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "fluxbase_info", Help: "Always 1.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.duration, m.refused, m.limited, info, poolCollector(pools),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Request counts an answered request. route is one of a few words of ours.
func (m *Metrics) Request(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

// Refused counts a request that a protection kept away.
func (m *Metrics) Refused(code string) { m.refused.WithLabelValues(code).Inc() }

// Limited counts a request beyond the limit of a rule.
func (m *Metrics) Limited(rule string) { m.limited.WithLabelValues(rule).Inc() }

// Handler answers with all of them.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// poolCollector reads the pools when it is asked.
type poolCollector func() []Pool

var (
	connections = prometheus.NewDesc("fluxbase_pool_connections", "Open connections to PostgreSQL.", []string{"pool", "state"}, nil)
	size        = prometheus.NewDesc("fluxbase_pool_size", "Most connections of the pool.", []string{"pool"}, nil)
)

// Describe is of prometheus.Collector.
func (poolCollector) Describe(out chan<- *prometheus.Desc) {
	out <- connections
	out <- size
}

// Collect is of prometheus.Collector.
func (pools poolCollector) Collect(out chan<- prometheus.Metric) {
	for _, p := range pools() {
		out <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(p.Busy), p.Name, "busy")
		out <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(p.Idle), p.Name, "idle")
		out <- prometheus.MustNewConstMetric(size, prometheus.GaugeValue, float64(p.Size), p.Name)
	}
}
