package rest

import (
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// Detail decides how much of PostgreSQL's own text reaches the client (setting rest.error_detail).
// The SQLSTATE and the status always do.
type Detail string

// The levels of detail.
const (
	DetailFull    Detail = "full"    // message, detail and hint, as PostgREST answers
	DetailMessage Detail = "message" // the message, unless it is about the inside of the server
	DetailCode    Detail = "code"    // a fixed message
)

// statusByCode and statusByClass map SQLSTATEs to HTTP as PostgREST does; what is in neither is 400.
var (
	statusByCode = map[string]int{
		"21000": http.StatusInternalServerError,
		"23503": http.StatusConflict,
		"23505": http.StatusConflict,
		"25006": http.StatusMethodNotAllowed,
		"42883": http.StatusNotFound,
		"42P01": http.StatusNotFound,
		"42P17": http.StatusInternalServerError,
		"53400": http.StatusInternalServerError,
		"57P01": http.StatusServiceUnavailable,
		"P0001": http.StatusBadRequest,
	}
	statusByClass = map[string]int{
		"08": http.StatusServiceUnavailable,
		"09": http.StatusInternalServerError,
		"0L": http.StatusForbidden,
		"0P": http.StatusForbidden,
		"25": http.StatusInternalServerError,
		"28": http.StatusForbidden,
		"2D": http.StatusInternalServerError,
		"38": http.StatusInternalServerError,
		"39": http.StatusInternalServerError,
		"3B": http.StatusInternalServerError,
		"40": http.StatusInternalServerError,
		"53": http.StatusServiceUnavailable,
		"54": http.StatusInternalServerError,
		"55": http.StatusInternalServerError,
		"57": http.StatusInternalServerError,
		"58": http.StatusInternalServerError,
		"F0": http.StatusInternalServerError,
		"HV": http.StatusInternalServerError,
		"P0": http.StatusInternalServerError,
		"XX": http.StatusInternalServerError,
	}
)

// statusOf maps an SQLSTATE to HTTP. anonymous tells that the caller showed neither token nor key:
// who lacks a right may then still sign in.
func statusOf(code string, anonymous bool) int {
	if code == "42501" {
		if anonymous {
			return http.StatusUnauthorized
		}
		return http.StatusForbidden
	}
	if status, ok := statusByCode[code]; ok {
		return status
	}
	if len(code) != 5 {
		return http.StatusInternalServerError
	}
	if status, ok := statusByClass[code[:2]]; ok {
		return status
	}
	if code[:2] == "PT" {
		// raise sqlstate 'PT402': the function chooses the status.
		if status, err := strconv.Atoi(code[2:]); err == nil && status >= 200 && status <= 599 {
			return status
		}
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// fromPostgres renders PostgreSQL's error with as much of its text as detail lets pass.
func fromPostgres(err *pgconn.PgError, anonymous bool, detail Detail) *fault.Error {
	if err.Code == sqlstateRaise {
		return raised(err, detail)
	}
	e := &fault.Error{Status: statusOf(err.Code, anonymous), Code: err.Code, Message: err.Message}
	switch {
	case detail == DetailFull:
		e.Details, e.Hint = err.Detail, err.Hint
	case detail == DetailMessage && !internal(err.Code, e.Status):
	default:
		e.Message = "the database refused the request"
		if e.Status >= http.StatusInternalServerError {
			e.Message = "internal error"
		}
	}
	return e
}

// internal tells whether a message may speak of the inside of the server. Of the errors that answer
// with 5xx, those of the classes 40, 53, 55 and 57 and what a function raises as PTnnn do not.
func internal(code string, status int) bool {
	if status < http.StatusInternalServerError || len(code) != 5 {
		return false
	}
	switch code[:2] {
	case "40", "53", "55", "57", "PT":
		return false
	}
	return true
}

// isStale tells whether an error may come from a catalog that is older than the database.
func isStale(code string) bool {
	switch code {
	case "42703", "42P01", "42883", "42704", "3F000":
		return true
	}
	return false
}
