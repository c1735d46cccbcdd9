package password

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// prefixLength is how many digits of a hash name its file.
const prefixLength = 5

// Breached is a list of passwords that are known to attackers, in files by ranges of their SHA-1, as Pwned Passwords gives
// them out: the file 21BD1.txt has a line 0018A45C4D1DEF81644B54AB7F969B88D65:10 for each hash that begins with 21BD1. No
// password leaves the machine. It is safe for concurrent use.
type Breached struct {
	files fs.FS
}

// NewBreached takes the directory of the files. It is an error when it has none.
func NewBreached(files fs.FS) (*Breached, error) {
	found, err := fs.Glob(files, "[0-9A-F][0-9A-F][0-9A-F][0-9A-F][0-9A-F].txt")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(errors.New("no files like 21BD1.txt in it"), err)
	}
	return &Breached{files}, nil
}

// Contains reports whether a password is on the list.
func (b *Breached) Contains(password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) // the list's choice; it protects nothing here
	hash := strings.ToUpper(hex.EncodeToString(sum[:]))
	file, err := b.files.Open(hash[:prefixLength] + ".txt")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // a list may be of the most frequent ones alone
	}
	if err != nil {
		return false, fmt.Errorf("breached passwords: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	rest := []byte(hash[prefixLength:])
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		suffix, count, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		if bytes.EqualFold(suffix, rest) {
			return !bytes.Equal(bytes.TrimSpace(count), []byte("0")), nil // padding has the count 0
		}
	}
	if err := lines.Err(); err != nil {
		return false, fmt.Errorf("breached passwords: %w", err)
	}
	return false, nil
}
