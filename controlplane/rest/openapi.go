package rest

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/gateway"
	"github.com/wayli-app/fluxbase/controlplane/rest/catalog"
	"github.com/wayli-app/fluxbase/controlplane/rest/dialect"
	"github.com/wayli-app/fluxbase/controlplane/rest/fault"
)

// OpenAPIMode is the setting rest.openapi_mode: what the description at the root tells.
type OpenAPIMode string

// What the description at the root tells.
const (
	OpenAPIFollow   OpenAPIMode = "follow-privileges" // what the caller may use; as does the empty value
	OpenAPIIgnore   OpenAPIMode = "ignore-privileges" // everything
	OpenAPIDisabled OpenAPIMode = "disabled"          // there is none
)

// valid tells whether it is one of the above.
func (m OpenAPIMode) valid() bool {
	return m == "" || m == OpenAPIFollow || m == OpenAPIIgnore || m == OpenAPIDisabled
}

// openAPISQL asks what a caller may use of a schema.
//
//go:embed openapi.sql
var openAPISQL string

const (
	mediaOpenAPI = "application/openapi+json"
	rootMethods  = "OPTIONS,GET,HEAD"
)

// ServeRoot serves the description of a schema in the form of OpenAPI 2.0. base is the path that the API is mounted at.
func (h *Handler) ServeRoot(w http.ResponseWriter, r *http.Request, base string) {
	caller := h.Caller(r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		w.Header().Set("Allow", rootMethods)
		w.WriteHeader(http.StatusOK)
		return
	default:
		refusal := fault.Method(r.Method)
		refusal.Allow = rootMethods
		h.fail(w, r, caller, refusal)
		return
	}
	text, schema, err := h.describe(r.Context(), caller, r.Method, r.Header, base)
	if err != nil {
		h.fail(w, r, caller, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", mediaOpenAPI+"; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	if schema != "" {
		header.Set("Content-Profile", schema)
	}
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(text) // the client went away: nobody is left to tell
	}
}

// describe returns the description and, where there are several, the schema that it is of.
func (h *Handler) describe(ctx context.Context, caller gateway.Caller, method string, header http.Header, base string) (text []byte, schema string, err error) {
	if h.OpenAPI == OpenAPIDisabled {
		return nil, "", errOpenAPIDisabled()
	}
	if !acceptsOpenAPI(header["Accept"]) {
		return nil, "", fault.Accept(strings.Join(header["Accept"], ", "))
	}
	current, err := h.catalog(ctx)
	if err != nil {
		return nil, "", err
	}
	schema, refusal := current.Schema(header.Get("Accept-Profile"))
	if refusal != nil {
		return nil, "", refusal
	}
	d := description{catalog: current, schema: schema, base: base}
	statement := gateway.Statement{SQL: openAPISQL, Args: [][]byte{[]byte(schema), strconv.AppendBool(nil, h.OpenAPI != OpenAPIIgnore)}}
	before := h.before(current.Paths[schema].Setting, tenantOf(current, schema), current.Asked, &dialect.Asked{Method: method, Path: "/", Header: header})
	err = h.Gateway.Query(ctx, caller, statement, gateway.QueryOptions{ReadOnly: true, Volatile: current.DynamicSQL, StatementTimeout: current.Timeouts[caller.Role], Before: catalog.WithoutJIT(before)},
		func(row [][]byte) error { return json.Unmarshal(row[0], &d.usable) })
	if err != nil {
		return nil, "", err
	}
	text, err = json.Marshal(d.document())
	if err != nil {
		return nil, "", fmt.Errorf("describe the schema %s: %w", schema, err)
	}
	if len(current.Schemas) == 1 {
		schema = ""
	}
	return text, schema, nil
}

// acceptsOpenAPI tells whether an Accept header takes the description.
func acceptsOpenAPI(lines []string) bool {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(one, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case mediaOpenAPI, "application/json", "application/*", "*/*", "":
				if dialect.Quality(parameters) > 0 {
					return true
				}
			}
		}
	}
	return len(lines) == 0
}

// errOpenAPIDisabled reports that there is no description.
func errOpenAPIDisabled() *fault.Error {
	return &fault.Error{Status: http.StatusNotFound, Code: "PGRST126", Message: "Root endpoint metadata is disabled"}
}
