package authn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"
)

// Limits of a request body.
const (
	maxBodyBytes    = 64 << 10
	maxNesting      = 20
	maxMembers      = 1000 // of one object
	maxNumberLength = 64   // characters
	maxExponent     = 300
)

// body is what the auth routes accept; each route lists the members that it takes.
type body struct {
	Email        *string         `json:"email"`
	Phone        *string         `json:"phone"`
	Password     *string         `json:"password"`
	RefreshToken *string         `json:"refresh_token"`
	Data         json.RawMessage `json:"data"`

	CurrentPassword *string `json:"current_password"`

	// Of second factors.
	FactorType   *string `json:"factor_type"`
	FriendlyName *string `json:"friendly_name"`
	Issuer       *string `json:"issuer"`
	ChallengeID  *string `json:"challenge_id"`
	FactorID     *string `json:"factorId"`
	Code         *string `json:"code"`

	// Of mailed links and codes.
	CodeChallenge       *string `json:"code_challenge"`
	CodeChallengeMethod *string `json:"code_challenge_method"`
	Nonce               *string `json:"nonce"`
	CreateUser          *bool   `json:"create_user"`
	Type                *string `json:"type"`
	Token               *string `json:"token"`
	TokenHash           *string `json:"token_hash"`
	NewEmail            *string `json:"new_email"`

	MetaSecurity json.RawMessage `json:"gotrue_meta_security"` // see checkCaptcha

	// What clients of Supabase send and nothing here acts on. They are known, so they are checked for their type.
	Channel      *string         `json:"channel"`
	Options      json.RawMessage `json:"options"`
	RedirectTo   *string         `json:"redirect_to"`
	RedirectToJS *string         `json:"redirectTo"`

	// Of flows with a code challenge.
	AuthCode     *string `json:"auth_code"`
	CodeVerifier *string `json:"code_verifier"`

	// Of ID tokens.
	Provider     *string `json:"provider"`
	IDToken      *string `json:"id_token"`
	AccessToken  *string `json:"access_token"`
	LinkIdentity *bool   `json:"link_identity"`
}

// The members of each route.
var (
	signupMembers  = []string{"email", "phone", "password", "data", "channel", "gotrue_meta_security", "code_challenge", "code_challenge_method"}
	loginMembers   = []string{"email", "phone", "password", "gotrue_meta_security"}
	refreshMembers = []string{"refresh_token"}
	idTokenMembers = []string{"provider", "id_token", "access_token", "nonce", "link_identity", "gotrue_meta_security"}
	recoverMembers = []string{"email", "gotrue_meta_security", "code_challenge", "code_challenge_method"}
	otpMembers     = []string{"email", "phone", "data", "create_user", "channel", "gotrue_meta_security", "code_challenge", "code_challenge_method"}
	resendMembers  = []string{"email", "phone", "type", "gotrue_meta_security", "code_challenge", "code_challenge_method"}
	mailedMembers  = []string{"type", "email", "phone", "token", "token_hash", "options", "redirect_to", "gotrue_meta_security"}
	inviteMembers  = []string{"email", "data"}
	linkMembers    = []string{"type", "email", "new_email", "password", "data", "redirect_to", "redirectTo"}
	flowMembers    = []string{"auth_code", "code_verifier"}
	updateMembers  = []string{"email", "phone", "password", "data", "channel", "nonce", "current_password", "code_challenge", "code_challenge_method"}

	enrollMembers    = []string{"factor_type", "friendly_name", "issuer", "phone"}
	challengeMembers = []string{"factorId", "channel"} // the former is what clients of Supabase repeat from the path
	verifyMembers    = []string{"challenge_id", "code"}
	recoveryMembers  = []string{"code"}
)

func badJSON(message string) *Error { return badRequest("bad_json", message) }

// readBody reads the body of a route into the members that most of them share.
func readBody(c echo.Context, members []string) (*body, error) {
	b := new(body)
	if err := readDocument(c, members, b); err != nil {
		return nil, err
	}
	return b, nil
}

// readDocument reads the one JSON document of a request into a struct. Only the members listed may be there, each once
// and spelled exactly; what different readers of JSON read differently is refused (RFC 8259 sections 4, 6 and 8).
func readDocument(c echo.Context, members []string, into any) error {
	r := c.Request()
	if err := checkContentType(r.Header); err != nil {
		return err
	}
	text, err := io.ReadAll(http.MaxBytesReader(c.Response(), r.Body, maxBodyBytes))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return &Error{Status: http.StatusRequestEntityTooLarge, Code: "bad_json", Message: "The request body is too large"}
		}
		return badJSON("The request body could not be read")
	}
	if err := checkDocument(text, members); err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return badJSON("The member " + wrong.Field + " is of the wrong type")
		}
		return badJSON("The request body is not valid JSON")
	}
	return nil
}

// checkContentType accepts application/json, with charset=utf-8 or without, and nothing else.
func checkContentType(h http.Header) error {
	refused := &Error{Status: http.StatusUnsupportedMediaType, Code: "bad_json", Message: "The content type must be application/json"}
	values := h.Values("Content-Type")
	if len(values) != 1 || len(h.Values("Content-Encoding")) != 0 {
		return refused
	}
	kind, parameters, err := mime.ParseMediaType(values[0])
	if err != nil || kind != "application/json" {
		return refused
	}
	for name, value := range parameters {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return refused
		}
	}
	return nil
}

