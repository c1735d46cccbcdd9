package server

import (
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// written is when the contact below was last known to be right; every release sets it anew.
var written = time.Date(2026, time.November, 25, 0, 0, 0, 0, time.UTC)

// securityText says where to report a vulnerability (RFC 9116). It expires within a year, as section 2.5.5 asks.
func (s *Server) securityText(c echo.Context) error {
	c.Response().Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.Response().WriteHeader(http.StatusOK)
	_, _ = io.WriteString(c.Response(), "Contact: mailto:security@fluxbase.io\n"+
		"Expires: "+written.AddDate(1, 0, -1).Format(time.RFC3339)+"\n"+
		"Preferred-Languages: en\n")
	return nil
}
