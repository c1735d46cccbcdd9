package development

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// secrets are made once for a data directory and kept there, readable by its owner only. Nothing has a default.
type secrets struct {
	Superuser string `json:"superuser_password"`
	API       string `json:"api_password"`
	Service   string `json:"service_password"`
	Server    string `json:"server_password"`
	JWT       string `json:"jwt_secret"`
	Seal      string `json:"encryption_key"`
	Demo      string `json:"demo_password"`
	// Keys belong to a database: after dev --database with another one they are made again.
	AnonKey    string `json:"anon_key,omitempty"`
	ServiceKey string `json:"service_key,omitempty"`

	path string
}

func openSecrets(dir string) (*secrets, error) {
	s := &secrets{path: filepath.Join(dir, "secrets.json")}
	text, err := os.ReadFile(s.path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, s); err != nil {
			return nil, fmt.Errorf("read %s: %w (remove the whole directory to start over)", s.path, err)
		}
		if s.Seal != "" {
			return s, nil
		}
		s.Seal = random() // the file is older than this secret
		return s, s.save()
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, secret := range []*string{&s.Superuser, &s.API, &s.Service, &s.Server, &s.JWT, &s.Seal, &s.Demo} {
		*secret = random()
	}
	return s, s.save()
}

func (s *secrets) save() error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(s.path, append(text, '\n'))
}

// writePrivate replaces a file in one step, so that a killed process leaves the old or the new one.
func writePrivate(path string, text []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// random returns 256 bits in characters that need no quoting in a shell, a URL or SQL.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}
