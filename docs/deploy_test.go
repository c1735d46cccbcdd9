package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wayli-app/fluxbase/controlplane/config"
)

// What can be said of Dockerfile and docker-compose.yml without a container engine.

// instruction is one line of a Dockerfile, continued lines joined.
type instruction struct{ name, args string }

func dockerfile(t *testing.T) []instruction {
	t.Helper()
	text := strings.ReplaceAll(readFile(t, "Dockerfile"), "\\\n", " ")
	var list []instruction
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		name, args, _ := strings.Cut(l, " ")
		list = append(list, instruction{name, strings.TrimSpace(args)})
	}
	return list
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkImage wants a tag that does not mean another image next month.
func checkImage(t *testing.T, image string) {
	t.Helper()
	if _, tag, found := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":"); !found || !regexp.MustCompile(`\d`).MatchString(tag) {
		t.Errorf("image %q: no tag with a version", image)
	}
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	var stages [][]instruction
	for _, i := range dockerfile(t) {
		if i.name == "FROM" {
			stages = append(stages, nil)
			checkImage(t, strings.Fields(i.args)[0])
		}
		if len(stages) == 0 {
			t.Fatalf("%s before FROM", i.name)
		}
		stages[len(stages)-1] = append(stages[len(stages)-1], i)
		if (i.name == "ENV" || i.name == "ARG") && looksSecret(i.args) {
			t.Errorf("a secret would stay in the image: %s %s", i.name, i.args)
		}
	}
	if len(stages) != 2 {
		t.Fatalf("%d stages", len(stages))
	}
	build, final := stages[0], stages[1]

	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "go.mod"))[1]
	if !strings.HasPrefix(build[0].args, "golang:"+version+"-") && !strings.HasPrefix(build[0].args, "golang:"+version+".") {
		t.Errorf("go.mod wants Go %s, the image is built with %s", version, build[0].args)
	}
	if !slices.ContainsFunc(build, func(i instruction) bool {
		return i.name == "RUN" && strings.HasPrefix(i.args, "CGO_ENABLED=0 go build")
	}) {
		t.Error("the binary is not built with CGO_ENABLED=0")
	}

	user, health := "", false
	for _, i := range final {
		switch i.name {
		case "USER":
			user = i.args
		case "HEALTHCHECK":
			health = strings.Contains(i.args, "/readyz")
		case "COPY":
			if strings.HasPrefix(i.args, ". ") {
				t.Error("the sources are copied into the final image")
			}
		}
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("the image runs as %q, not as a user and group by number that are not root", user)
	}
	if !health {
		t.Error("no HEALTHCHECK of /readyz")
	}
}

// The build sees only what is named.
func TestDockerignore(t *testing.T) {
	t.Parallel()
	var patterns []string
	for _, l := range strings.Split(readFile(t, ".dockerignore"), "\n") {
		if l != "" && !strings.HasPrefix(l, "#") {
			patterns = append(patterns, l)
		}
	}
	if patterns[0] != "*" {
		t.Error("not everything is left out at first")
	}
	for _, p := range patterns {
		if name, kept := strings.CutPrefix(p, "!"); kept {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^//go:embed (.+)$`).FindAllStringSubmatch(readFile(t, "fluxbase.go"), -1) {
		for _, tree := range strings.Fields(m[1]) {
			tree = strings.TrimPrefix(tree, "all:")
			if !slices.Contains(patterns, "!"+tree+"/") {
				t.Errorf("the binary embeds %s, and the build does not see it", tree)
			}
		}
	}
}

type compose struct {
	Services map[string]struct {
		Image       string
		Build       any
		User        string
		Privileged  bool
		Environment map[string]string
		Secrets     []string
		Ports       []string
		ReadOnly    bool `yaml:"read_only"`
		Healthcheck struct {
			Test    []string
			Disable bool
		}
		CapDrop []string `yaml:"cap_drop"`
	}
	Secrets map[string]struct {
		File        string
		Environment string
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	text := readFile(t, "docker-compose.yml")
	var c compose
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "fluxbase", "mailpit"} {
		if _, there := c.Services[name]; !there {
			t.Errorf("no service %s", name)
		}
	}
	known := map[string]bool{config.ConfigVariable: true}
	for _, o := range config.Options() {
		known[o.Variable] = true
		if o.Secret {
			known[o.Variable+"_FILE"] = true
		}
	}
	used := map[string]bool{}
	for name, s := range c.Services {
		if s.Build == nil {
			checkImage(t, s.Image)
		}
		if s.Privileged || s.User == "root" || s.User == "0" {
			t.Errorf("%s: runs as root", name)
		}
		if len(s.Healthcheck.Test) == 0 && !s.Healthcheck.Disable {
			t.Errorf("%s: no health check", name)
		}
		if s.Build != nil && (!s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"})) {
			t.Errorf("%s: may write or holds capabilities", name)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: port %s is open to everybody", name, port)
			}
		}
		for variable, value := range s.Environment {
			secret, fromFile := strings.CutPrefix(value, "/run/secrets/")
			if strings.HasPrefix(variable, "FLUXBASE_") && !known[variable] {
				t.Errorf("%s: %s is no variable of ours", name, variable)
			}
			if fromFile != strings.HasSuffix(variable, "_FILE") || !fromFile && looksSecret(variable) {
				t.Errorf("%s: %s does not come from a file", name, variable)
			}
			if fromFile && !slices.Contains(s.Secrets, secret) {
				t.Errorf("%s: %s names the secret %s, which the service does not get", name, variable, secret)
			}
		}
		for _, secret := range s.Secrets {
			used[secret] = true
			if c.Secrets[secret].File == "" {
				t.Errorf("%s: the secret %s is no file", name, secret)
			}
		}
	}
	for name := range c.Secrets {
		if !used[name] {
			t.Errorf("nobody uses the secret %s", name)
		}
	}
	if found := regexp.MustCompile(`://[^\s/]*:[^\s/]*@`).FindString(text); found != "" {
		t.Errorf("a password in a URL: %s", found)
	}
	if !strings.Contains(readFile(t, ".dockerignore"), "*\n") || !strings.Contains(readFile(t, ".gitignore"), "/secrets/") {
		t.Error("the directory secrets could get into an image or a commit")
	}
}

// looksSecret tells by its name that a variable holds a secret.
func looksSecret(variable string) bool {
	return regexp.MustCompile(`(?i)password|secret|token|_key\b|_url\b`).MatchString(variable)
}
