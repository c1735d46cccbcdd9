package guard

import (
	"io"
	"net/http"
	"strings"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// Redirect answers plain HTTP beside a listener that speaks TLS: every request is sent to the configured host, whatever
// host it was for, and GET /healthz says that the process answers. What the CA asks by plain HTTP is answered, too, if acme is not nil.
func Redirect(c config.Server, acme *ACME) http.Handler {
	base := "https://" + strings.TrimSuffix(c.TLS.RedirectHost, ":443")
	var answer http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			_, _ = io.WriteString(w, `{"status":"ok"}`)
			return
		}
		path := r.URL.EscapedPath()
		if path == "" || path[0] != '/' {
			path = "/"
		}
		if r.URL.RawQuery != "" {
			path += "?" + r.URL.RawQuery
		}
		w.Header().Set("Location", base+path)
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	if acme != nil {
		answer = acme.challenges(answer)
	}
	c.TLS = config.TLS{} // RFC 6797 section 7.2: no Strict-Transport-Security by plain HTTP
	headers := protective(c)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers.write(w.Header())
		answer.ServeHTTP(w, r)
	})
}
