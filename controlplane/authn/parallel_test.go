package authn_test

import (
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/wayli-app/fluxbase/controlplane/server/servertest"
)

// rounds is how often a race is run.
func rounds() int {
	if os.Getenv("FLUXBASE_TEST_LONG") != "" {
		return 200
	}
	return 5
}

// together runs n calls at the same moment.
func together(n int, call func(i int) servertest.Answer) []servertest.Answer {
	answers := make([]servertest.Answer, n)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			answers[i] = call(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return answers
}

func TestParallelRefreshes(t *testing.T) {
	t.Parallel()
	s, k := startWithAnn(t)
	for round := range rounds() {
		children := map[string]bool{}
		for _, a := range together(50, func(int) servertest.Answer { return refresh(t, s, k.Refresh) }) {
			if a.Status != http.StatusOK {
				t.Fatalf("round %d: %d %s", round, a.Status, a.Body)
			}
			children[a.Tokens().Refresh] = true
			k = a.Tokens()
		}
		if len(children) != 1 {
			t.Fatalf("round %d: %d children", round, len(children))
		}
		if a := user(t, s, k); a.Status != 200 {
			t.Fatalf("round %d: the child is answered %d %s", round, a.Status, a.Body)
		}
	}
	if got, want := s.Value(t, `select count(*) from auth.refresh_tokens`), strconv.Itoa(rounds()+1); got != want {
		t.Errorf("%s tokens are stored, want %s", got, want)
	}
}

func TestParallelLogouts(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	for round := range rounds() {
		k := s.Login(t, ann)
		ended := 0
		for _, a := range together(50, func(int) servertest.Answer { return s.Do(t, "POST", "/auth/v1/logout?scope=local", nil, k.Bearer()) }) {
			switch a.Status {
			case http.StatusNoContent:
				ended++
			case http.StatusUnauthorized: // came after the end
			default:
				t.Fatalf("round %d: %d %s", round, a.Status, a.Body)
			}
		}
		if ended == 0 {
			t.Fatalf("round %d: nobody logged out", round)
		}
		expect(t, user(t, s, k), 401, "session_not_found")
		expect(t, refresh(t, s, k.Refresh), 401, "session_not_found")
	}
	if got, want := s.Value(t, `select count(*) from auth.token_blacklist`), strconv.Itoa(rounds()); got != want {
		t.Errorf("%s denied tokens, want %s", got, want)
	}
	if got, want := s.Value(t, `select count(*) from audit.log where action = 'logout'`), strconv.Itoa(rounds()); got != want {
		t.Errorf("%s audit rows, want %s", got, want)
	}
}

// Of a refresh and a logout at the same moment either may be first; afterwards no token works.
func TestRefreshAgainstLogout(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	for round := range rounds() {
		k := s.Login(t, ann)
		answers := together(2, func(i int) servertest.Answer {
			if i == 0 {
				return refresh(t, s, k.Refresh)
			}
			return s.Do(t, "POST", "/auth/v1/logout?scope=local", nil, k.Bearer())
		})
		if answers[1].Status != 204 || answers[0].Status != 200 && answers[0].Status != 401 {
			t.Fatalf("round %d: %d and %d", round, answers[0].Status, answers[1].Status)
		}
		if child := answers[0].Tokens(); child.Access != "" {
			expect(t, user(t, s, child), 401, "session_not_found")
			expect(t, refresh(t, s, child.Refresh), 401, "session_not_found")
		}
		expect(t, user(t, s, k), 401, "session_not_found")
	}
}

// Guesses at the same moment do not get round the delay.
func TestParallelGuessesAreSlowed(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t)
	s.CreateUser(t, ann)
	started := time.Now()
	for _, a := range together(20, func(int) servertest.Answer { return login(t, s, ann, "wrong") }) {
		if a.Status != 503 { // a machine that is busy with something else compares nothing
			expect(t, a, 400, "invalid_credentials")
		}
	}
	// Five are free, then the delay doubles from a second on: 1, 3, 7, 15 seconds after the fifth.
	free := 5
	for delay := time.Second; time.Since(started) > delay; delay = 2*delay + time.Second {
		free++
	}
	if counted, _ := strconv.Atoi(s.Value(t, `select max(failures) from auth.login_attempts where scope <> 'address'`)); counted < 5 || counted > free {
		t.Errorf("%d guesses were compared, not 5 to %d", counted, free)
	}
	s.Exec(t, `update auth.login_attempts set slowed_until = now() + interval '1 hour' where scope <> 'address'`)
	expect(t, login(t, s, ann, servertest.Password), 400, "invalid_credentials")
	s.Exec(t, `select auth.unlock_user($1)`, ann)
	expect(t, login(t, s, ann, servertest.Password), 200, "")
}
