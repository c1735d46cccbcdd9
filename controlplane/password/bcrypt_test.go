package password

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// The hash of "correct horse" at cost 4, made by pgcrypto: crypt(..., gen_salt('bf', 4)).
const pgcryptoHash = "$2a$04$Dcjg/5X2yvHF//fFLfh1GOubV27Iv3/iov5Q2vlaIerpIzL/ufdK6"

func mustHash(t testing.TB, password string, cost int) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestCompare(t *testing.T) {
	t.Parallel()
	const word = "correct horse"
	hash := mustHash(t, word, 5)
	longest := strings.Repeat("k9", 36)
	as := func(prefix string) string { return prefix + hash[4:] }
	for name, tc := range map[string]struct {
		hash, password  string
		cost            int
		matched, rehash bool
	}{
		"right":                     {hash, word, 5, true, false},
		"wrong":                     {hash, word + "s", 5, false, false},
		"case":                      {hash, "Correct horse", 5, false, false},
		"trailing space":            {hash, word + " ", 5, false, false},
		"empty":                     {hash, "", 5, false, false},
		"pgcrypto":                  {pgcryptoHash, word, 4, true, false},
		"2b":                        {as("$2b$"), word, 5, true, false},
		"2y":                        {as("$2y$"), word, 5, true, false},
		"2y wrong":                  {as("$2y$"), "x", 5, false, false},
		"2x":                        {as("$2x$"), word, 5, false, false},
		"2":                         {"$2$" + hash[4:], word, 5, false, false},
		"2c":                        {as("$2c$"), word, 5, false, false},
		"1a":                        {as("$1a$"), word, 5, false, false},
		"text behind":               {hash + "x", word, 5, false, false},
		"newline behind":            {hash + "\n", word, 5, false, false},
		"cut":                       {hash[:59], word, 5, false, false},
		"salt not radix 64":         {hash[:10] + "=" + hash[11:], word, 5, false, false},
		"hash not radix 64":         {hash[:59] + "\x00", word, 5, false, false},
		"no user":                   {"", word, 5, false, false},
		"no user, no password":      {"", "", 5, false, false},
		"the dummy itself":          {string(dummy(5)), word, 5, false, false},
		"cost rose":                 {hash, word, 6, true, true},
		"cost rose, wrong":          {hash, "x", 6, false, false},
		"cost rose twice":           {pgcryptoHash, word, 6, true, true},
		"cost fell":                 {hash, word, 4, true, false},
		"cost 3":                    {hash[:4] + "03" + hash[6:], word, 5, false, false},
		"cost 17":                   {hash[:4] + "17" + hash[6:], word, 5, false, false},
		"cost 99":                   {hash[:4] + "99" + hash[6:], word, 5, false, false},
		"cost with sign":            {hash[:4] + "+5" + hash[6:], word, 5, false, false},
		"cost with space":           {hash[:4] + " 5" + hash[6:], word, 5, false, false},
		"72 bytes":                  {mustHash(t, longest, 4), longest, 4, true, false},
		"73 bytes, same start":      {mustHash(t, longest, 4), longest + "x", 4, false, false},
		"1 MB, same start":          {mustHash(t, longest, 4), longest + strings.Repeat("x", 1<<20), 4, false, false},
		"NUL behind":                {hash, word + "\x00", 5, false, false},
		"NUL is part of the stored": {mustHash(t, "a\x00b", 4), "a\x00b", 4, false, false},
		"not utf-8":                 {mustHash(t, "\xff\xfe", 4), "\xff\xfe", 4, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if matched, rehash := compare(tc.hash, tc.password, tc.cost); matched != tc.matched || rehash != tc.rehash {
				t.Errorf("got %t %t", matched, rehash)
			}
		})
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "correct horse", strings.Repeat("é", 36)} {
		hash, err := generate(password, 4)
		if err != nil || !strings.HasPrefix(hash, "$2a$04$") || len(hash) != 60 {
			t.Fatalf("got %q %v", hash, err)
		}
		if matched, _ := compare(hash, password, 4); !matched {
			t.Errorf("%q does not match its hash", password)
		}
	}
}

// Whatever is stored, the work is that of the configured cost: 2^cost.
func TestStepsCostTheSame(t *testing.T) {
	t.Parallel()
	for _, cost := range []int{4, 10, MaxCost} {
		none := map[string]string{
			"no user": "", "other format": "{SSHA}abc", "2x": "$2x$04$" + dummyTail,
			"cost 3": string(dummy(3)), "cost 17": string(dummy(17)), "cost 0:": "$2a$0:$" + dummyTail,
			"salt": "$2a$04$=" + dummyTail[1:], "NUL": "$2a$04$" + dummyTail[:52] + "\x00", "longer": string(dummy(4)) + "a",
		}
		for name, hash := range none {
			if all := steps(hash, cost); len(all) != 1 || !bytes.Equal(all[0], dummy(cost)) {
				t.Errorf("%s at cost %d: compared with %q", name, cost, all)
			}
		}
		for stored := MinCost; stored <= maxStoredCost; stored++ {
			hash := dummy(stored)
			all := steps(string(hash), cost)
			if !bytes.Equal(all[0], hash) {
				t.Errorf("cost %d is not compared with itself", stored)
			}
			work := 0
			for _, step := range all {
				c, err := bcrypt.Cost(step)
				if err != nil {
					t.Fatal(err)
				}
				work += 1 << c
			}
			if want := max(1<<cost, 1<<stored); work != want {
				t.Errorf("stored %d at cost %d: %d units of work, want %d", stored, cost, work, want)
			}
		}
	}
}

// The library refuses some hashes before any work: never the dummy.
func TestDummyIsWellFormed(t *testing.T) {
	t.Parallel()
	if err := bcrypt.CompareHashAndPassword(dummy(4), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Error(err)
	}
	if cost, ok := costOf(string(dummy(4))); cost != 4 || !ok {
		t.Errorf("got %d %t", cost, ok)
	}
}
