package config

import (
	"fmt"
	"strings"
)

// Reference is the table of all options in Markdown, as it stands in docs/configuration.md.
func Reference() string {
	var b strings.Builder
	b.WriteString("| key | variable | value | default | what it does |\n|---|---|---|---|---|\n")
	for _, o := range Options() {
		b.WriteString(referenceRow(o))
	}
	return b.String()
}

func referenceRow(o Option) string {
	variable := code(o.Variable)
	if o.Secret {
		variable += ", " + code(o.Variable+strings.ToUpper(fileSuffix))
	}
	byDefault := code(o.Default)
	if o.DevelopmentDefault != o.Default {
		byDefault += ", in development " + code(o.DevelopmentDefault)
	}
	description := o.Description
	if o.Pending {
		description += " *Accepted and checked; no effect yet.*"
	}
	cells := []string{code(o.Key), variable, o.Type, byDefault, description}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	return fmt.Sprintf("| %s |\n", strings.Join(cells, " | "))
}

// code is text in the type of code, empty when it is.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
