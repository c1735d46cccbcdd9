package rest

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

	// details are Details that are no text, in JSON.
	details json.RawMessage

	// reason says more than PostgREST tells: for logs and tests.
	reason string

	// contentRange is the Content-Range header of a 416 (RFC 9110 section 15.5.17).
	contentRange string

	// own are headers that SQL adds.
	own []ownHeader

	// allow is the Allow header of a 405 (RFC 9110 section 15.5.6).
	allow string

	// stale tells that a newer catalog might know the name that was not found.
	stale bool
}

// Error returns the code and the message, and the reason where there is one.
func (e *Error) Error() string {
	text := e.Code + ": " + e.Message
	if e.reason != "" {
		text += " (" + e.reason + ")"
	}
	return text
}

// errSyntax reports a query parameter that cannot be parsed; column counts from 1.
func errSyntax(what, text string, column int, details string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: "PGRST100", Details: details,
		Message: fmt.Sprintf("\"failed to parse %s (%s)\" (line 1, column %d)", what, text, column),
	}
}

// errUnsupported reports a part of the dialect that this version does not speak.
func errUnsupported(what string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST127", Message: "Feature not implemented",
		Details: what + " is not supported yet"}
}

// errLimit reports a request that asks for more than Limits allow.
func errLimit(status int, what string, limit int64) *Error {
	return &Error{Status: status, Code: "PGRST100", Message: "Request is too large",
		Details: fmt.Sprintf("%s exceeds the limit of %d", what, limit)}
}

// errBody reports a request body that is not what the action needs.
func errBody(message, details string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST102", Message: message, Details: details}
}

// errJSON reports a request body that is no JSON, or none of the kind that is needed.
func errJSON(reason string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST102", Message: "Empty or invalid json", reason: reason}
}

// errRange reports a limit or offset that no result can satisfy.
func errRange(details string) *Error {
	return &Error{Status: http.StatusRequestedRangeNotSatisfiable, Code: "PGRST103",
		Message: "Requested range not satisfiable", Details: details}
}

// errSingular reports another number of rows than the one that the client allows.
func errSingular(rows int64) *Error {
	return &Error{Status: http.StatusNotAcceptable, Code: "PGRST116",
		Message: "Cannot coerce the result to a single JSON object",
		Details: fmt.Sprintf("The result contains %d rows", rows)}
}

// errMaxAffected reports a write of more rows than the client allows.
func errMaxAffected(rows int64) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST124",
		Message: "Query result exceeds max-affected preference constraint",
		Details: fmt.Sprintf("The query affects %d rows", rows)}
}

// errMaxAffectedCall reports a limit of rows on a function that does not return rows.
func errMaxAffectedCall() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST128",
		Message: "Function must return SETOF or TABLE when max-affected preference is used with handling=strict"}
}

// errOffset reports an offset beyond the last row.
func errOffset(offset, rows int64) *Error {
	err := errRange(fmt.Sprintf("An offset of %d was requested, but there are only %d rows.", offset, rows))
	err.contentRange = fmt.Sprintf("*/%d", rows)
	return err
}

// errPutFilters reports a PUT whose filters do not name one row by its primary key.
func errPutFilters() *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "PGRST105", allow: tableMethods,
		Message: "Filters must include all and only primary key columns with 'eq' operators"}
}

// errPutLimit reports a PUT with limit or offset.
func errPutLimit() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST114",
		Message: "limit/offset querystring parameters are not allowed for PUT"}
}

// errPutPayload reports a PUT whose body has another primary key than its filters.
func errPutPayload() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST115",
		Message: "Payload values do not match URL in primary key column(s)"}
}

// errTable reports a table that the catalog does not have.
func errTable(schema, name string) *Error {
	return &Error{Status: http.StatusNotFound, Code: "PGRST205", stale: true,
		Message: fmt.Sprintf("Could not find the table '%s.%s' in the schema cache", schema, name)}
}

// errTargetColumn reports a key of a body that is no column of the table.
func errTargetColumn(table, column string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST204", stale: true,
		Message: fmt.Sprintf("Could not find the '%s' column of '%s' in the schema cache", column, table)}
}

// errColumn reports a column of select, order or a filter that does not exist, in PostgreSQL's words.
func errColumn(table, column string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42703", stale: true,
		Message: fmt.Sprintf("column %s.%s does not exist", table, column)}
}

// errType reports a type of a cast that does not exist, in PostgreSQL's words.
func errType(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42704", stale: true,
		Message: fmt.Sprintf("type \"%s\" does not exist", name)}
}

// errAggregate reports an aggregate function in select=.
func errAggregate() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST123", Message: "Use of aggregate functions is not allowed"}
}

// errUngrouped reports an order of groups by something that they are not grouped by, in PostgreSQL's words.
func errUngrouped(table, column string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42803",
		Message: fmt.Sprintf("column \"%s.%s\" must appear in the GROUP BY clause or be used in an aggregate function", table, column)}
}

// errSearchConfiguration reports a text search configuration that does not exist, in PostgreSQL's words.
func errSearchConfiguration(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "42704",
		Message: fmt.Sprintf("text search configuration \"%s\" does not exist", name)}
}

// errSpreadAggregate reports an aggregate function in a spread embed that may have several rows.
func errSpreadAggregate() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST127", Message: "Feature not implemented",
		Details: "Aggregates are not implemented for one-to-many or many-to-many spreads."}
}

// errNotEmbedded reports a parameter of an embed that select= does not have.
func errNotEmbedded(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST108",
		Message: fmt.Sprintf("'%s' is not an embedded resource in this request", name),
		Hint:    fmt.Sprintf("Verify that '%s' is included in the 'select' query parameter.", name)}
}

