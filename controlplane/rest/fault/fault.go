package fault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Error is a refusal in PostgREST's form. Code is one of PostgREST's PGRSTnnn codes or an SQLSTATE.
type Error struct {
	Status  int // of HTTP
	Code    string
	Message string
	Details string // empty is rendered as null
	Hint    string // empty is rendered as null

	// DetailsJSON are Details that are no text, in JSON.
	DetailsJSON json.RawMessage

	// Reason says more than PostgREST tells: for logs and tests.
	Reason string

	// ContentRange is the Content-Range header of a 416 (RFC 9110 section 15.5.17).
	ContentRange string

	// Own are headers that SQL adds.
	Own []Header

	// Allow is the Allow header of a 405 (RFC 9110 section 15.5.6).
	Allow string

	// Stale tells that a newer catalog might know the name that was not found.
	Stale bool
}

// Error returns the code and the message, and the reason where there is one.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Message
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// Syntax reports a query parameter that cannot be parsed; column counts from 1.
func Syntax(what, text string, column int, details string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "PGRST100", Details: details,
		Message: fmt.Sprintf("\"failed to parse %s (%s)\" (line 1, column %d)", what, text, column),
	}
}

// Unsupported reports a part of the dialect that this version does not speak.
func Unsupported(what string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST127", Message: "Feature not implemented",
		Details: what + " is not supported yet"}
}

// Limit reports a request that asks for more than Limits allow.
func Limit(status int, what string, limit int64) *Error {
	return &Error{Status: status, Code: "PGRST100", Message: "Request is too large",
		Details: fmt.Sprintf("%s exceeds the limit of %d", what, limit)}
}

// Body reports a request body that is not what the action needs.
func Body(message, details string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST102", Message: message, Details: details}
}

// JSON reports a request body that is no JSON, or none of the kind that is needed.
func JSON(reason string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST102", Message: "Empty or invalid json", Reason: reason}
}

// Range reports a limit or offset that no result can satisfy.
func Range(details string) *Error {
	return &Error{Status: http.StatusRequestedRangeNotSatisfiable, Code: "PGRST103",
		Message: "Requested range not satisfiable", Details: details}
}

// Singular reports another number of rows than the one that the client allows.
func Singular(rows int64) *Error {
	return &Error{Status: http.StatusNotAcceptable, Code: "PGRST116",
		Message: "Cannot coerce the result to a single JSON object",
		Details: fmt.Sprintf("The result contains %d rows", rows)}
}

// MaxAffected reports a write of more rows than the client allows.
func MaxAffected(rows int64) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST124",
		Message: "Query result exceeds max-affected preference constraint",
		Details: fmt.Sprintf("The query affects %d rows", rows)}
}

// MaxAffectedCall reports a limit of rows on a function that does not return rows.
func MaxAffectedCall() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST128",
		Message: "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"}
}

// Offset reports an offset beyond the last row.
func Offset(offset, rows int64) *Error {
	err := Range(fmt.Sprintf("An offset of %d was requested, but there are only %d rows.", offset, rows))
	err.ContentRange = fmt.Sprintf("*/%d", rows)
	return err
}

// PutFilters reports a PUT whose filters do not name one row by its primary key.
func PutFilters() *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "PGRST105", Allow: tableMethods,
		Message: "Filters must include all and only primary key columns with 'eq' operators"}
}

// PutLimit reports a PUT with limit or offset.
func PutLimit() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST114",
		Message: "limit/offset querystring parameters are not allowed for PUT"}
}

// PutPayload reports a PUT whose body has another primary key than its filters.
func PutPayload() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST115",
		Message: "Payload values do not match URL in primary key column(s)"}
}

// Table reports a table that the catalog does not have.
func Table(schema, name string) *Error {
	return &Error{Status: http.StatusNotFound, Code: "PGRST205", Stale: true,
		Message: fmt.Sprintf("Could not find the table '%s.%s' in the schema cache", schema, name)}
}

// TargetColumn reports a key of a body that is no column of the table.
func TargetColumn(table, column string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST204", Stale: true,
		Message: fmt.Sprintf("Could not find the '%s' column of '%s' in the schema cache", column, table)}
}

// Column reports a column of select, order or a filter that does not exist, in PostgreSQL's words.
func Column(table, column string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42703", Stale: true,
		Message: fmt.Sprintf("column %s.%s does not exist", table, column)}
}

// Type reports a type of a cast that does not exist, in PostgreSQL's words.
func Type(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42704", Stale: true,
		Message: fmt.Sprintf("type \"%s\" does not exist", name)}
}

