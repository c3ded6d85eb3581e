# The one entry point. `make` alone says what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

TARGET := $(or $(CARGO_TARGET_DIR),target)
CONTROL_PLANE := $(TARGET)/debug/control-plane
OPERATOR := $(TARGET)/debug/holdpoint
INSTALLED := --operator $(OPERATOR) --manifest deploy/install.yaml

# One manifest with everything, on standard output.
define install_manifest
{ kubectl="$$($(CONTROL_PLANE) assets)/kubectl"; \
  echo '# Built by `make crds` from deploy/ and crds/. Do not edit.'; \
  echo '# Apply it with: kubectl apply --server-side -f install.yaml'; \
  "$$kubectl" kustomize deploy; }
endef

.PHONY: help
help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do printf 'make %-11s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: built ## show the main job on a real control plane: a gate refuses, the fix, the gate opens
	@$(CONTROL_PLANE) demo $(INSTALLED)

.PHONY: up
up: built ## the same control plane and operator, kept running until Ctrl-C
	@$(CONTROL_PLANE) up $(INSTALLED)

.PHONY: test
test: check ## make check, then every test, the end-to-end tests included
	cargo test --workspace

.PHONY: check
check: built ## formatting, lints, docs, architecture, and that generated files are up to date
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib -p holdpoint -p control-plane
	@new=$$(mktemp -d); trap 'rm -r "$$new"' EXIT; \
	  $(OPERATOR) crds --output "$$new"; cp crds/kustomization.yaml "$$new"; \
	  diff -ru crds "$$new" && $(install_manifest) | diff -u deploy/install.yaml - && $(OPERATOR) cli-reference | diff -u docs/cli.md - \
	  && $(OPERATOR) presets -o markdown | diff -u docs/presets.md - \
	    || { echo 'crds/, deploy/install.yaml, docs/cli.md or docs/presets.md is not up to date: run make crds and commit what changes'; exit 1; }
	cargo test --test architecture

.PHONY: bench
bench: tools assets ## what the webhook costs, beside no webhook and a webhook that does nothing
	cargo bench --bench admission

.PHONY: bench-scale
bench-scale: tools assets ## what 10,000 checks and 1,000 gates cost: about 15 minutes (QUIET_SECONDS=30: about 10)
	cargo bench --bench scale

.PHONY: crds
crds: built ## regenerate crds/, deploy/install.yaml, docs/cli.md and docs/presets.md
	@rm -f crds/holdpoint.dev_*.yaml
	@$(OPERATOR) crds --output crds
	@$(install_manifest) > deploy/install.yaml.new; mv deploy/install.yaml.new deploy/install.yaml
	@$(OPERATOR) cli-reference > docs/cli.md
	@$(OPERATOR) presets -o markdown > docs/presets.md

.PHONY: assets
assets: control-plane ## build etcd, kube-apiserver, kube-controller-manager and kubectl: once per machine, about 8 minutes
	@folder=$$($(CONTROL_PLANE) assets); echo "Kubernetes programs: $$folder"

.PHONY: clean
clean: ## remove what cargo built; the Kubernetes programs are kept
	cargo clean

# The operator and, beside it, the Kubernetes programs, which take longest on a new machine.
.PHONY: built operator control-plane
built: control-plane
	@$(MAKE) -j2 assets operator
operator: control-plane
	cargo build --bin holdpoint
control-plane: tools
	cargo build -p control-plane

# What a machine with Rust, Go, Node and Python may still lack. Go is looked for when it is needed.
.PHONY: tools
tools:
	@command -v cc >/dev/null || { \
	  echo 'There is no C compiler, which the crates ring and mimalloc need: installing the Debian packages gcc and libc6-dev.'; \
	  root=$$([ "$$(id -u)" = 0 ] || echo sudo); export DEBIAN_FRONTEND=noninteractive; \
	  $$root apt-get update -q && $$root apt-get install -qy --no-install-recommends gcc libc6-dev; }
	@{ cargo --version && cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 || { \
	  echo 'Installing the toolchain that rust-toolchain.toml names.'; rustup toolchain install; }
