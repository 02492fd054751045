# The same verbs for all: each works on a bare Debian 12 and is fast the second time.
.DEFAULT_GOAL := help
.PHONY: help bootstrap stack stack-stop test findings lint demo bench disasters load model fuzz clean

BIN := .venv/bin
STACK := $(BIN)/python -B -m tests.stack
ARGS ?=

help: ## what there is
	@awk -F ': .*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

bootstrap: ## install what is missing: Debian packages (root or sudo), .venv
	@tests/stack/bootstrap.sh

stack: bootstrap ## start RabbitMQ, Postgres, OpenLDAP and Samba AD privately; writes .stack/env
	@$(STACK) up

stack-stop: ## stop them and forget their data
	@python3 -B -m tests.stack down

test: bootstrap ## the whole suite against the stack (ARGS="-k guard -x")
	@$(STACK) run -- $(BIN)/pytest --cov --cov-report=term $(ARGS)

findings: bootstrap ## which test brings about which finding
	@$(BIN)/pytest --findings $(ARGS)

lint: bootstrap ## what a checker can hold
	@tests/stack/lint.sh

demo: bootstrap ## a platform and its directories, played from outside
	@$(STACK) run -- $(BIN)/python -m tests.demo

bench: bootstrap ## measure against the reference pipeline; writes .results/bench.json
	@STACK_DURABLE=1 $(STACK) run -- $(BIN)/python -m tests.bench

model: bootstrap ## random histories of one customer, many more than in the suite; writes .results/model.json
	@$(STACK) run -- $(BIN)/python -m tests.model

fuzz: bootstrap ## spoil what servers and platforms send, more than in the suite (FUZZ_SECONDS=120); writes .results/fuzz.json
	@$(BIN)/python -m tests.fuzz

load: bootstrap ## two days of 10,000 directories on a test clock, triggered by replicas that die; writes .results/load.json
	@$(STACK) run -- $(BIN)/python -m tests.load

disasters: bootstrap ## play what can go wrong, count whom it costs their mail; writes .results/disasters.json
	@$(STACK) run -- $(BIN)/python -m tests.disasters $(ARGS)

clean: stack-stop ## also forget what was installed here
	@rm -rf .venv .cache .results .coverage*
