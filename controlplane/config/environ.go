package config

import (
	"regexp"
	"slices"
	"strings"
)

// ConfigVariable names the configuration file when the command line does not.
const ConfigVariable = variablePrefix + "CONFIG"

// testPrefix begins the variables that steer our own tests.
const testPrefix = variablePrefix + "TEST_"

// parseEnviron makes a map of a list of the form of os.Environ. What Kubernetes adds for a service is left out.
func parseEnviron(environ []string) map[string]string {
	variables := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, found := strings.Cut(pair, "="); found {
			variables[name] = value
		}
	}
	dropServiceLinks(variables)
	return variables
}

var (
	linkPort  = regexp.MustCompile(`^(?:tcp|udp|sctp)://`)
	linkNames = regexp.MustCompile(`^_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$`)
)

// dropServiceLinks removes the variables that Kubernetes sets in every container for each service of the namespace.
// A service named fluxbase or fluxbase-server would otherwise look like our own variables, and unknown or malformed
// ones at that. A link is known by X_SERVICE_HOST, X_SERVICE_PORT and an X_PORT that is a URL.
func dropServiceLinks(variables map[string]string) {
	for name := range variables {
		service, found := strings.CutSuffix(name, "_SERVICE_HOST")
		if !found || !strings.HasPrefix(service+"_", variablePrefix) {
			continue
		}
		if _, found := variables[service+"_SERVICE_PORT"]; !found || !linkPort.MatchString(variables[service+"_PORT"]) {
			continue
		}
		for other := range variables {
			if rest, found := strings.CutPrefix(other, service); found && linkNames.MatchString(rest) {
				delete(variables, other)
			}
		}
	}
}

// unknownVariables are the problems of variables that begin like ours and name no option. Those in known are left
// alone.
func unknownVariables(variables map[string]string, table []option, known map[string]bool) Problems {
	names := map[string]bool{}
	for _, o := range table {
		names[o.Variable] = true
		if o.Secret {
			names[o.Variable+strings.ToUpper(fileSuffix)] = true
		}
	}
	var candidates []string
	for name := range names {
		candidates = append(candidates, name)
	}
	slices.Sort(candidates)
	var problems Problems
	for name := range variables {
		if !strings.HasPrefix(name, variablePrefix) || strings.HasPrefix(name, testPrefix) ||
			name == ConfigVariable || names[name] || known[name] {
			continue
		}
		problems = append(problems, Problem{
			Source: printable(name), Message: "is not a variable of this program", Hint: didYouMean(nearest(name, candidates)),
		})
	}
	slices.SortFunc(problems, func(a, b Problem) int { return strings.Compare(a.Source, b.Source) })
	return problems
}
