package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// DefaultFile is read from the working directory when no file is named.
const DefaultFile = "fluxbase.yaml"

// purpose says which options must be there.
type purpose int

const (
	toServe purpose = iota
	toInstall
)

// Load reads the configuration of a server: the file at path and the environment in the form of os.Environ. With
// path empty the file is the one that FLUXBASE_CONFIG names, or else fluxbase.yaml in the working directory if there
// is one; a file that is named must exist (os.DevNull stands for none). The error is of type [Problems].
func Load(path string, environ []string) (*Config, error) { return load(path, environ, toServe) }

// LoadForInstall is Load for commands that install and inspect: they need database.direct_url or database.url and
// no signing secret.
func LoadForInstall(path string, environ []string) (*Config, error) {
	return load(path, environ, toInstall)
}

func load(path string, environ []string, why purpose) (*Config, error) {
	c, problems := resolve(path, environ, why, readLimited)
	if err := problems.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Value is an option with what it is set to. Its Default is that of the mode.
type Value struct {
	Option
	Text    string // as it would be written; a secret is masked; empty when unset or invalid
	Source  string // default, derived, fluxbase.yaml:12, FLUXBASE_X or FLUXBASE_X_FILE
	Invalid bool   // the source holds no valid value
}

// Explicit says that the file or the environment names the option.
func (v Value) Explicit() bool { return v.Source != sourceDefault && v.Source != sourceDerived }

const (
	sourceDefault = "default"
	sourceDerived = "derived" // from another option; the description says how
)

// Inspection is what a configuration holds, be it valid or not.
type Inspection struct {
	Values   []Value
	Warnings []string
	Problems Problems
}

// Inspect reads the configuration as Load does and lists every option, also when some are invalid.
func Inspect(path string, environ []string) Inspection {
	c, problems := resolve(path, environ, toServe, readLimited)
	return Inspection{Values: c.values, Warnings: c.warnings, Problems: problems}
}

// Values lists every option, in the order of the reference.
func (c *Config) Values() []Value { return append([]Value(nil), c.values...) }

// Warnings says what is accepted but not as it should be: options that are not acted on yet, and secrets in a file
// that every user of the machine may read.
func (c *Config) Warnings() []string { return append([]string(nil), c.warnings...) }

// readFunc reads a file of at most limit bytes and says what its permissions are.
type readFunc func(path string, limit int64) ([]byte, fs.FileMode, error)

// readLimited is the readFunc of the file system.
func readLimited(path string, limit int64) ([]byte, fs.FileMode, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("is larger than %d bytes", limit)
	}
	return data, info.Mode(), err
}

// resolver is one reading of a configuration.
type resolver struct {
	table     []option
	variables map[string]string
	read      readFunc
	file      document
	config    *Config
	values    map[string]*Value
	problems  Problems
}

// resolve reads everything. The Config always lists its options; its fields are to be trusted only when there is no
// problem.
func resolve(path string, environ []string, why purpose, read readFunc) (*Config, Problems) {
	r := &resolver{
		table: options(), variables: parseEnviron(environ), read: read,
		config: &Config{}, values: map[string]*Value{},
	}
	r.readFile(path)
	for _, o := range r.table {
		v := r.option(o)
		r.values[o.Key] = &v
	}
	r.problems = append(r.problems, unknownVariables(r.variables, r.table, r.file.referenced())...)
	r.derive()
	r.require(why)
	r.warn()
	for _, o := range r.table {
		v := r.values[o.Key]
		if !v.Invalid && !(v.Source == sourceDefault && v.Default == "") {
			v.Text = o.show(r.config)
		}
		r.config.values = append(r.config.values, *v)
	}
	return r.config, r.problems
}

// readFile finds the file and reads it.
func (r *resolver) readFile(path string) {
	optional := false
	if path == "" {
		path = r.variables[ConfigVariable]
	}
	if path == "" {
		path, optional = DefaultFile, true
	}
	r.file.name = path
	data, mode, err := r.read(path, maxFileBytes)
	switch {
	case err == nil:
		var problems Problems
		r.file, problems = parseDocument(path, data, newKeyset(r.table))
		r.file.shared = mode.IsRegular() && mode.Perm()&0o004 != 0
		r.problems = append(r.problems, problems...)
	case !optional || !errors.Is(err, fs.ErrNotExist):
		r.problems = append(r.problems, Problem{Source: path, Message: "can't be read: " + reason(err)})
	}
}

