package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} by the variable and ${NAME:-text} by the variable or, when it is unset or empty, by text.
// $${ stands for a plain ${; any other $ stands for itself. What a variable holds is not looked at again.
func expand(text string, variables map[string]string) (string, error) {
	var b strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if at > 0 && text[at-1] == '$' {
			b.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		b.WriteString(text[:at])
		end := strings.IndexByte(text[at:], '}')
		if end < 0 {
			return "", hinted{"has a ${ without its }", "write $${ where a plain ${ is meant"}
		}
		name, fallback, hasFallback := strings.Cut(text[at+2:at+end], ":-")
		if !isVariableName(name) {
			return "", hinted{"has a ${...} that is not a name of a variable", "write $${ where a plain ${ is meant"}
		}
		value, set := variables[name]
		switch {
		case hasFallback && value == "":
			value = fallback
		case !set:
			return "", hinted{
				fmt.Sprintf("uses ${%s}, and the environment has no %s", printable(name), printable(name)),
				fmt.Sprintf("set it, or write ${%s:-text} with a text to use without it", printable(name)),
			}
		}
		b.WriteString(value)
		text = text[at+end+1:]
	}
}

// referenced calls visit with the name of each variable that text uses.
func referenced(text string, visit func(name string)) {
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			return
		}
		name, _, _ := strings.Cut(text[at+2:], "}")
		name, _, _ = strings.Cut(name, ":-")
		visit(name)
		text = text[at+2:]
	}
}

// isVariableName says that name is letters, digits and underscores, and begins with no digit.
func isVariableName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
