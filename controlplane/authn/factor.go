package authn

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/seal"
	"github.com/wayli-app/fluxbase/controlplane/totp"
)

const typeTOTP = "totp"

// maxStepUps is how often a step up is tried again when the session was refreshed in the middle of it.
const maxStepUps = 5

// secretOf is where the secret of a factor is stored.
func secretOf(factor uuid.UUID) seal.Place {
	return seal.Place{Table: "auth.mfa_factors", Column: "secret", Row: factor.String()}
}

// factors lists the factors of the signed-in user.
func (h *Handler) factors(c echo.Context, caller gateway.Caller) error {
	a, err := h.call(c, caller, sqlFactors)
	if err != nil {
		return err
	}
	writeRaw(c.Response(), http.StatusOK, a.Factors)
	return nil
}

// enrollment is the answer to a new factor, the only one that holds its secret. Clients of Supabase make a data URI
// of qr_code themselves.
type enrollment struct {
	ID           uuid.UUID      `json:"id"`
	Type         string         `json:"type"`
	FriendlyName string         `json:"friendly_name"`
	TOTP         enrollmentTOTP `json:"totp"`
}

type enrollmentTOTP struct {
	QRCode    string `json:"qr_code"`     // SVG
	QRCodeURI string `json:"qr_code_uri"` // the same as a data URI
	QRCodePNG string `json:"qr_code_png"` // a data URI
	Secret    string `json:"secret"`
	URI       string `json:"uri"`
}

// enrollFactor makes a factor. It counts for nothing until a code of it was verified.
func (h *Handler) enrollFactor(c echo.Context, caller gateway.Caller) error {
	b, err := readBody(c, enrollMembers)
	if err != nil {
		return err
	}
	switch kind := text(b.FactorType); kind {
	case typeTOTP:
	case "phone", "webauthn":
		return unprocessable("mfa_"+kind+"_enroll_not_enabled", "MFA enroll is disabled for factors of this type")
	default:
		return badRequest("validation_failed", "factor_type needs to be totp")
	}
	if h.Sealer == nil {
		return errNoSealer
	}
	issuer := text(b.Issuer)
	if issuer == "" {
		issuer = h.Settings().MFAIssuer
	}
	id, secret := uuid.New(), totp.NewSecret()
	if _, err := totp.NewKey(secret, issuer, "account"); err != nil || len(issuer) > 128 {
		return badRequest("validation_failed", "The issuer has at most 128 bytes and no colon")
	}
	a, err := h.call(c, caller, sqlFactorEnroll, uuidArg(id), []byte(typeTOTP), optionalArg(text(b.FriendlyName)),
		[]byte(h.Sealer.Seal(secretOf(id), []byte(secret))))
	if err != nil {
		return err
	}
	if a.Factor == nil {
		return errors.New("the answer of factor_enroll has no factor")
	}
	answer, err := enrolled(a, secret, issuer)
	if err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, answer)
	return nil
}

func enrolled(a *answer, secret, issuer string) (*enrollment, error) {
	key, err := totp.NewKey(secret, issuer, a.Account)
	if err != nil {
		return nil, err
	}
	e := &enrollment{ID: a.Factor.ID, Type: a.Factor.Type, FriendlyName: a.Factor.FriendlyName,
		TOTP: enrollmentTOTP{Secret: key.Secret, URI: key.URI}}
	if e.TOTP.QRCode, err = key.SVG(); err != nil {
		return nil, err
	}
	if e.TOTP.QRCodeURI, err = key.SVGDataURI(); err != nil {
		return nil, err
	}
	e.TOTP.QRCodePNG, err = key.PNGDataURI()
	return e, err
}

// challengeFactor begins a verification.
func (h *Handler) challengeFactor(c echo.Context, caller gateway.Caller) error {
	id, err := factorID(c)
	if err != nil {
		return err
	}
	if c.Request().ContentLength != 0 {
		b, err := readBody(c, challengeMembers)
		if err != nil {
			return err
		}
		if b.FactorID != nil && *b.FactorID != id.String() {
			return badRequest("validation_failed", "factorId is not the factor of the path")
		}
	}
	a, err := h.call(c, caller, sqlFactorChallenge, uuidArg(id))
	if err != nil {
		return err
	}
	writeRaw(c.Response(), http.StatusOK, a.Challenge)
	return nil
}

