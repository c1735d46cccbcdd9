package main

import (
	"context"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"golang.org/x/crypto/bcrypt"
)

// serveBare answers GET /notes/:id with the statement of the secured read, as the table's owner: Echo, pgx with its
// default statement cache, no security of any kind. It is what the ratios are measured against.
func serveBare(ctx context.Context, url, statement string, connections int) (address string, stop func(), err error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return "", nil, err
	}
	config.MaxConns = int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return "", nil, err
	}
	e := echo.New()
	e.GET("/notes/:id", func(c echo.Context) error {
		var body []byte
		if err := pool.QueryRow(c.Request().Context(), statement, c.Param("id")).Scan(&body); err != nil {
			return err
		}
		c.Response().Header().Set(echo.HeaderContentLength, strconv.Itoa(len(body))) // the load generator reads no chunks
		return c.JSONBlob(http.StatusOK, body)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), func() { _ = server.Close(); pool.Close() }, nil
}

// bareBcrypt counts comparisons per second on all cores.
func bareBcrypt(cost int, duration time.Duration) (float64, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte("correct horse battery"), cost)
	if err != nil {
		return 0, err
	}
	return perSecond(runtime.NumCPU(), duration, func() error {
		return bcrypt.CompareHashAndPassword(hash, []byte("correct horse battery"))
	})
}

// perSecond calls f on so many goroutines for the duration.
func perSecond(goroutines int, duration time.Duration, f func() error) (float64, error) {
	var (
		wg    sync.WaitGroup
		count atomic.Int64
		first error
		once  sync.Once
		begin = time.Now()
	)
	for range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for time.Since(begin) < duration {
				if err := f(); err != nil {
					once.Do(func() { first = err })
					return
				}
				count.Add(1)
			}
		}()
	}
	wg.Wait()
	return float64(count.Load()) / time.Since(begin).Seconds(), first
}

// bareCommits counts single-row updates per second, each its own transaction, on so many connections.
func bareCommits(ctx context.Context, url string, connections int, duration time.Duration) (float64, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return 0, err
	}
	config.MaxConns = int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, `create table if not exists public.bench_commits as
		select n as id, 0 as value from generate_series(1, 100000) n;
		create unique index if not exists bench_commits_id_key on public.bench_commits (id)`)
	if err != nil {
		return 0, err
	}
	var next atomic.Int64
	return perSecond(connections, duration, func() error {
		_, err := pool.Exec(ctx, `update public.bench_commits set value = value + 1 where id = $1`, next.Add(7919)%100000+1)
		return err
	})
}
