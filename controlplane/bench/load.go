package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A source gives each connection its next request as the bytes to send, nil to end; answer is the body of the one
// before. It is called from one goroutine per connection.
type source func(connection, n int, answer []byte) []byte

// load is what one run saw.
type load struct {
	rate     float64 // answers with the wanted status per second
	answers  int     // of them
	p50, p99 time.Duration
	errors   int // other answers and broken connections
	first    string
}

// run keeps connections busy for the duration. It writes and reads HTTP/1.1 by hand: net/http's client costs several
// times what the server does, and would hide the difference that is to be measured.
func run(address string, connections int, duration time.Duration, wantStatus int, next source) load {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		all     []time.Duration
		result  load
		started = time.Now()
		until   = started.Add(duration)
	)
	for c := range connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			took, failures, first := drive(address, until, wantStatus, func(n int, answer []byte) []byte { return next(c, n, answer) })
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			result.errors += failures
			if result.first == "" {
				result.first = first
			}
		}()
	}
	wg.Wait()
	result.answers = len(all)
	result.rate = float64(len(all)) / time.Since(started).Seconds()
	slices.Sort(all)
	if len(all) > 0 {
		result.p50, result.p99 = all[len(all)/2], all[len(all)*99/100]
	}
	return result
}

func drive(address string, until time.Time, wantStatus int, next func(n int, answer []byte) []byte) (took []time.Duration, failures int, first string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, 1, err.Error()
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	var body []byte
	for n := 0; time.Now().Before(until); n++ {
		request := next(n, body)
		if request == nil {
			return took, failures, first
		}
		begin := time.Now()
		if _, err := conn.Write(request); err != nil {
			return took, failures + 1, err.Error()
		}
		var status int
		if status, body, err = readResponse(reader, body); err != nil {
			return took, failures + 1, err.Error()
		}
		if status != wantStatus {
			failures++
			if first == "" {
				first = fmt.Sprintf("%d %s", status, body)
			}
			continue
		}
		took = append(took, time.Since(begin))
	}
	return took, failures, first
}

var (
	headerEnd     = []byte("\r\n\r\n")
	contentLength = []byte("\r\nContent-Length: ")
)

// readResponse reads one response with a Content-Length, as net/http writes it, into the buffer that it is given, and returns
// that. It looks for two places and at no line: with the servers on the same cores, its time is taken from theirs.
func readResponse(r *bufio.Reader, buffer []byte) (status int, body []byte, err error) {
	var head []byte
	for end := -1; end < 0; {
		if _, err := r.Peek(len(head) + 1); err != nil {
			return 0, nil, err
		}
		head, _ = r.Peek(r.Buffered())
		if end = bytes.Index(head, headerEnd); end >= 0 {
			head = head[:end+len(headerEnd)]
		}
	}
	if len(head) < 12 {
		return 0, nil, fmt.Errorf("short status line %q", head)
	}
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, nil, err
	}
	length := 0
	if at := bytes.Index(head, contentLength); at >= 0 {
		digits := head[at+len(contentLength):]
		if length, err = strconv.Atoi(string(digits[:bytes.IndexByte(digits, '\r')])); err != nil {
			return 0, nil, err
		}
	}
	_, _ = r.Discard(len(head))
	body = slices.Grow(buffer[:0], length)[:length]
	_, err = io.ReadFull(r, body)
	return status, body, err
}
