package authn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
)

// Recovery codes are twenty hexadecimal digits, 80 random bits, in groups of five.
const (
	recoveryCodes     = 10
	recoveryCodeBytes = 10
)

// newRecoveryCode returns a code for people and the hash that is stored.
func newRecoveryCode() (code string, hash [sha256.Size]byte) {
	b := make([]byte, recoveryCodeBytes)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	digits := hex.EncodeToString(b)
	return digits[:5] + "-" + digits[5:10] + "-" + digits[10:15] + "-" + digits[15:], sha256.Sum256([]byte(digits))
}

// readRecoveryCode hashes a code as somebody typed it: case, hyphens and spaces do not matter.
func readRecoveryCode(typed string) (hash [sha256.Size]byte, ok bool) {
	digits := strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(typed))
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != recoveryCodeBytes {
		return hash, false
	}
	return sha256.Sum256([]byte(digits)), true
}

// recoveryCodes says how many codes the signed-in user has and how many are left.
func (h *Handler) recoveryCodes(c echo.Context, caller gateway.Caller) error {
	a, err := h.call(c, caller, sqlRecoveryCodes)
	if err != nil {
		return err
	}
	writeRaw(c.Response(), http.StatusOK, a.RecoveryCodes)
	return nil
}

// replaceRecoveryCodes makes ten new codes, shown in this answer only; all older ones are void. It needs aal2.
func (h *Handler) replaceRecoveryCodes(c echo.Context, caller gateway.Caller) error {
	if c.Request().ContentLength != 0 {
		if _, err := readBody(c, nil); err != nil {
			return err
		}
	}
	codes := make([]string, recoveryCodes)
	hashes := make([][]byte, recoveryCodes)
	for i := range codes {
		code, hash := newRecoveryCode()
		codes[i], hashes[i] = code, hex.AppendEncode([]byte(`"\\x`), hash[:])
		hashes[i] = append(hashes[i], '"')
	}
	array := append(append([]byte("{"), bytes.Join(hashes, []byte(","))...), '}')
	a, err := h.call(c, caller, sqlRecoveryCodesReplace, array)
	if err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, struct {
		Codes []string        `json:"codes"`
		State json.RawMessage `json:"recovery_codes"`
	}{codes, a.RecoveryCodes})
	return nil
}

// verifyRecoveryCode uses up a code in place of a factor and raises the session to aal2.
func (h *Handler) verifyRecoveryCode(c echo.Context, caller gateway.Caller) error {
	b, err := readBody(c, recoveryMembers)
	if err != nil {
		return err
	}
	a, err := h.call(c, caller, sqlRecoveryVerifyBegin)
	if err != nil {
		return slowed(a, err)
	}
	hash, ok := readRecoveryCode(text(b.Code))
	if !ok {
		hash = sha256.Sum256(nil) // of no code; the refusal is counted and recorded like any other
	}
	return h.stepUp(c, caller, a.Generation, func(generation, refreshHash, jti []byte) (string, [][]byte) {
		return sqlRecoveryVerifyFinish, [][]byte{byteaArg(hash[:]), generation, refreshHash, jti}
	})
}
