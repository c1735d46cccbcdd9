package totp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/png"
	"net/url"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quietZone is the margin that a reader needs, in modules (ISO/IEC 18004 section 6.3.8).
const quietZone = 4

// SVG draws the URI as a QR code: one path, black on white, without references to anything outside.
func (k *Key) SVG() (string, error) {
	code, err := qr.Encode(k.URI, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("totp: QR code: %w", err)
	}
	bounds := code.Bounds()
	size := bounds.Dx()
	var path strings.Builder
	for y := range size {
		for x := 0; x < size; x++ {
			from := x
			for x < size && isDark(code.At(bounds.Min.X+x, bounds.Min.Y+y).RGBA()) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quietZone, y+quietZone, x-from, x-from)
			}
		}
	}
	// Colors by name: a hash would end a data URI that somebody makes of this without escaping it.
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[1]d" width="%[2]d" height="%[2]d"`+
		` shape-rendering="crispEdges"><rect width="%[1]d" height="%[1]d" fill="white"/><path fill="black" d="%[3]s"/></svg>`,
		size+2*quietZone, 4*(size+2*quietZone), path.String()), nil
}

func isDark(r, _, _, _ uint32) bool { return r < 0x8000 }

// SVGDataURI is SVG as the src of an image.
func (k *Key) SVGDataURI() (string, error) {
	svg, err := k.SVG()
	if err != nil {
		return "", err
	}
	return "data:image/svg+xml;utf-8," + url.PathEscape(svg), nil
}

// PNG draws the URI as a QR code of 256 by 256 pixels.
func (k *Key) PNG() ([]byte, error) {
	picture, err := k.key.Image(256, 256)
	if err != nil {
		return nil, fmt.Errorf("totp: QR code: %w", err)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, picture); err != nil {
		return nil, fmt.Errorf("totp: QR code: %w", err)
	}
	return b.Bytes(), nil
}

// PNGDataURI is PNG as the src of an image.
func (k *Key) PNGDataURI() (string, error) {
	b, err := k.PNG()
	if err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(b), nil
}
