package rest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// sqlstateRaise is the SQLSTATE with which a function says all of an answer itself.
const sqlstateRaise = "PGRST"

// raisedMessage is the JSON in the message of such an error.
type raisedMessage struct {
	Code    *string `json:"code"`
	Message *string `json:"message"`
	Details string  `json:"details"`
	Hint    string  `json:"hint"`
}

// raisedDetail is the JSON in its detail.
type raisedDetail struct {
	Status  *int               `json:"status"`
	Headers map[string]*string `json:"headers"`
}

// raised is the answer that an error of SQLSTATE PGRST asks for. detail says whether a refusal of it may quote it.
func raised(err *pgconn.PgError, detail Detail) *fault.Error {
	var message raisedMessage
	if json.Unmarshal([]byte(err.Message), &message) != nil || message.Code == nil || message.Message == nil {
		return errRaise(detail, "Invalid JSON value for MESSAGE: '"+err.Message+"'",
			"MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'.")
	}
	const hint = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
	if err.Detail == "" {
		return errRaise(detail, "DETAIL is missing in the RAISE statement", hint)
	}
	if len(err.Detail) > maxOwnHeaderBytes {
		return errRaise(detail, "DETAIL is longer than "+strconv.Itoa(maxOwnHeaderBytes)+" bytes", hint)
	}
	var says raisedDetail
	if json.Unmarshal([]byte(err.Detail), &says) != nil || says.Status == nil || !isFinal(*says.Status) || says.Headers == nil || len(says.Headers) > maxOwnHeaders {
		return errRaise(detail, "Invalid JSON value for DETAIL: '"+err.Detail+"'", hint)
	}
	e := &fault.Error{Status: *says.Status, Code: *message.Code, Message: *message.Message, Details: message.Details, Hint: message.Hint}
	for name, value := range says.Headers {
		if value == nil || !isToken(name) || !isFieldValue(*value) {
			return errRaise(detail, "Invalid JSON value for DETAIL: '"+err.Detail+"'", hint)
		}
		e.Own = append(e.Own, fault.Header{Name: http.CanonicalHeaderKey(name), Value: *value})
	}
	return e
}

// errRaise reports an error of SQLSTATE PGRST that is not what it should be.
func errRaise(detail Detail, details, hint string) *fault.Error {
	e := &fault.Error{Status: http.StatusInternalServerError, Code: "PGRST121", Reason: details,
		Message: `Could not parse JSON in the "RAISE SQLSTATE 'PGRST'" error`}
	if detail == DetailFull {
		e.Details, e.Hint = details, hint
	}
	return e
}
