// Package postgres holds what every package that talks to PostgreSQL shares: rewriting of connection strings.
// Its subpackages find and run clusters (cluster), install into a database (install), run the program psql (psql), serve tests
// (pgtest), and test what is written in SQL (sqltest, policytest).
package postgres

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
)

// WithUser returns dsn with the user and the password replaced. An empty password removes the one of dsn, so that
// it comes from PGPASSWORD, a password file, or nowhere.
func WithUser(dsn, user, password string) (string, error) {
	if u, err := parseURL(dsn); err != nil {
		return "", err
	} else if u != nil {
		u.User = url.User(user)
		if password != "" {
			u.User = url.UserPassword(user, password)
		}
		q := u.Query()
		q.Del("user")
		q.Del("password")
		u.RawQuery = q.Encode()
		return u.String(), nil
	}
	// In the keyword form the last of several equal keys holds; an empty password is none.
	return dsn + " user=" + quote(user) + " password=" + quote(password), nil
}

// WithDatabase returns dsn with the name of the database replaced.
func WithDatabase(dsn, name string) (string, error) {
	if u, err := parseURL(dsn); err != nil {
		return "", err
	} else if u != nil {
		u.Path = "/" + name
		u.RawPath = ""
		q := u.Query()
		q.Del("dbname")
		q.Del("database")
		u.RawQuery = q.Encode()
		return u.String(), nil
	}
	return dsn + " dbname=" + quote(name), nil
}

// WithParam returns dsn with a parameter replaced, for example role, sslmode or application_name.
func WithParam(dsn, key, value string) (string, error) {
	if u, err := parseURL(dsn); err != nil {
		return "", err
	} else if u != nil {
		q := u.Query()
		q.Set(key, value)
		u.RawQuery = q.Encode()
		return u.String(), nil
	}
	return dsn + " " + key + "=" + quote(value), nil
}

// Describe names the target of dsn for people: user, host, port and database, never a password.
func Describe(dsn string) string {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "an invalid connection string"
	}
	host := c.Host
	if !strings.HasPrefix(host, "/") {
		host = fmt.Sprintf("%s:%d", host, c.Port)
	}
	return fmt.Sprintf("%s@%s/%s", c.User, host, c.Database)
}

// parseURL returns nil for a connection string in the keyword form. Its error carries no part of the string.
func parseURL(dsn string) (*url.URL, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return nil, nil
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("connection string is not a valid URL")
	}
	return u, nil
}

func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// keyword is one key = value of a connection string in the keyword form.
var keyword = regexp.MustCompile(`\s*(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s'\\])*)`)

// SplitPassword returns dsn without its password, and the password: the arguments of a process can be read by others
// on the machine, its environment (PGPASSWORD) cannot.
func SplitPassword(dsn string) (rest, password string, err error) {
	u, err := parseURL(dsn)
	if err != nil {
		return "", "", err
	}
	if u == nil {
		rest = keyword.ReplaceAllStringFunc(dsn, func(pair string) string {
			m := keyword.FindStringSubmatch(pair)
			if m[1] != "password" {
				return pair
			}
			password = escaped.ReplaceAllString(strings.TrimSuffix(strings.TrimPrefix(m[2], "'"), "'"), "$1")
			return ""
		})
		return rest, password, nil
	}
	q := u.Query()
	if q.Has("password") {
		password = q.Get("password")
		q.Del("password")
		u.RawQuery = q.Encode()
	}
	if u.User != nil {
		if p, has := u.User.Password(); has {
			password = p
			u.User = url.User(u.User.Username())
		}
	}
	return u.String(), password, nil
}

var escaped = regexp.MustCompile(`\\(.)`)
