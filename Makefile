# Needs Rust and Python 3.11 or later. check, iam, bench, and the browser tests also need Node.js 20 or later with npm.
# The rest is installed into target/tools.
.DEFAULT_GOAL := help
.PHONY: help dev quick test page peers pictures torture fuzz mutants bench bench-check bench-keep demo watch check iam build redrive users-check directory-check clean
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The programs receive these values unchanged, through the environment. `$(value …)` keeps make from expanding them, and
# recipes name them as quoted shell variables. So a value with `;` or `$(…)` in it is text, never code.
override ADDRESS := $(value ADDRESS)
override APP := $(value APP)
override FIND := $(value FIND)
override FORMAT := $(value FORMAT)
override PARAMETERS := $(value PARAMETERS)
override PART := $(value PART)
override REPLACE := $(value REPLACE)
override SECONDS_EACH := $(value SECONDS_EACH)
override SENT_AS := $(value SENT_AS)
override SHARD := $(value SHARD)
override STACK := $(value STACK)
override USERS := $(value USERS)
export ADDRESS APP FIND FORMAT PARAMETERS PART REPLACE SECONDS_EACH SENT_AS SHARD STACK USERS

DESK := target/tools/desk/installed
SAM := target/tools/sam/installed
CARGO := target/tools/cargo/installed
IAM := target/tools/iam/installed
LOGINS := target/tools/logins/installed
MUTANTS := target/tools/cargo/mutants-installed
PAGE := target/tools/page/installed
desk := target/tools/desk/bin/python infra/desk/desk.py

help: ## print this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# USERS is table, postgresql, or cognito.
dev: $(DESK) $(SAM) ## run Rekey on a local AWS with a page and a mailbox; PARAMETERS="Name=value" sets parameters, APP=URL adds a page, USERS=postgresql keeps the users there
	@if [ "$$USERS" = postgresql ]; then sh infra/desk/postgresql.sh; fi
	@$(desk) dev

# The skipped journeys take longer: they try every fault, every hostile input, and races, and build the binaries.
quick: ## run the unit tests and the fast journeys, in under a minute once compiled
	@cargo test --locked --package rekey --package forgot --package reset --package journeys --lib --test journeys -- \
		--skip hostile:: --skip races:: --skip faults:: --skip retries:: --skip process:: --skip verbosity:: --skip deadlines:: --skip tls::

test: $(DESK) $(SAM) $(PAGE) $(LOGINS) ## run every test, the end-to-end tests against a separate stack for each kind of users
	@sh infra/desk/browser.sh
	@sh infra/logins/php.sh
	@cargo test --workspace --locked
	@cargo test --locked --test peers
	@node --test tests/page/
	@sh infra/desk/fuzz.sh try 10
	@sh infra/desk/cloud.sh
	@target/tools/desk/bin/python infra/desk/release.py test cargo test --locked --test cloud -- --ignored update::

page: $(PAGE) ## run the page's tests alone, in Chromium and Firefox
	@sh infra/desk/browser.sh
	@node --test tests/page/

peers: $(LOGINS) ## make a hash in each format, and have Django, argon2-cffi, Python's bcrypt, and PHP verify it
	@sh infra/logins/php.sh
	@cargo test --locked --test peers -- --nocapture

pictures: $(PAGE) ## save every state of the page as PNG in target/pictures, and the pictures of the README
	@sh infra/desk/browser.sh
	@node tests/page/pictures.mjs

torture: $(DESK) $(SAM) ## run the long versions of the tests, and record them in infra/TORTURE.md; PART="model cloud" runs two parts
	@sh infra/desk/browser.sh
	@target/tools/desk/bin/python infra/desk/torture.py "$${PART-}"

fuzz: ## fuzz the parsers of requests, events, rows, and URLs, each for SECONDS_EACH=600 seconds
	@sh infra/desk/fuzz.sh run "$${SECONDS_EACH:-600}"

mutants: $(MUTANTS) ## change the code in small ways, and fail if no test notices; SHARD=k/n tries the kth of n parts, from 0
	@sh infra/desk/mutants.sh "$${SHARD:-0/1}"

bench: $(DESK) $(SAM) ## measure Rekey and its peers; writes infra/bench/results.json and results.svg
	@sh infra/bench/peers/install.sh
	@sh infra/bench/run.sh measure infra/bench/results

bench-check: $(DESK) $(SAM) ## check the CPU time before TLS begins, and compare instructions and sizes with infra/bench/counts.json
	@sh infra/bench/run.sh check infra/bench/counts.json

bench-keep: $(DESK) $(SAM) ## save the current instructions and sizes in infra/bench/counts.json
	@sh infra/bench/run.sh keep infra/bench/counts.json