// errEmbedOrder reports an order by an embed that may have several rows.
func errEmbedOrder(origin, name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST118",
		Message: fmt.Sprintf("A related order on '%s' is not possible", name),
		Details: fmt.Sprintf("'%s' and '%s' do not form a many-to-one or one-to-one relationship", origin, name)}
}

// errEmbedFilter reports a comparison of an embed with anything but null.
func errEmbedFilter(name string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST120",
		Message: fmt.Sprintf("Bad operator on the '%s' embedded resource", name),
		Details: "Only is null or not is null filters are allowed on embedded resources"}
}

// errRelationship reports that nothing relates two tables, or nothing that the hint names.
func errRelationship(schema, origin, name, hint string) *Error {
	if hint != "" {
		hint = "' using the hint '" + hint
	}
	return &Error{Status: http.StatusBadRequest, Code: "PGRST200", stale: true,
		Message: fmt.Sprintf("Could not find a relationship between '%s' and '%s' in the schema cache", origin, name),
		Details: fmt.Sprintf("Searched for a foreign key relationship between '%s' and '%s%s' in the schema '%s', but no matches were found.",
			origin, name, hint, schema)}
}

// errAmbiguous reports that several relationships fit an embed, and what would choose each.
func errAmbiguous(origin, name string, candidates []*relationship) *Error {
	described := make([]relationshipDescription, len(candidates))
	hints := make([]string, len(candidates))
	for i, c := range candidates {
		described[i] = c.describe()
		hints[i] = fmt.Sprintf("'%s!%s'", c.target.Name, c.hint())
	}
	details, _ := json.Marshal(described) // strings always encode
	return &Error{Status: http.StatusMultipleChoices, Code: "PGRST201", details: details,
		Message: fmt.Sprintf("Could not embed because more than one relationship was found for '%s' and '%s'", origin, name),
		Hint: fmt.Sprintf("Try changing '%s' to one of the following: %s. Find the desired relationship in the 'details' key.",
			name, strings.Join(hints, ", "))}
}

// errFunction reports a call that no function of the catalog fits.
func errFunction(schema, name string, arguments []string, body BodyKind) *Error {
	if body > BodyJSON {
		return &Error{Status: http.StatusNotFound, Code: "PGRST202", stale: true,
			Message: fmt.Sprintf("Could not find the function %s.%s in the schema cache", schema, name),
			Details: fmt.Sprintf("Searched for the function %s.%s with a single unnamed %s parameter, but no matches were found in the schema cache.",
				schema, name, bodyTypes[body][0][len("pg_catalog."):])}
	}
	call, with, or := " without parameters", " without parameters", ""
	if body == BodyJSON {
		or = " or with a single unnamed json/jsonb parameter"
	}
	if len(arguments) > 0 {
		list := strings.Join(arguments, ", ")
		call, with = "("+list+")", " with parameter "+list
		if len(arguments) > 1 {
			with = " with parameters " + list
		}
	}
	return &Error{Status: http.StatusNotFound, Code: "PGRST202", stale: true,
		Message: fmt.Sprintf("Could not find the function %s.%s%s in the schema cache", schema, name, call),
		Details: fmt.Sprintf("Searched for the function %s.%s%s%s, but no matches were found in the schema cache.", schema, name, with, or)}
}

// errOverload reports a call that several functions of the catalog fit.
func errOverload(candidates []*Routine) *Error {
	list := make([]string, len(candidates))
	for i, f := range candidates {
		list[i] = f.signature()
	}
	return &Error{Status: http.StatusMultipleChoices, Code: "PGRST203",
		Message: "Could not choose the best candidate function between: " + strings.Join(list, ", "),
		Hint:    "Try renaming the parameters or the function itself in the database so function overloading can be resolved"}
}

// errProfile reports a schema that is not exposed.
func errProfile(schema string, exposed []string) *Error {
	return &Error{Status: http.StatusNotAcceptable, Code: codeProfile, Message: "Invalid schema: " + schema,
		Hint: "Only the following schemas are exposed: " + strings.Join(exposed, ", ")}
}

// tableMethods are the methods that a table takes.
const tableMethods = "OPTIONS, GET, HEAD, POST, PATCH, PUT, DELETE"

// errMethod reports an HTTP method that a table does not take.
func errMethod(method string) *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "PGRST117", Message: "Unsupported HTTP method: " + method,
		allow: tableMethods}
}

// errCallMethod reports an HTTP method that the function does not take, and those it does.
func errCallMethod(method, details, allow string) *Error {
	return &Error{Status: http.StatusMethodNotAllowed, Code: "PGRST101", allow: allow,
		Message: "Cannot use the " + method + " method on RPC", Details: details}
}

// errAccept reports an Accept header that names nothing we can produce.
func errAccept(accept string) *Error {
	return &Error{Status: http.StatusNotAcceptable, Code: "PGRST107",
		Message: "None of these media types are available: " + accept}
}

// errContentType reports a body in a format that is not read.
func errContentType(contentType string) *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Code: "PGRST107",
		Message: "Content-Type not acceptable: " + contentType}
}

// errPreferences reports preferences that cannot be honoured although the client insists.
func errPreferences(list []string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: "PGRST122",
		Message: "Invalid preferences given with handling=strict",
		Details: "Invalid preferences: " + strings.Join(list, ", ")}
}

// errOwnStatus reports a setting response.status that is none.
func errOwnStatus() *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "PGRST112", Message: "response.status guc must be a valid status code"}
}

// errOwnHeaders reports a setting response.headers that is not what it should be.
func errOwnHeaders() *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "PGRST111",
		Message: "response.headers guc must be a JSON array composed of objects with a single key and a string value"}
}

// errNoCatalog reports that the catalog was never loaded.
func errNoCatalog() *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "PGRST002",
		Message: "Could not query the database for the schema cache. Retrying."}
}
