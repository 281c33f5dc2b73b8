# What a developer types. Everything that is missing is installed or named by the scripts in softhsm-tests/setup/.

SHELL := /bin/bash
SETUP := softhsm-tests/setup
ARGS  ?=

.PHONY: help run test lint fmt bench fuzz vectors soak doc
.DEFAULT_GOAL := help

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

run: ## Sign a master's key on a throw-away SoftHSM2 token and keep serving (ARGS="--help" for its options)
	@$(SETUP)/packages.sh run
	cargo run --package signer --bin mastersign -- dev $(ARGS)

test: ## Everything: unit tests, real tokens, real Salt of three lines
	@$(SETUP)/suite.sh

lint: ## Formatting, clippy and documentation, with no warning left
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps

fmt: ## Format the code
	cargo fmt --all

bench: ## Measure on a real token and beside real Salt, as ratios (optimised build; the silent drop needs root)
	@$(SETUP)/packages.sh test
	@$(SETUP)/salt.sh
	cargo bench --package softhsm-tests --bench '*'

fuzz: ## Feed arbitrary bytes to every parser (SECONDS_EACH=60; KEEP=1 for the corpus; needs cargo-fuzz and a nightly toolchain)
	@$(SETUP)/fuzz.sh

vectors: ## Record minion/tests/vectors anew from the masters and salt-key of each Salt (ARGS="3008.5" for one of them)
	@$(SETUP)/packages.sh test
	@$(SETUP)/vectors.sh $(ARGS)

soak: ## Every case at every Salt, then the failover and concurrency tests again and again (ROUNDS=20)
	@$(SETUP)/packages.sh test
	@$(SETUP)/salt.sh
	cargo test --package softhsm-tests --test it -- --include-ignored masters::
	SOFTHSM_TESTS_ROUNDS=$${ROUNDS:-20} cargo test --package softhsm-tests --test it -- \
		a_thousand_concurrent_first_requests a_minion_moves_to_the_next_master

doc: ## The documentation of the code, in target/doc
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps
