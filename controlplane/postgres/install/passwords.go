package install

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Logins are the roles that the server's pools log in as.
var Logins = []string{"fluxbase_api", "fluxbase_service", "fluxbase_server"}

// minPassword is the shortest password of a login, in characters. Machines remember them, so they can be long.
const minPassword = 16

// Passwords of our logins. An empty one stays as it is in the database.
type Passwords struct{ API, Service, Server string }

// of returns where the password of a login stands, nil for another name.
func (p *Passwords) of(login string) *string {
	switch login {
	case "fluxbase_api":
		return &p.API
	case "fluxbase_service":
		return &p.Service
	case "fluxbase_server":
		return &p.Server
	}
	return nil
}

// ReadPasswords reads lines of the form LOGIN=PASSWORD; empty lines and lines that begin with # are skipped. Errors
// name the line, never its content.
func ReadPasswords(r io.Reader) (Passwords, error) {
	var p Passwords
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		login, password, ok := strings.Cut(line, "=")
		login, password = strings.TrimSpace(login), strings.TrimSpace(password)
		place := p.of(login)
		switch {
		case !ok || place == nil:
			return Passwords{}, fmt.Errorf("line %d: want LOGIN=PASSWORD with one of %s", n, strings.Join(Logins, ", "))
		case *place != "":
			return Passwords{}, fmt.Errorf("line %d: %s stands there twice", n, login)
		}
		if err := checkPassword(password); err != nil {
			return Passwords{}, fmt.Errorf("line %d: %w", n, err)
		}
		*place = password
	}
	if err := lines.Err(); err != nil {
		return Passwords{}, err
	}
	if p == (Passwords{}) {
		return Passwords{}, fmt.Errorf("no LOGIN=PASSWORD line; the logins are %s", strings.Join(Logins, ", "))
	}
	return p, nil
}

// SetPasswords sets passwords of our logins, all or none. PostgreSQL gets SCRAM-SHA-256 verifiers (RFC 5802, RFC 7677),
// so that no password shows up in its log. The session needs CREATEROLE, from 16 on with the admin option on the
// logins.
func SetPasswords(ctx context.Context, conn *pgx.Conn, p Passwords) error {
	return inTx(ctx, conn, func(tx pgx.Tx) error {
		for _, login := range Logins {
			password := *p.of(login)
			if password == "" {
				continue
			}
			if err := checkPassword(password); err != nil {
				return fmt.Errorf("%s: %w", login, err)
			}
			verifier, err := scramVerifier(password)
			if err != nil {
				return err
			}
			// The verifier is base64, $ and : only.
			if _, err := tx.Exec(ctx, fmt.Sprintf(`alter role %s password '%s'`, login, verifier)); err != nil {
				return explain(`set the password of `+login+` (a DBA does it with \password `+login+` in psql)`, err)
			}
		}
		return nil
	})
}

// checkPassword keeps to printable ASCII, for which SASLprep (RFC 4013) changes nothing.
func checkPassword(password string) error {
	if len(password) < minPassword {
		return fmt.Errorf("the password is shorter than %d characters", minPassword)
	}
	for _, r := range password {
		if r < 0x20 || r > 0x7e {
			return fmt.Errorf("the password has a character that is not printable ASCII")
		}
	}
	return nil
}

// scramVerifier is what PostgreSQL stores for a password: RFC 5802 section 3 with SHA-256.
func scramVerifier(password string) (string, error) {
	const iterations = 4096
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
