package authn

import (
	"encoding/json"
	"net/http/httptest"
	"reflect"
	"testing"
	"time"
)

func TestErrorForms(t *testing.T) {
	t.Parallel()
	e := &Error{Status: 422, Code: "weak_password", Message: "Too short.", Reasons: []string{"length"},
		RetryAfter: 1500 * time.Millisecond, Challenge: `realm="x"`}
	weak := map[string]any{"reasons": []any{"length"}}
	legacy := map[string]any{"code": 422.0, "error_code": "weak_password", "msg": "Too short.", "weak_password": weak}
	codes := map[string]any{"code": "weak_password", "message": "Too short.", "weak_password": weak}
	for version, want := range map[string]map[string]any{
		"":           legacy,
		"2023-12-31": legacy,
		"2024-01-01": codes,
		"2031-07-09": codes,
		"2024-13-01": legacy,
		"9999":       legacy,
		"tomorrow":   legacy,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Supabase-Api-Version", version)
		w := httptest.NewRecorder()
		e.Write(w, r)
		var got map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) || w.Code != 422 {
			t.Errorf("%q: %d %s", version, w.Code, w.Body)
		}
		confirmed := ""
		if _, ok := want["message"]; ok {
			confirmed = "2024-01-01"
		}
		if got := w.Header().Get("X-Supabase-Api-Version"); got != confirmed {
			t.Errorf("%q: answered version %q", version, got)
		}
		if h := w.Header(); h.Get("Retry-After") != "2" || h.Get("WWW-Authenticate") != `Bearer realm="x"` ||
			h.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("headers %v", h)
		}
	}
}

// Statuses and codes as Supabase Auth documents them; a dead session is 401.
func TestStatusErrors(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]int{
		"invalid_credentials": 400, "email_not_confirmed": 400, "validation_failed": 400, "refresh_token_not_found": 400,
		"refresh_token_already_used": 400, "session_expired": 400, "user_banned": 400, "session_not_found": 401,
		"user_already_exists": 422, "email_exists": 422, "signup_disabled": 422, "otp_expired": 403, "over_email_send_rate_limit": 429,
	} {
		_, err := readAnswer([]byte(`{"status":"` + status + `"}`))
		e, ok := err.(*Error)
		if !ok || e.Status != want || e.Code != status || e.Message == "" {
			t.Errorf("%s: %+v", status, err)
		}
	}
	for _, text := range []string{`{"status":"other"}`, `{}`, ``, `null`, `[]`} {
		if _, err := readAnswer([]byte(text)); err == nil {
			t.Errorf("%q is ok", text)
		} else if _, ok := err.(*Error); ok {
			t.Errorf("%q is a refusal: %v", text, err)
		}
	}
}
