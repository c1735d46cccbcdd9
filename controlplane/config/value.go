package config

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	errNotOne     = errors.New("must be one value, not a list or a section")
	errNotList    = errors.New("must be a list of plain values")
	errNotRecords = errors.New("must be a list of groups of keys and values")
	errTag        = errors.New("has a YAML tag that is not supported")
)

// valueReader turns what was written into an input. With variables nil nothing is expanded.
type valueReader struct{ variables map[string]string }

// fromText reads the value of an environment variable, or a default.
func fromText(text string, form shape) (input, []fault) {
	switch form {
	case records:
		if text == "" {
			return input{}, nil
		}
		root, _, err := decodeYAML([]byte(text))
		if err != nil || root == nil || root.Kind != yaml.SequenceNode {
			return input{}, []fault{{err: hinted{"must be a list of groups in JSON", `for example [{"name": "text"}]`}}}
		}
		forgetLines(root)
		return valueReader{}.fromNode(root, form)
	case list:
		return input{items: splitList(text)}, nil
	default:
		return input{text: text}, nil
	}
}

// forgetLines drops the positions of a text that is no file.
func forgetLines(n *yaml.Node) {
	n.Line = 0
	for _, child := range n.Content {
		forgetLines(child)
	}
}

// splitList splits at commas and drops the spaces around them.
func splitList(text string) []string {
	items := strings.Split(text, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

// fromNode reads a value of a file.
func (r valueReader) fromNode(n *yaml.Node, form shape) (input, []fault) {
	switch form {
	case records:
		return r.recordsOf(n)
	case list:
		return r.listOf(n)
	default:
		text, err := r.scalarOf(n, errNotOne)
		if err != nil {
			return input{}, []fault{{line: n.Line, err: err}}
		}
		return input{text: text}, nil
	}
}

// scalarOf is the text of a plain value; one of another form is the error misfit.
func (r valueReader) scalarOf(n *yaml.Node, misfit error) (string, error) {
	if n.Kind != yaml.ScalarNode {
		return "", misfit
	}
	switch n.Tag {
	case "!!null":
		return "", errEmpty
	case "!!str", "!!int", "!!float", "!!bool", "!!timestamp":
	default:
		return "", errTag
	}
	if r.variables == nil {
		return n.Value, nil
	}
	return expand(n.Value, r.variables)
}

// listOf reads a sequence of plain values, or one value that holds several, separated by commas.
func (r valueReader) listOf(n *yaml.Node) (input, []fault) {
	if n.Kind == yaml.ScalarNode {
		text, err := r.scalarOf(n, errNotList)
		if err != nil {
			return input{}, []fault{{line: n.Line, err: err}}
		}
		return input{items: splitList(text)}, nil
	}
	if n.Kind != yaml.SequenceNode {
		return input{}, []fault{{line: n.Line, err: errNotList}}
	}
	var (
		in     input
		faults []fault
	)
	for _, child := range n.Content {
		text, err := r.scalarOf(child, errNotList)
		if err != nil {
			faults = append(faults, fault{line: child.Line, err: err})
		}
		in.items = append(in.items, text)
	}
	return in, faults
}

// recordsOf reads a sequence of mappings of plain values.
func (r valueReader) recordsOf(n *yaml.Node) (input, []fault) {
	if n.Kind != yaml.SequenceNode {
		return input{}, []fault{{line: n.Line, err: errNotRecords}}
	}
	var (
		in     input
		faults []fault
	)
	for _, child := range n.Content {
		if child.Kind != yaml.MappingNode {
			faults = append(faults, fault{line: child.Line, err: errNotRecords})
			continue
		}
		row := record{line: child.Line}
		seen := map[string]bool{}
		for i := 0; i+1 < len(child.Content); i += 2 {
			name, value := child.Content[i], child.Content[i+1]
			text, err := r.fieldOf(value)
			if seen[name.Value] {
				err = errors.New("names " + printable(name.Value) + " twice")
			}
			if err != nil {
				faults = append(faults, fault{line: name.Line, err: err})
			}
			seen[name.Value] = true
			row.fields = append(row.fields, recordField{
				name: name.Value, text: text, list: value.Kind == yaml.SequenceNode, line: name.Line})
		}
		in.rows = append(in.rows, row)
	}
	return in, faults
}

// fieldOf is the text of a field of a group: a plain value, or a list of them joined by commas.
func (r valueReader) fieldOf(n *yaml.Node) (string, error) {
	if n.Kind != yaml.SequenceNode {
		return r.scalarOf(n, errNotRecords)
	}
	items := make([]string, len(n.Content))
	for i, child := range n.Content {
		text, err := r.scalarOf(child, errNotRecords)
		if err != nil {
			return "", err
		}
		if strings.Contains(text, ",") {
			return "", errors.New("has a comma in an element of a list")
		}
		items[i] = text
	}
	return strings.Join(items, ","), nil
}
