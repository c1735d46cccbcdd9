package server_test

import (
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// A client knows the length of an answer beforehand, whether this program or net/http counts it.
func TestAnswersHaveTheirLength(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.Exec(t, `create table public.texts (id int primary key, body text); alter table public.texts enable row level security;
		create policy everybody on public.texts to anon using (true); grant select on public.texts to anon;
		insert into public.texts select n, repeat('x', n) from unnest(array[1, 2000, 2048, 2100, 5000]) n; select fluxbase.reload()`)
	for _, n := range []int{0, 1, 2000, 2048, 2100, 5000} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/api/v1/rest/texts?select=body&id=eq."+strconv.Itoa(n), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept-Encoding", "identity")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != 200 || answer.ContentLength != int64(len(body)) || len(body) < n || answer.TransferEncoding != nil {
			t.Errorf("%d: %d, %d bytes, announced are %d, %v, %v", n, answer.StatusCode, len(body), answer.ContentLength, answer.TransferEncoding, err)
		}
	}
}
