package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes is the largest configuration file.
const maxFileBytes = 1 << 20

// document is a configuration file whose keys are known; its values are not looked at yet.
type document struct {
	name    string                // as the caller gave it, for messages
	shared  bool                  // every user of the machine may read the file
	entries map[string]*yaml.Node // by key of the option, or that with fileSuffix
}

// source is where a line of the document stands.
func (d document) source(line int) string {
	if line == 0 {
		return d.name
	}
	return d.name + ":" + strconv.Itoa(line)
}

// referenced is the set of variables that the values of the document use.
func (d document) referenced() map[string]bool {
	names := map[string]bool{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			referenced(n.Value, func(name string) { names[name] = true })
		}
		for _, child := range n.Content {
			walk(child)
		}
	}
	for _, node := range d.entries {
		walk(node)
	}
	return names
}

// parseDocument reads a file. Keys that are unknown, twice there or of the wrong form are problems, and the rest of
// the file is still read.
func parseDocument(name string, data []byte, keys keyset) (document, Problems) {
	d := document{name: name, entries: map[string]*yaml.Node{}}
	root, line, err := decodeYAML(data)
	if err != nil {
		return d, Problems{problemOf("", d.source(line), err)}
	}
	if root == nil {
		return d, nil
	}
	r := documentReader{document: &d, keys: keys}
	r.section(root, "")
	return d, r.problems
}

// decodeYAML is the one document in data, nil when there is none, without anchors and aliases. An error comes with
// the line where it was met, if that is known.
func decodeYAML(data []byte) (root *yaml.Node, line int, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, 0, nil
	} else if err != nil {
		line, err := yamlError(err)
		return nil, line, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, second.Line, errors.New("has more than one document")
	} else if !errors.Is(err, io.EOF) {
		line, err := yamlError(err)
		return nil, line, err
	}
	if len(first.Content) == 0 {
		return nil, 0, nil
	}
	root = first.Content[0]
	if line := findAlias(root); line > 0 {
		return nil, line, errAlias
	}
	if isNull(root) {
		return nil, 0, nil
	}
	return root, 0, nil
}

var (
	errAlias    = hinted{"has an anchor or an alias", "write the value out; a text that begins with & or * needs quotes"}
	yamlMessage = regexp.MustCompile(`^yaml: (?:line (\d+): )?([a-zA-Z0-9<>:,%'\[\]{}\- ]+)$`)
)

// yamlError is the decoder's error without anything that it quotes from the file.
func yamlError(err error) (line int, _ error) {
	match := yamlMessage.FindStringSubmatch(err.Error())
	switch {
	case match == nil:
		return 0, errors.New("is not well-formed YAML")
	case strings.HasPrefix(match[2], "unknown anchor"):
		return 0, errAlias
	}
	line, _ = strconv.Atoi(match[1]) // digits or nothing
	return line, fmt.Errorf("is not well-formed YAML: %s", match[2])
}

// findAlias is the line of the first anchor or alias, 0 when there is none.
func findAlias(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return n.Line
	}
	for _, child := range n.Content {
		if line := findAlias(child); line > 0 {
			return line
		}
	}
	return 0
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// documentReader sorts the values of a document by key.
type documentReader struct {
	document *document
	keys     keyset
	problems Problems
}

func (r *documentReader) refuse(key string, line int, message, hint string) {
	r.problems = append(r.problems, Problem{
		Key: key, Source: r.document.source(line), Message: message, Hint: hint,
	})
}

// section reads the mapping n, whose keys begin with prefix.
func (r *documentReader) section(n *yaml.Node, prefix string) {
	name := strings.TrimSuffix(prefix, ".")
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.refuse(name, n.Line, "must be a section with keys below it", "")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		label, value := n.Content[i], n.Content[i+1]
		if label.Kind != yaml.ScalarNode {
			r.refuse(name, label.Line, "has a key that is not a plain word", "")
			continue
		}
		key := prefix + label.Value
		switch {
		case seen[label.Value]:
			r.refuse(printable(key), label.Line, "is there twice", "")
		case strings.Contains(label.Value, "."):
			r.refuse(printable(key), label.Line, "is not a key: a name has no dots", "write the section on a line of its own and the key indented below it")
		case r.keys.sections[key]:
			r.section(value, key+".")
		case r.keys.contains(key):
			r.document.entries[key] = value
		default:
			r.refuse(printable(key), label.Line, "is not a key", r.keys.suggest(key))
		}
		seen[label.Value] = true
	}
}

// keyset is the keys that a file may use.
type keyset struct {
	keys     map[string]bool // with those that end in fileSuffix
	sections map[string]bool
}

func newKeyset(table []option) keyset {
	k := keyset{keys: map[string]bool{}, sections: map[string]bool{}}
	for _, o := range table {
		k.keys[o.Key] = true
		if o.Secret {
			k.keys[o.Key+fileSuffix] = true
		}
		for i, c := range o.Key {
			if c == '.' {
				k.sections[o.Key[:i]] = true
			}
		}
	}
	return k
}

func (k keyset) contains(key string) bool { return k.keys[key] }

// suggest is a hint with the nearest key, or empty.
func (k keyset) suggest(key string) string {
	names := make([]string, 0, len(k.keys)+len(k.sections))
	for name := range k.keys {
		names = append(names, name)
	}
	for name := range k.sections {
		names = append(names, name)
	}
	slices.Sort(names)
	return didYouMean(nearest(key, names))
}

func didYouMean(name string) string {
	if name == "" {
		return "fluxbase config lists all keys"
	}
	return "did you mean " + name + "?"
}
