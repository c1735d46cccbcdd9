package policy

import (
	"regexp"
	"strconv"
	"strings"
)

// Test is one line of TAP (testanything.org) with the diagnosis that follows it.
type Test struct {
	Name      string
	OK        bool
	Skipped   bool // SKIP or TODO: does not fail
	Diagnosis string
}

var (
	tapTest = regexp.MustCompile(`^(not )?ok\b(?: +\d+)?(?: +-)? *(.*?)(?: +# *(?i:(skip|todo))\b.*)?$`)
	tapPlan = regexp.MustCompile(`^1\.\.(\d+)(?: +#.*)?$`)
)

// parseTAP reads the output of one file. A problem is what makes it a failure as a whole: no plan, another number of
// tests than planned, or none, or an abort.
func parseTAP(output string) (tests []Test, problem string) {
	planned := -1
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, " \r\n")
		if m := tapTest.FindStringSubmatch(line); m != nil {
			tests = append(tests, Test{Name: m[2], OK: m[1] == "", Skipped: m[3] != ""})
		} else if m := tapPlan.FindStringSubmatch(line); m != nil {
			if planned >= 0 {
				problem = "two plans"
			}
			planned, _ = strconv.Atoi(m[1])
		} else if text, found := strings.CutPrefix(line, "Bail out!"); found {
			return tests, "bail out:" + text
		} else if text, found := strings.CutPrefix(line, "#"); found && len(tests) > 0 {
			last := &tests[len(tests)-1]
			last.Diagnosis = strings.TrimPrefix(last.Diagnosis+"\n"+strings.TrimPrefix(text, " "), "\n")
		}
	}
	switch {
	case problem != "":
	case planned < 0:
		problem = "no plan: end with select auth.test_finish()"
	case planned != len(tests):
		problem = "planned " + strconv.Itoa(planned) + " tests, ran " + strconv.Itoa(len(tests))
	case len(tests) == 0:
		problem = "no tests"
	}
	return tests, problem
}