demo: $(DESK) ## walk through the flow once, on a running `make dev`
	@target/tools/desk/bin/python infra/desk/demo.py

watch: $(DESK) ## run both public halves with hot reload on port 9000, against a running `make dev`
	@$(desk) watch

check: $(SAM) $(CARGO) $(IAM) ## check imports, links, format, lints, documentation, template, roles, schema, and dependencies
	python3 infra/desk/check_tree.py
	cargo fmt --all --check
	cargo fmt --manifest-path tests/fuzz/Cargo.toml --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy --locked --test cloud -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	@for template in template.yaml infra/directories/*/template.yaml; do \
		SAM_CLI_TELEMETRY=0 target/tools/sam/bin/sam validate --lint --template-file "$$template" || exit 1; \
	done
	target/tools/sam/bin/python infra/iam/check.py
	target/tools/sam/bin/python infra/directories/check_schema.py
	target/tools/cargo/bin/cargo-machete
	target/tools/cargo/bin/cargo-deny check licenses bans sources
	@if target/tools/cargo/bin/cargo-deny fetch db >/dev/null 2>&1; \
	then target/tools/cargo/bin/cargo-deny check --disable-fetch advisories; \
	else echo "The advisory database cannot be downloaded: known vulnerabilities are NOT checked."; fi

iam: $(SAM) $(IAM) ## check the four roles in an IAM simulator: every call is allowed, every attack denied
	target/tools/sam/bin/python infra/iam/check.py

build: $(DESK) $(SAM) ## run sam build as dev and test do, and write a bill of materials for each binary
	@$(desk) build

redrive: $(DESK) ## send the notices whose retries ran out; STACK=name, with your AWS credentials
	@target/tools/desk/bin/python infra/redrive.py "$${STACK:-rekey}"

users-check: $(DESK) ## name the users that Rekey cannot find, and why; STACK=name, with your AWS credentials
	@target/tools/desk/bin/python infra/users_check.py "$${STACK:-rekey}"

directory-check: $(DESK) ## try two directory functions with a test user; FIND=arn REPLACE=arn ADDRESS=address, SENT_AS=plain, FORMAT=bcrypt-2b
	@target/tools/desk/bin/python infra/directory_check.py "$${FIND-}" "$${REPLACE-}" "$${ADDRESS-}" "$${SENT_AS-}" "$${FORMAT-}"

clean: ## delete everything that was built, including the tools
	rm -rf target .aws-sam

# Without optimization: these tools run for seconds, and compile for minutes.
$(CARGO):
	@echo "Installing cargo-deny and cargo-machete into target/tools/cargo. This happens once and takes minutes."
	@CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo install --quiet --locked --root target/tools/cargo cargo-deny@0.20.2 cargo-machete@0.9.2
	@touch $@

# The simulator is under the AGPL. It is a tool, never linked or shipped.
$(IAM): infra/iam/package.json infra/iam/package-lock.json
	@echo "Installing the pinned IAM simulator into target/tools/iam. This happens once."
	@$(call npm-ci,target/tools/iam)
	@touch $@

# Tools that drive the system's browsers and check accessibility, never shipped.
$(PAGE): tests/page/package.json tests/page/package-lock.json
	@echo "Installing the pinned tools of the page's tests into target/tools/page. This happens once."
	@$(call npm-ci,target/tools/page)
	@touch $@

# $(call npm-ci,FOLDER) installs the packages of the rule's two prerequisites.
define npm-ci
node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null && npm --version >/dev/null 2>&1 \
	|| { echo "This needs Node.js 20 or later, with npm."; exit 1; }; \
	rm -rf $(1) && mkdir -p $(1) && cp $^ $(1) && cd $(1) && npm ci --ignore-scripts --no-audit --no-fund --silent
endef

# Only `make mutants` needs it, so `make check` does not wait for it.
$(MUTANTS):
	@echo "Installing cargo-mutants into target/tools/cargo. This happens once and takes minutes."
	@CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo install --quiet --locked --root target/tools/cargo cargo-mutants@27.1.0
	@touch $@

# Separate environments, because aws-sam-cli and ministack require different versions of boto3.
target/tools/%/installed: infra/desk/requirements-%.txt
	@echo "Installing the pinned tools of requirements-$*.txt into target/tools/$*. This happens once."
	@python3 -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("The pinned tools need Python 3.11 to 3.14.")'
	@rm -rf target/tools/$* && mkdir -p target/tools
	@python3 -m venv target/tools/$*
	@target/tools/$*/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement $<
	@touch $@