// Aggregate reports an aggregate function in select=.
func Aggregate() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST123", Message: "Use of aggregate functions is not allowed"}
}

// Ungrouped reports an order of groups by something that they are not grouped by, in PostgreSQL's words.
func Ungrouped(table, column string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42803",
		Message: fmt.Sprintf("column \"%s.%s\" must appear in the GROUP BY clause or be used in an aggregate function", table, column)}
}

// SearchConfiguration reports a text search configuration that does not exist, in PostgreSQL's words.
func SearchConfiguration(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42704",
		Message: fmt.Sprintf("text search configuration \"%s\" does not exist", name)}
}

// SpreadAggregate reports an aggregate function in a spread embed that may have several rows.
func SpreadAggregate() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST127", Message: "Feature not implemented",
		Details: "Aggregates are not implemented for one-to-many or many-to-many spreads."}
}

// NotEmbedded reports a parameter of an embed that select= does not have.
func NotEmbedded(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST108",
		Message: fmt.Sprintf("'%s' is not an embedded resource in this request", name),
		Hint:    fmt.Sprintf("Verify that '%s' is included in the 'select' query parameter.", name)}
}

// EmbedOrder reports an order by an embed that may have several rows.
func EmbedOrder(origin, name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST118",
		Message: fmt.Sprintf("A related order on '%s' is not possible", name),
		Details: fmt.Sprintf("'%s' and '%s' do not form a many-to-one or one-to-one relationship", origin, name)}
}

// EmbedFilter reports a comparison of an embed with anything but null.
func EmbedFilter(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST120",
		Message: fmt.Sprintf("Bad operator on the '%s' embedded resource", name),
		Details: "Only is null or not is null filters are allowed on embedded resources"}
}

// Relationship reports that nothing relates two tables, or nothing that the hint names.
func Relationship(schema, origin, name, hint string) *Error {
	if hint != "" {
		hint = "' using the hint '" + hint
	}
	return &Error{Status: http.StatusBadRequest, Code: "PGRST200", Stale: true,
		Message: fmt.Sprintf("Could not find a relationship between '%s' and '%s' in the schema cache", origin, name),
		Details: fmt.Sprintf("Searched for a foreign key relationship between '%s' and '%s%s' in the schema '%s', but no matches were found.",
			origin, name, hint, schema)}
}

// Profile reports a schema that is not exposed.
func Profile(schema string, exposed []string) *Error {
	return &Error{Status: http.StatusNotAcceptable, Code: CodeProfile, Message: "Invalid schema: " + schema,
		Hint: "Only the following schemas are exposed: " + strings.Join(exposed, ", ")}
}

// tableMethods are the methods that a table takes.
const tableMethods = "OPTIONS, GET, HEAD, POST, PATCH, PUT, DELETE"

// Method reports an HTTP method that a table does not take.
func Method(method string) *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "PGRST117", Message: "Unsupported HTTP method: " + method,
		Allow: tableMethods}
}

// CallMethod reports an HTTP method that the function does not take, and those it does.
func CallMethod(method, details, allow string) *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "PGRST101", Allow: allow,
		Message: "Cannot use the " + method + " method on RPC", Details: details}
}

// Accept reports an Accept header that names nothing we can produce.
func Accept(accept string) *Error {
	return &Error{Status: http.StatusNotAcceptable, Code: "PGRST107",
		Message: "None of these media types are available: " + accept}
}

// ContentType reports a body in a format that is not read.
func ContentType(contentType string) *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Code: "PGRST107",
		Message: "Content-Type not acceptable: " + contentType}
}

// Preferences reports preferences that cannot be honoured although the client insists.
func Preferences(list []string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST122",
		Message: "Invalid preferences given with handling=strict",
		Details: "Invalid preferences: " + strings.Join(list, ", ")}
}

// OwnStatus reports a setting response.status that is none.
func OwnStatus() *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "PGRST112", Message: "response.status guc must be a valid status code"}
}

// OwnHeaders reports a setting response.headers that is not what it should be.
func OwnHeaders() *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "PGRST111",
		Message: "response.headers guc must be a JSON array composed of objects with a single key and a string value"}
}

// NoCatalog reports that the catalog was never loaded.
func NoCatalog() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "PGRST002",
		Message: "Could not query the database for the schema cache. Retrying."}
}

// CodeProfile is that of an unknown schema.
const CodeProfile = "PGRST106"

// Header is a header that SQL adds to an answer.
type Header struct{ Name, Value string }
