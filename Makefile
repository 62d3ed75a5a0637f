# A menu: each verb is a script in scripts/, the same by hand and in CI.
.DEFAULT_GOAL := help
.PHONY: help run build check test lab cross size image board smoke bench crash fuzz setup setup-test board-lock clean

help: ## this list
	@echo "make VERB, one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## build, then start the camera on the sim board and print its URL (ARGS= go to agent run)
	@scripts/run $(ARGS)

build: ## agent and camctl into bin/
	@scripts/build

check: ## the loop while working: format, vet, layers, unit tests with -race, 32-bit build
	@scripts/check

test: ## everything that CI runs
	@scripts/test

lab: ## what go test ./lab runs: programs, images, the lab's hand (ARCH=arm64|armv7 narrows)
	@scripts/lab $(ARCH)

cross: ## static stripped agents for armv7, arm64, amd64 into dist/
	@scripts/cross

size: ## what each dependency costs in the armv7 agent
	@scripts/size

image: ## the disk image of a board into dist/BOARD/ (BOARD=qemu-virt-arm64, ROOT=FILE the update root key, VERSION=1.4.0)
	@scripts/image

board: ## boot that image of the virtual board and say its stream's URL (ARCH=arm64|armv7)
	@scripts/board run

smoke: ## boot the smallest virtual board and decode its stream (ARCH=arm64|armv7)
	@scripts/smoke

bench: ## the figures of docs/performance.md, beside the peers'
	@scripts/bench $(ARGS)

crash: ## the update engine's power cuts, a million states, and what kills each mutant
	@scripts/crash $(ARGS)

fuzz: ## every fuzz test for FUZZTIME=30s
	@scripts/fuzz

setup: ## install what make build and make run need
	@scripts/setup build

setup-test: ## install what make test and make bench need
	@scripts/setup test

board-lock: ## move the virtual board to Debian's newest kernel
	@scripts/board-lock

clean: ## remove bin/ and dist/ (.cache/ and var/ stay)
	@rm -rf bin dist
