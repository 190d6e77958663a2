# The tasks of development. Each task calls the command that README.md, docs/ or .ci/ names.
# Pass arguments in ARGS: make test ARGS='tests/core -q'
.PHONY: bench docs help image install lint lock openapi run test
export PATH := $(CURDIR)/.venv/bin:$(PATH)
LOCK = uv pip compile --quiet --config-file requirements/uv.toml $(ARGS) pyproject.toml

help: ## List the tasks
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

install: ## Install the service and its tools into .venv, from the lock
	.ci/install

run: ## Start the service
	crop-planner serve $(ARGS)

test: ## Run the tests
	python -m pytest $(ARGS)

lint: ## Check format, style and types
	.ci/lint

bench: ## Run the benchmarks
	python -m benchmarks $(ARGS)

docs: ## Check that the documentation is complete
	python -m pytest tests/docs $(ARGS)

openapi: ## Write the golden OpenAPI document anew
	python -m tests.support.openapi > docs/reference/openapi.json

# The images must run the versions that are tested: dev.txt constrains the other two.
lock: ## Write the lock anew; ARGS=--upgrade takes newer versions
	$(LOCK) --extra dev --output-file requirements/dev.txt
	$(LOCK) --constraint requirements/dev.txt --output-file requirements/run.txt
	$(LOCK) --constraint requirements/dev.txt --extra openvino --output-file requirements/openvino.txt

image: ## Build the image and start it
	docker compose up --build -d --wait
