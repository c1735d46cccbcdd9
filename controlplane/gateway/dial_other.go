//go:build !linux

package gateway

import "syscall"

// setUserTimeout does nothing: the option is Linux's. Keepalive remains.
func setUserTimeout(string, string, syscall.RawConn) error { return nil }