// checkDocument makes sure that text is one JSON object with only these members which every reader reads alike.
func checkDocument(text []byte, members []string) error {
	if !utf8.Valid(text) {
		return badJSON("The request body is not valid UTF-8")
	}
	if err := checkEscapes(text); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return badJSON("The request body must be a JSON object")
	}
	w := walker{Decoder: d}
	if err := w.object(1, func(name string) error { return checkMember(name, members) }); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return badJSON("The request body must be one JSON document")
	}
	return nil
}

// checkMember accepts a name of the list. The name itself is not repeated in the error: it may be a misplaced secret.
func checkMember(name string, members []string) error {
	for _, m := range members {
		if name == m {
			return nil
		}
		if strings.EqualFold(name, m) {
			return badJSON("The member " + m + " is spelled in another case")
		}
	}
	return badJSON("The request body has an unknown member; known are " + strings.Join(members, ", "))
}

// walker visits a document token by token.
type walker struct{ *json.Decoder }

// object visits the members of an object whose brace has been read.
func (w walker) object(depth int, check func(name string) error) error {
	if depth > maxNesting {
		return badJSON("The request body is nested too deeply")
	}
	seen := map[string]struct{}{}
	for w.More() {
		token, err := w.Token()
		if err != nil {
			return badJSON("The request body is not valid JSON")
		}
		name, ok := token.(string)
		if !ok {
			return badJSON("The request body is not valid JSON")
		}
		if _, twice := seen[name]; twice {
			return badJSON("The request body has a member twice")
		}
		if seen[name] = struct{}{}; len(seen) > maxMembers {
			return badJSON("The request body has too many members in one object")
		}
		if check != nil {
			if err := check(name); err != nil {
				return err
			}
		}
		if err := w.value(depth); err != nil {
			return err
		}
	}
	return w.end()
}

func (w walker) array(depth int) error {
	if depth > maxNesting {
		return badJSON("The request body is nested too deeply")
	}
	for w.More() {
		if err := w.value(depth); err != nil {
			return err
		}
	}
	return w.end()
}

func (w walker) value(depth int) error {
	token, err := w.Token()
	switch {
	case err != nil:
		return badJSON("The request body is not valid JSON")
	case token == json.Delim('{'):
		return w.object(depth+1, nil)
	case token == json.Delim('['):
		return w.array(depth + 1)
	}
	if number, ok := token.(json.Number); ok && !fitsNumeric(string(number)) {
		return badJSON("The request body has a number that is out of range")
	}
	return nil
}

// end reads the closing bracket.
func (w walker) end() error {
	if _, err := w.Token(); err != nil {
		return badJSON("The request body is not valid JSON")
	}
	return nil
}

// fitsNumeric keeps numbers where both a float64 and PostgreSQL's numeric can hold them.
func fitsNumeric(number string) bool {
	if len(number) > maxNumberLength {
		return false
	}
	_, exponent, found := strings.Cut(strings.ToLower(number), "e")
	if !found {
		return true
	}
	n, err := strconv.Atoi(exponent)
	return err == nil && n >= -maxExponent && n <= maxExponent
}

// checkEscapes refuses U+0000, which PostgreSQL cannot store, and halves of surrogate pairs, which Go replaces and
// jsonb refuses. A backslash stands in strings only; where it does not, the document is refused later.
func checkEscapes(text []byte) error {
	const high, low, end = 0xd800, 0xdc00, 0xe000
	refused := badJSON("The request body has an escape that is no character")
	for i := bytes.IndexByte(text, '\\'); i >= 0 && i < len(text); {
		unit, ok := escapedUnit(text[i:])
		switch {
		case ok && (unit == 0 || unit >= low && unit < end):
			return refused
		case ok && unit >= high && unit < low:
			second, ok := escapedUnit(text[i+6:])
			if !ok || second < low || second >= end {
				return refused
			}
			i += 12
		default:
			i += 2 // whatever is escaped, a backslash included, is part of this escape
		}
		if i >= len(text) {
			break
		}
		next := bytes.IndexByte(text[i:], '\\')
		if next < 0 {
			break
		}
		i += next
	}
	return nil
}

// escapedUnit reads \uXXXX at the start of text.
func escapedUnit(text []byte) (unit uint64, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return unit, err == nil
}

// metadata returns the member data as an argument.
func (b *body) metadata() ([]byte, error) { return objectArg(b.Data, "data") }

// objectArg returns an object of the body as it goes to PostgreSQL: decoded and encoded again, so that not a byte of the
// request travels. It is nil when the client sent none.
func objectArg(raw json.RawMessage, name string) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var members map[string]any
	if err := d.Decode(&members); err != nil {
		return nil, badJSON("The member " + name + " must be an object")
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, badJSON("The member " + name + " must be an object")
	}
	return text, nil
}

// text returns a member that may be absent, null or empty, which is all the same.
func text(member *string) string {
	if member == nil {
		return ""
	}
	return *member
}
