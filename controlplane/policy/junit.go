package policy

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure"`
	Skipped *struct{}     `xml:"skipped"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes reports in the XML that CI systems read. A file that failed as a whole has a case for that.
func WriteJUnit(w io.Writer, reports []Report) error {
	var all junitSuites
	for _, r := range reports {
		suite := junitSuite{Name: r.File, Failures: r.Failed(), Time: fmt.Sprintf("%.3f", r.Took.Seconds())}
		for _, t := range r.Tests {
			c := junitCase{Class: r.File, Name: printable(t.Name)}
			switch {
			case t.Skipped:
				c.Skipped = &struct{}{}
				suite.Skipped++
			case !t.OK:
				c.Failure = &junitFailure{Message: "not ok", Text: printable(t.Diagnosis)}
			}
			suite.Cases = append(suite.Cases, c)
		}
		if r.Problem != "" {
			suite.Cases = append(suite.Cases, junitCase{Class: r.File, Name: "the file as a whole", Failure: &junitFailure{Message: "failed", Text: printable(r.Problem)}})
		}
		suite.Tests = len(suite.Cases)
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// printable drops what XML cannot hold.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, s)
}
