package token

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkVerifyCold(b *testing.B) {
	g := newGate(b)
	text, _, err := g.signer.Sign([]byte(fragment), mustUUID(testJTI), time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	keys := g.ring.current.Load()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := testRules.verify(keys, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyCached(b *testing.B) {
	g := newGate(b)
	texts := make([]string, 1000)
	for i := range texts {
		jti := mustUUID(testJTI)
		jti[0], jti[1] = byte(i), byte(i>>8)
		var err error
		if texts[i], _, err = g.signer.Sign([]byte(fragment), jti, time.Minute); err != nil {
			b.Fatal(err)
		}
		if _, err := g.verifier.Verify(texts[i]); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range []int{1, len(texts)} {
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := g.verifier.Verify(texts[i%n]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkVerifyForged(b *testing.B) {
	g := newGate(b)
	text := forge(testSecret+"x", testHeader, payload("", ""))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.verifier.Verify(text); err == nil {
			b.Fatal("accepted")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	g := newGate(b)
	jti := mustUUID(testJTI)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := g.signer.Sign([]byte(fragment), jti, time.Minute); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRefresh(b *testing.B) {
	r := newRefresh(b, testSecret)
	text, _ := r.Mint(mustUUID(testSess), 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := r.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
