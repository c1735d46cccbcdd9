package rest

import (
	"compress/gzip"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

// unzip decompresses the body of an answer.
func unzip(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	in, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// largeSetup has a table with one small row and one that makes a large answer.
func largeSetup(t *testing.T) *fixture {
	t.Helper()
	f := setup(t)
	f.ETag, f.Compress = true, true
	f.exec(t, `insert into public.projects values (3, repeat('compressible ', 1000))`)
	return f
}

const zipped = "Accept-Encoding: deflate, gzip;q=0.5"

func TestCompression(t *testing.T) {
	t.Parallel()
	f := largeSetup(t)
	plain := f.do(t, "GET", "/projects?id=eq.3", "")
	if plain.Header().Get("Content-Encoding") != "" || plain.Header().Get("Vary") != "Accept-Encoding" || plain.Body.Len() < 10_000 {
		t.Errorf("plain: %v", plain.Header())
	}
	w := f.do(t, "GET", "/projects?id=eq.3", "", zipped)
	if length := w.Body.Len(); w.Code != 200 || w.Header().Get("Content-Encoding") != "gzip" || length > 1000 ||
		w.Header().Get("Vary") != "Accept-Encoding" || w.Header().Get("Content-Range") != "0-0/*" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if got := unzip(t, w); got != plain.Body.String() {
		t.Errorf("unzipped: %.100s", got)
	}
	w = f.do(t, "POST", "/projects", `{"id":4,"name":"`+strings.Repeat("x", 5000)+`"}`, representation, zipped)
	if w.Code != 201 || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("ETag") != "" {
		t.Errorf("a write: %d %v", w.Code, w.Header())
	}
	for name, headers := range map[string][]string{
		"nothing accepted": {"Accept-Encoding: br, identity"},
		"gzip forbidden":   {"Accept-Encoding: br, gzip; q=0"},
		"a cookie":         {zipped, "Cookie: session=x"},
	} {
		if w := f.do(t, "GET", "/projects?id=eq.3", "", headers...); w.Header().Get("Content-Encoding") != "" || w.Body.String() != plain.Body.String() {
			t.Errorf("%s: %v", name, w.Header())
		}
	}
	if w := f.do(t, "GET", "/projects?id=lt.3", "", zipped); w.Header().Get("Content-Encoding")+w.Header().Get("Vary")+w.Header().Get("ETag") != "" {
		t.Errorf("a small answer: %v", w.Header())
	}
	f.Compress = false
	if w := f.do(t, "GET", "/projects?id=eq.3", "", zipped); w.Header().Get("Content-Encoding")+w.Header().Get("Vary") != "" {
		t.Errorf("off: %v", w.Header())
	}
}

func TestEntityTags(t *testing.T) {
	t.Parallel()
	f := largeSetup(t)
	const path = "/projects?id=gte.3"
	first := f.do(t, "GET", path, "")
	tag := first.Header().Get("ETag")
	if first.Code != 200 || !strings.HasPrefix(tag, `W/"`) || len(tag) != 26 {
		t.Fatalf("%d %v", first.Code, first.Header())
	}
	for _, match := range []string{tag, strings.TrimPrefix(tag, "W/"), `"other", ` + tag, "*"} {
		for _, encoding := range []string{"Accept-Encoding: gzip", "Accept-Encoding: identity"} {
			w := f.do(t, "GET", path, "", "If-None-Match: "+match, encoding)
			if w.Code != 304 || w.Body.Len() != 0 || w.Header().Get("ETag") != tag || w.Header().Get("Content-Type")+w.Header().Get("Content-Length") != "" {
				t.Errorf("%s: %d %v %.100s", match, w.Code, w.Header(), w.Body)
			}
		}
	}
	same := "If-None-Match: " + tag
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
	}{
		"another tag":     {path, []string{`If-None-Match: W/"other"`}, 200},
		"another format":  {path, []string{same, "Accept: text/csv"}, 200},
		"another count":   {path, []string{same, "Prefer: count=exact"}, 200},
		"a part of it":    {path + "&limit=1", []string{same, "Prefer: count=exact"}, 200},
		"other rows":      {"/projects", []string{same}, 200},
		"an error":        {"/projects?x=eq.1", []string{same}, 400},
		"a call":          {"/rpc/letters_of?a=1", []string{"If-None-Match: *"}, 200}, // it is small
		"without a match": {path, nil, 200},
	} {
		if w := f.do(t, "GET", c.path, "", c.headers...); w.Code != c.status || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
	f.exec(t, `update public.projects set name = name || '!' where id = 3`)
	if w := f.do(t, "GET", path, "", same); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("a changed row: %d %v", w.Code, w.Header())
	}
	// The tag says nothing about what the caller may not see: the request runs all the same.
	f.exec(t, `revoke select on public.projects from authenticated`)
	if w := f.do(t, "GET", path, "", "If-None-Match: *"); w.Code != 403 {
		t.Errorf("without the right: %d %v", w.Code, w.Header())
	}
	f.exec(t, `grant select on public.projects to authenticated`)
	f.ETag = false
	if w := f.do(t, "GET", path, "", "If-None-Match: *"); w.Code != 200 || w.Header().Get("ETag") != "" {
		t.Errorf("off: %d %v", w.Code, w.Header())
	}
}
