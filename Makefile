# Every target sets up .venv by itself; a second call does not touch pip.
PYTHON ?= python3
VENV := .venv
OIDC := tests/support/oidc_provider
PEERS := bench/peers
DRAWN := tests/test_point_test_oracle.py tests/test_geofence_sizes.py tests/test_geofence_file_round_trips.py
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --no-input
ARGS ?=

# A virtual environment whose Python is gone (moved folder, removed interpreter) is made anew.
ifneq ($(shell $(PY) -c 'print("works")' 2>/dev/null),works)
$(shell rm -f $(VENV)/.made)
endif

.DEFAULT_GOAL := help
.PHONY: help run test lint audit format bench bench-audit bench-geofences bench-growth profile faults fuzz vendor screenshots

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

run: $(VENV)/.run-requirements ## serve on 127.0.0.1:8000 (PORT), with a local Postgres unless DATABASE_URL is set
	@exec $(PY) manage.py run --stop-with-parent

test: $(VENV)/.dev-requirements $(OIDC)/node_modules/.made ## run the whole suite beside a throw-away Postgres, or at DATABASE_URL as a superuser (ARGS='-k login' picks tests)
	@exec $(PY) -m spatialflow.localdb -- $(PY) -m pytest -n 2 $(ARGS)

lint: $(VENV)/.dev-requirements ## ruff, mypy, missing migrations, Compose file, deployment check
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m spatialflow.localdb -- $(PY) manage.py makemigrations --check --dry-run
	$(PY) -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@echo "$(PY) manage.py check --deploy --fail-level WARNING   (with a production-like environment)"
	@random() { $(PY) -c 'import secrets; print(secrets.token_hex(32))'; }; \
	SPATIALFLOW_ENV=production PUBLIC_URL=https://auth.example.com ALLOWED_HOSTS=auth.example.com TRUSTED_PROXY_COUNT=1 \
	DATABASE_URL=postgresql://spatialflow@db.example.com/spatialflow \
	SECRET_KEY=$$(random) JWT_SIGNING_KEYS=first:$$(random) ENCRYPTION_KEYS=first:$$(random) \
	$(PY) manage.py check --deploy --fail-level WARNING

audit: $(VENV)/.dev-requirements ## ask PyPI and npm which installed releases are known to be vulnerable (ARGS='--service osv' asks OSV)
	@exec $(PY) -m tests.advisories $(ARGS)

bench: $(VENV)/.run-requirements $(PEERS)/.venv/.made $(PEERS)/better_auth/node_modules/.made ## measure the service beside its peers: six minutes (ARGS='--rounds 1' is quick)
	@exec $(PY) -m bench $(ARGS)

bench-audit: $(VENV)/.run-requirements ## measure how many events the audit trail takes, and verify its chain: half a minute
	@exec $(PY) -m bench.audit $(ARGS)

bench-geofences: $(VENV)/.run-requirements ## measure point tests and lists with up to a million fences, and imports: ten minutes
	@exec $(PY) -m bench.geofences $(ARGS)

bench-growth: $(VENV)/.run-requirements ## measure whether large tables cost anything: a million keys and sign-ins, ten million audit events
	@exec $(PY) -m bench.growth $(ARGS)

profile: $(VENV)/.run-requirements ## show where the CPU time of each kind of request goes: a minute
	@exec $(PY) -m bench.profiling $(ARGS)

faults: $(VENV)/.dev-requirements ## stop, freeze and kill Postgres, Valkey and the service under load, and say in a table what held: six minutes, longer on a busy machine
	@exec $(PY) -m tests.faults

fuzz: $(VENV)/.dev-requirements ## throw the API's own description at it for long, with all checks on, and draw new fences: six minutes (ARGS='-k program' picks)
	@exec $(PY) -m spatialflow.localdb -- $(PY) -m pytest -q --hypothesis-profile=default tests/fuzz.py $(DRAWN) $(ARGS)

vendor: ## copy the third-party files that the dashboard serves, with their licences, from their npm packages
	@command -v npm >/dev/null || { echo "npm is needed: install the Debian package npm." >&2; exit 1; }
	@folder=$$(mktemp -d) && cp package.json $$folder && npm install --prefix $$folder --ignore-scripts --no-audit --no-fund --silent && \
	rm -rf dashboard/static/vendor && mkdir -p dashboard/static/vendor/pico dashboard/static/vendor/htmx dashboard/static/vendor/leaflet && \
	cp $$folder/node_modules/@picocss/pico/LICENSE.md $$folder/node_modules/@picocss/pico/css/pico.min.css dashboard/static/vendor/pico && \
	cp $$folder/node_modules/htmx.org/LICENSE $$folder/node_modules/htmx.org/dist/htmx.min.js dashboard/static/vendor/htmx && \
	cd $$folder/node_modules/leaflet && cp -r LICENSE dist/leaflet.js dist/leaflet.css dist/images $(CURDIR)/dashboard/static/vendor/leaflet && \
	rm -rf $$folder

screenshots: $(VENV)/.dev-requirements ## take pictures of every page of the dashboard, into var/screenshots
	@exec $(PY) -m spatialflow.localdb -- $(PY) -m pytest -q -n 2 -o python_files=screenshots.py tests/screenshots.py
	@echo "They are in var/screenshots."

format: $(VENV)/.dev-requirements ## let ruff put the code in order
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: install the Debian package python3, or name one with PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: name a newer one with PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install the Debian package python3-venv." >&2; exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run-requirements: requirements.txt $(VENV)/.made
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev-requirements: requirements-dev.txt requirements.txt $(VENV)/.made
	$(PIP) -r requirements-dev.txt
	@touch $@ $(VENV)/.run-requirements

$(OIDC)/node_modules/.made: $(OIDC)/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "Node.js is needed for the OpenID provider that tests sign in at: install the Debian packages nodejs and npm." >&2; exit 1; }
	npm ci --prefix $(OIDC) --no-audit --no-fund --no-update-notifier
	@touch $@

$(PEERS)/.venv/.made: $(PEERS)/requirements.txt $(VENV)/.made
	@$(PYTHON) -m venv --clear $(PEERS)/.venv
	$(PEERS)/.venv/bin/python -m pip install --disable-pip-version-check --no-input -r $(PEERS)/requirements.txt
	@touch $@

$(PEERS)/better_auth/node_modules/.made: $(PEERS)/better_auth/package-lock.json
	@command -v node >/dev/null && command -v npm >/dev/null || { echo "Node.js is needed for better-auth, which the benchmark compares with: install the Debian packages nodejs and npm." >&2; exit 1; }
	npm ci --prefix $(PEERS)/better_auth --no-audit --no-fund --no-update-notifier --legacy-peer-deps
	@touch $@