// verifyFactor checks a code and raises the session to aal2; the answer has its new tokens. The attempt is counted in
// PostgreSQL before the code is looked at, and PostgreSQL decides that a code is used once.
func (h *Handler) verifyFactor(c echo.Context, caller gateway.Caller) error {
	id, err := factorID(c)
	if err != nil {
		return err
	}
	b, err := readBody(c, verifyMembers)
	if err != nil {
		return err
	}
	challenge, ok := canonicalID(text(b.ChallengeID))
	if !ok {
		return badRequest("validation_failed", "challenge_id is not an id")
	}
	if h.Sealer == nil {
		return errNoSealerVerify
	}
	a, err := h.call(c, caller, sqlFactorVerifyBegin, uuidArg(id), uuidArg(challenge))
	if err != nil {
		return slowed(a, err)
	}
	sealed := a.Secret
	secret, stale, err := h.Sealer.Open(secretOf(id), sealed)
	if err != nil {
		return fmt.Errorf("open the secret of factor %s: %w", id, err)
	}
	step, ok, err := totp.Check(string(secret), text(b.Code), h.Clock())
	if err != nil && !errors.Is(err, totp.ErrCode) {
		return fmt.Errorf("factor %s: %w", id, err)
	}
	var stepArg, renewed []byte
	if ok {
		stepArg = intArg(step)
	}
	if ok && stale {
		renewed = []byte(h.Sealer.Seal(secretOf(id), secret))
	}
	return h.stepUp(c, caller, a.Generation, func(generation, refreshHash, jti []byte) (string, [][]byte) {
		return sqlFactorVerifyFinish, [][]byte{uuidArg(id), uuidArg(challenge), stepArg, []byte(sealed), renewed, generation, refreshHash, jti}
	})
}

// stepUp ends a verification: the entry point decides and, if the factor was shown, the answer has new tokens of the
// same session. The refresh token is made for a generation, so a refresh in between makes it begin again.
func (h *Handler) stepUp(c echo.Context, caller gateway.Caller, generation int64,
	finish func(generation, refreshHash, jti []byte) (sql string, args [][]byte)) error {
	for range maxStepUps {
		_, refreshHash := h.Refresh.Mint(caller.SessionID, generation+2) // as fluxbase.step_up counts
		sql, args := finish(intArg(generation), byteaArg(refreshHash[:]), uuidArg(uuid.New()))
		a, err := h.call(c, caller, sql, args...)
		switch {
		case a != nil && a.Status == "generation_changed":
			generation = a.Generation
			continue
		case err != nil:
			return err
		}
		return h.sendSession(c, a.Session)
	}
	return errBusy
}

// unenrollFactor removes a factor; a verified one only at aal2.
func (h *Handler) unenrollFactor(c echo.Context, caller gateway.Caller) error {
	id, err := factorID(c)
	if err != nil {
		return err
	}
	if _, err := h.call(c, caller, sqlFactorUnenroll, uuidArg(id)); err != nil {
		return err
	}
	WriteJSON(c.Response(), http.StatusOK, struct {
		ID uuid.UUID `json:"id"`
	}{id})
	return nil
}

// factorID is the id in the path; what is no id is no factor.
func factorID(c echo.Context) (uuid.UUID, error) {
	id, ok := canonicalID(c.Param("id"))
	if !ok {
		return uuid.Nil, errFactorNotFound
	}
	return id, nil
}

// slowed adds to a refusal how long to wait, if the answer says so.
func slowed(a *answer, err error) error {
	var refusal *Error
	if a == nil || a.RetryAfter <= 0 || !errors.As(err, &refusal) {
		return err
	}
	timed := *refusal
	timed.RetryAfter = time.Duration(a.RetryAfter) * time.Second
	return &timed
}
