package totp_test

import (
	"bytes"
	"encoding/base32"
	"encoding/xml"
	"errors"
	"image"
	_ "image/png"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"

	"github.com/wayli-app/fluxbase/controlplane/totp"
)

// rfcSecret is that of RFC 6238 appendix B; its codes have eight digits, of which these are the last six.
var rfcSecret = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte("12345678901234567890"))

func TestCheckKnowsTheVectorsOfTheRFC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		unix int64
		code string
	}{{59, "287082"}, {1111111109, "081804"}, {1111111111, "050471"}, {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}} {
		for _, late := range []int64{-30, 0, 30} {
			step, ok, err := totp.Check(rfcSecret, c.code, time.Unix(c.unix+late, 0))
			if err != nil || !ok || step != c.unix/30 {
				t.Errorf("%s at %d%+d: step %d, %v, %v", c.code, c.unix, late, step, ok, err)
			}
		}
		for _, late := range []int64{-90, -60, 60, 90} {
			if c.unix+late < 0 {
				continue // before the first step
			}
			if _, ok, _ := totp.Check(rfcSecret, c.code, time.Unix(c.unix+late, 0)); ok {
				t.Errorf("%s is good at %d%+d", c.code, c.unix, late)
			}
		}
	}
}

func TestCheckTakesSixASCIIDigitsOnly(t *testing.T) {
	t.Parallel()
	now := time.Unix(59, 0)
	for _, code := range []string{"", " 287082", "287082 ", "287082\n", "287 82", "28708", "2870820", "28708a", "+87082", "２８７０８２", "٢٨٧٠٨٢", "287082\x00"} {
		if _, ok, err := totp.Check(rfcSecret, code, now); ok || !errors.Is(err, totp.ErrCode) {
			t.Errorf("%q: %v, %v", code, ok, err)
		}
	}
	if _, ok, err := totp.Check(rfcSecret, "287083", now); ok || err != nil {
		t.Errorf("a wrong code: %v, %v", ok, err)
	}
	if _, ok, err := totp.Check("not base32!", "287082", now); ok || err == nil || strings.Contains(err.Error(), "base32!") {
		t.Errorf("a broken secret: %v, %v", ok, err)
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	secret := totp.NewSecret()
	if len(secret) != 32 || totp.NewSecret() == secret {
		t.Fatalf("secret %s", secret)
	}
	k, err := totp.NewKey(secret, "Acme & Söhne", "ann+1@example.com")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(k.URI)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Acme & Söhne:ann+1@example.com" || q.Get("secret") != secret ||
		q.Get("issuer") != "Acme & Söhne" || q.Get("digits") != "6" || q.Get("period") != "30" || q.Get("algorithm") != "SHA1" || k.Secret != secret {
		t.Errorf("URI %s", k.URI)
	}
	if _, err := totp.NewKey(secret, "Acme&secret=AAAA", "ann@example.com"); err != nil {
		t.Error(err)
	}
	for _, c := range [][3]string{{secret, "", "a"}, {secret, "a", ""}, {"no!", "a", "b"}, {"", "a", "b"}, {secret, "a:b", "c"}, {secret, "a", "b:c"}} {
		if _, err := totp.NewKey(c[0], c[1], c[2]); err == nil {
			t.Errorf("accepted %q", c)
		}
	}
}

// Both pictures show the same modules as the code itself.
func TestPictures(t *testing.T) {
	t.Parallel()
	k, err := totp.NewKey(rfcSecret, "Acme", "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(k.URI, qr.M, qr.Auto)
	if err != nil {
		t.Fatal(err)
	}
	size := code.Bounds().Dx()
	svg, err := k.SVG()
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
	}
	if strings.ContainsAny(svg, "#%\n") {
		t.Error("the SVG cannot be put into a data URI as it is")
	}
	drawn := map[[2]int]bool{}
	for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(svg, -1) {
		x, _ := strconv.Atoi(m[1])
		y, _ := strconv.Atoi(m[2])
		n, _ := strconv.Atoi(m[3])
		for i := range n {
			drawn[[2]int{x + i - 4, y - 4}] = true
		}
	}
	for y := range size {
		for x := range size {
			r, _, _, _ := code.At(x, y).RGBA()
			if drawn[[2]int{x, y}] != (r == 0) {
				t.Fatalf("module %d, %d differs", x, y)
			}
		}
	}
	uri, err := k.SVGDataURI()
	rest, found := strings.CutPrefix(uri, "data:image/svg+xml;utf-8,")
	if plain, unescaped := url.PathUnescape(rest); err != nil || !found || unescaped != nil || plain != svg {
		t.Errorf("data URI %s, %v", uri, err)
	}
	picture, err := k.PNG()
	if err != nil {
		t.Fatal(err)
	}
	if config, form, err := image.DecodeConfig(bytes.NewReader(picture)); err != nil || form != "png" || config.Width != 256 || config.Height != 256 {
		t.Errorf("PNG: %s %v %v", form, config, err)
	}
	if uri, err := k.PNGDataURI(); err != nil || !strings.HasPrefix(uri, "data:image/png;base64,iVBOR") {
		t.Errorf("data URI %.60s, %v", uri, err)
	}
}
