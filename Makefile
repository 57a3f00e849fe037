# `make help` lists the verbs. Two sets of build flags are in use, none for what is built
# and -race for tests: each further one would compile SQLite's C anew, which takes minutes.
SHELL := /bin/bash
BIN   := bin
LINT  := $(BIN)/tools/golangci-lint
BUF   := tools/node_modules/.bin/buf

.PHONY: help build demo run test check generate bench bench-check bench-peers soak

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/taskhost and bin/plugins/*
	@mkdir -p $(BIN)/plugins
	@[ -n "$$(find "$$(go env GOCACHE)" -maxdepth 0 -not -empty 2>/dev/null)" ] || echo "building taskhost: the first build compiles SQLite and takes some minutes"
	@echo "building $(BIN)/taskhost"
	@go build -o $(BIN)/taskhost ./cmd/taskhost
	@echo "building $(BIN)/plugins/import"
	@go build -o $(BIN)/plugins/import ./plugins/import
	@echo "building $(BIN)/plugins/hello"
	@go build -o $(BIN)/plugins/hello ./examples/hello-plugin

demo: build ## import real disk images with each kind of executor and check them
	@go run ./examples/demo -bin $(BIN)

run: build ## a server on a throw-away store, on 127.0.0.1:7070
	@$(BIN)/taskhost dev --import-root examples/images

test: build ## every test, in shuffled order under the race detector
	@bash tools/test.sh

check: generate-check openapi-check $(LINT) ## lint, generated code, the OpenAPI document, the import table
	@test -z "$$(gofmt -l bench cmd examples host plugins sdk)" || { gofmt -l bench cmd examples host plugins sdk; echo "run gofmt -w on these"; exit 1; }
	@go vet ./...
	@$(LINT) run ./...
	@cd bench && go vet ./... && ../$(LINT) run ./...

generate: $(BUF) $(BIN)/tools/protoc-gen-go ## write what follows from executor.proto and the config's structs anew
	@$(BUF) generate
	@bash tools/descriptor.sh $(BUF)
	@bash tools/reference.sh

.PHONY: generate-check
generate-check: generate
	@$(BUF) lint
	@git diff --exit-code --stat -- sdk/internal/executorpb examples/python-plugin/shout.py host/config/comments.go docs/config.md || { echo "these are not what their sources give: commit what make generate wrote"; exit 1; }

.PHONY: openapi-check
openapi-check: $(BUF)
	@bash tools/openapi.sh

bench: ## [FIGURES=regexp]: figures, each beside the raw limit of this machine, and which marks are reached
	@mkdir -p $(BIN)/tools && cd bench && go build -o ../$(BIN)/tools/ ./cmd/bench
	@$(BIN)/tools/bench -figures "$(FIGURES)" $(ARGS)

bench-check: ## BASE=commit [HEAD=commit] [FIGURES=regexp]: what a change costs
	@mkdir -p $(BIN)/tools && cd bench && go build -o ../$(BIN)/tools/ ./cmd/bench-check
	@$(BIN)/tools/bench-check -base "$(BASE)" -head "$(or $(HEAD),HEAD)" -figures "$(FIGURES)" $(ARGS)

bench-peers: ## [PEERS=names]: the same jobs through other queues; writes docs/performance.md
	@bash bench/install.sh
	@mkdir -p $(BIN)/tools && cd bench && go build -o ../$(BIN)/tools/ ./cmd/peers && exec ../$(BIN)/tools/peers -peers "$(PEERS)" $(ARGS)

soak: build ## the crash loops, long
	@TASKHOST_SOAK=1 go test -race -shuffle=on -count=1 -timeout 3h -run 'Crash|Soak' ./cmd/... ./host/... ./plugins/...

$(BUF): tools/package.json # and with it all else that comes from npm
	@cd tools && npm install --silent --no-audit --no-fund --no-package-lock --prefer-offline && touch node_modules/.bin/buf

$(BIN)/tools/protoc-gen-go: tools/go.sum
	@mkdir -p $(BIN)/tools && cd tools && go build -o ../$(BIN)/tools/ google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc

$(LINT): tools/lint/go.sum
	@echo "building golangci-lint (once)"
	@mkdir -p $(BIN)/tools && cd tools/lint && go build -o ../../$(BIN)/tools/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