// reason is an error of the file system without the path, which the message names already.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// option gives one option its value.
func (r *resolver) option(o option) Value {
	v := Value{Option: o.Option, Source: sourceDefault}
	if r.config.Mode == Development {
		v.Default = o.DevelopmentDefault
	}
	in, source, faults := r.written(o)
	if source != "" {
		v.Source = source
	} else {
		in, faults = defaultInput(v.Default, o.shape)
		if in == nil {
			return v
		}
	}
	if len(faults) == 0 {
		faults = o.assign(r.config, *in)
	}
	for _, f := range faults {
		v.Invalid = true
		at := v.Source
		if f.line != 0 {
			at = r.file.source(f.line)
		}
		r.problems = append(r.problems, problemOf(o.Key+f.below, at, f.err))
	}
	return v
}

func problemOf(key, source string, err error) Problem {
	p := Problem{Key: key, Source: source, Message: err.Error()}
	var h hinted
	if errors.As(err, &h) {
		p.Hint = h.hint
	}
	return p
}

// defaultInput is the default of an option as an input, nil when it has none.
func defaultInput(byDefault string, form shape) (*input, []fault) {
	if byDefault == "" {
		return nil, nil
	}
	in, faults := fromText(byDefault, form)
	return &in, faults
}

// written is the value that the environment, or else the file, or else PostgREST's environment gives an option, and where it stands; the source is
// empty when none names the option.
func (r *resolver) written(o option) (in *input, source string, faults []fault) {
	if in, source, faults := r.fromEnviron(o); source != "" {
		return in, source, faults
	}
	if in, source, faults := r.fromDocument(o); source != "" {
		return in, source, faults
	}
	return r.fromPostgREST(o)
}

func (r *resolver) fromEnviron(o option) (*input, string, []fault) {
	text, direct := r.variables[o.Variable]
	fileVariable := o.Variable + strings.ToUpper(fileSuffix)
	path, indirect := r.variables[fileVariable]
	indirect = indirect && o.Secret
	switch {
	case direct && indirect:
		return nil, o.Variable, []fault{{err: fmt.Errorf("and %s are both set: only one may be", fileVariable)}}
	case indirect:
		in, faults := r.fromSecretFile(path)
		return in, fileVariable, faults
	case direct && text == "":
		return nil, o.Variable, []fault{{err: errEmpty}}
	case direct:
		in, faults := fromText(text, o.shape)
		return &in, o.Variable, faults
	}
	return nil, "", nil
}

func (r *resolver) fromDocument(o option) (*input, string, []fault) {
	node, direct := r.file.entries[o.Key]
	pathNode, indirect := r.file.entries[o.Key+fileSuffix]
	indirect = indirect && o.Secret
	reader := valueReader{variables: r.variables}
	switch {
	case direct && indirect:
		return nil, r.file.source(node.Line), []fault{{err: fmt.Errorf("and %s are both set: only one may be", o.Key+fileSuffix)}}
	case indirect:
		source := r.file.source(pathNode.Line)
		path, err := reader.scalarOf(pathNode, errNotOne)
		if err != nil {
			return nil, source, []fault{{err: err}}
		}
		in, faults := r.fromSecretFile(path)
		return in, source, faults
	case direct:
		in, faults := reader.fromNode(node, o.shape)
		return &in, r.file.source(node.Line), faults
	}
	return nil, "", nil
}

// maxSecretBytes is the largest file that holds a secret.
const maxSecretBytes = 64 << 10

// fromSecretFile reads a secret from a file; line ends after it don't belong to it.
func (r *resolver) fromSecretFile(path string) (*input, []fault) {
	if path == "" {
		return nil, []fault{{err: errEmpty}}
	}
	data, _, err := r.read(path, maxSecretBytes)
	if err != nil {
		return nil, []fault{{err: errors.New("names a file that can't be read: " + reason(err))}}
	}
	text := strings.TrimRight(string(data), "\r\n")
	if text == "" {
		return nil, []fault{{err: errors.New("names a file that is empty")}}
	}
	return &input{text: text}, nil
}

// literalSecret says that the file holds the value of a secret itself, and not the name of a variable or a file.
func (r *resolver) literalSecret(o option) bool {
	node, found := r.file.entries[o.Key]
	return found && o.Secret && node.Kind == yaml.ScalarNode && !strings.Contains(node.Value, "${")
}
