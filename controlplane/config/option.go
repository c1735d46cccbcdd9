package config

import "strings"

// Option describes one configuration key.
type Option struct {
	Key                string // section.key, as in the file
	Variable           string // its environment variable; a secret has a second one that ends in _FILE
	Type               string // what a value is and which are allowed
	Default            string // as it would be written; empty when there is none
	DevelopmentDefault string // the default of development mode
	Description        string // one sentence or two
	Secret             bool   // never shown; also accepted as key_file and VARIABLE_FILE
	Pending            bool   // accepted and checked, not yet acted on
}

// option is a row of the table: an Option with what the program needs to know about it.
type option struct {
	Option
	shape   shape
	setting string // key of the database's settings that the option writes, if any
	always  bool   // and also when its value is a default
	assign  func(c *Config, in input) []fault
	show    func(c *Config) string
	hides   func(c *Config) bool // the value as shown lacks a part that is secret
}

// input is a value as it was written.
type input struct {
	text  string   // scalar
	items []string // list
	rows  []record // records
}

// variablePrefix begins the name of each of our environment variables.
const variablePrefix = "FLUXBASE_"

// fileSuffix makes the key under which a secret is read from a file.
const fileSuffix = "_file"

// variableOf is the environment variable of a key.
func variableOf(key string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// mark adds to a row what only some rows have.
type mark func(*option)

func secret(o *option)  { o.Secret = true }
func pending(o *option) { o.Pending = true }

// inDevelopment is the default of development mode.
func inDevelopment(text string) mark { return func(o *option) { o.DevelopmentDefault = text } }

// setting says that the option, when it is named, writes this setting of the database.
func setting(key string) mark { return func(o *option) { o.setting = key } }

// always says that it does so also with a value that is a default or derived: the database has none of its own.
func always(o *option) { o.always = true }

// entry makes a row: where the value goes, of what kind it is, its default and what it does.
func entry[T any](key string, k kind[T], target func(*Config) *T, byDefault, description string, marks ...mark) option {
	o := option{
		Option: Option{
			Key: key, Variable: variableOf(key), Type: k.name,
			Default: byDefault, DevelopmentDefault: byDefault, Description: description,
		},
		shape: k.shape,
		assign: func(c *Config, in input) []fault {
			value, faults := read(k, in)
			if len(faults) == 0 {
				*target(c) = value
			}
			return faults
		},
		show: func(c *Config) string { return k.show(*target(c)) },
		hides: func(c *Config) bool {
			value, may := any(*target(c)).(interface{ hides() bool })
			return may && value.hides()
		},
	}
	for _, m := range marks {
		m(&o)
	}
	return o
}

// read applies the kind's function for its shape.
func read[T any](k kind[T], in input) (value T, faults []fault) {
	var err error
	switch k.shape {
	case records:
		return k.gather(in.rows)
	case list:
		value, err = k.collect(in.items)
	default:
		if in.text == "" {
			return value, []fault{{err: errEmpty}}
		}
		value, err = k.parse(in.text)
	}
	if err != nil {
		return value, []fault{{err: err}}
	}
	return value, nil
}

var (
	errEmpty   = hinted{"has an empty value", "give it a value, or leave it out to have the default"}
	errMissing = hinted{"is missing", ""}
)
