# Everything a person or CI runs. `make help` lists the targets.

GO          ?= go
OUT         := out
BIN         := bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
LDFLAGS     := -s -w
WINDOWS     := amd64 arm64
# Go 1.26's own crypto module has 32 MiB for an entropy source that is never
# asked on Windows; they are committed in every process. The module before has not.
CRYPTO      := v1.0.0

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the shim and isolctl for windows/amd64 and windows/arm64 into bin/
	@for arch in $(WINDOWS); do \
	  for cmd in containerd-shim-isol-v1 isol-guest isolctl; do \
	    echo "build windows/$$arch $$cmd"; \
	    GOOS=windows GOARCH=$$arch CGO_ENABLED=0 GOFIPS140=$(CRYPTO) $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/windows-$$arch/$$cmd.exe ./cmd/$$cmd || exit 1; \
	  done; \
	done

.PHONY: demo
demo: setup ## Install what the lab needs, boot containerd.exe, run a container with isol and show each step
	$(GO) run ./test/demo

# The pods' tests run for each handler of containerd's; `make test` has no time
# for all of them, `make e2e` by itself runs them all.
test: export ISOL_PODS := short

.PHONY: test
test: setup lint check-generate unit e2e ## Everything: lint, generated files, unit tests with -race and coverage, the lab end to end

.PHONY: setup
setup: ## Install Wine and the C cross compiler where they are missing (Debian, root)
	@./test/lab/install.sh

.PHONY: unit
unit: ## Unit tests on Linux with the race detector, and the coverage floor
	@mkdir -p $(OUT)
	$(GO) test -race -short -timeout 15m -coverpkg=./internal/... -coverprofile=$(OUT)/cover.out ./...
	$(GO) run ./test/cover -min 85 $(OUT)/cover.out

.PHONY: e2e
e2e: ## The real containerd.exe, Microsoft's shim and ours in the lab
	ISOL_LAB=required $(GO) test -count=1 -p 1 -timeout 30m ./test/e2e/... ./test/lab/... ./test/hcsemu/... ./test/bench/... ./test/leaks/... ./test/parity ./test/soak/...

.PHONY: bench
bench: setup ## Measure the shim in the lab: size, memory, latencies, throughput
	$(GO) run ./test/bench

.PHONY: parity
parity: setup ## Run Microsoft's shim and ours side by side in the lab and compare what they do
	$(GO) run ./test/parity

.PHONY: parity-doc
parity-doc: setup ## The same, and write docs/parity.md
	$(GO) run ./test/parity -doc

.PHONY: leaks
leaks: setup ## Every disaster at every call, in process; then kill the shim at each call and message in the lab and count what is left
	$(GO) test -count=1 -timeout 30m -run 'Anywhere|TestJournalNames' ./internal/pod
	$(GO) run ./test/leaks

.PHONY: soak
soak: setup ## Probe and crowd pods for long in the lab and show that the shims do not grow
	$(GO) run ./test/soak

.PHONY: lint
lint: ## gofmt, go vet for linux and windows (amd64, arm64), staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	GOOS=windows GOARCH=amd64 $(GO) vet ./...
	GOOS=windows GOARCH=arm64 $(GO) vet ./...
	for dir in $$(git ls-files '*/go.mod' | xargs -n1 dirname); do ! git ls-files --error-unmatch "$$dir/*.go" >/dev/null 2>&1 || (cd $$dir && $(GO) vet ./...) || exit 1; done
	@mkdir -p $(OUT) && GOBIN=$(CURDIR)/$(OUT) $(GO) install $(STATICCHECK)
	$(OUT)/staticcheck ./...
	GOOS=windows $(OUT)/staticcheck ./...

.PHONY: generate
generate: ## Write the generated files anew: system call bindings, docs/annotations.md
	$(GO) generate ./...

.PHONY: check-generate
check-generate: generate ## Fail if a generated file is not current
	@git diff --exit-code --stat -- '*zsyscall_windows.go' '*.pb.go' docs/annotations.md || { echo "generated files are not current: run 'make generate' and commit"; exit 1; }

.PHONY: clean
clean: ## Remove bin/ and out/ (the lab's cache lies in the user's cache folder, isol/)
	rm -rf $(BIN) $(OUT)
