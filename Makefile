# Needs Python 3.11 or newer and make; uv is fetched into $(TOOLS) where it is missing.

TOOLS ?= $(HOME)/.cache/cloche-tools
PYTHON ?= python3
UV := $(or $(shell command -v uv 2>/dev/null),$(TOOLS)/bin/uv)
RUN := $(UV) run --frozen --no-sync
# Tests that start real servers, in the order of their names: the longest have few tests, and would
# come last.
SERVERS := $(wildcard tests/local tests/models tests/contract tests/conformance)
# Tests against a real API server, and on real nodes; of those the story of the README runs each time.
CLUSTER := tests/cluster
STORY := tests/cluster/nodes/test_story.py
# Tests that load models with their own frameworks.
FRAMEWORKS := tests/frameworks
UNITS := $(addprefix --ignore=,$(SERVERS) $(FRAMEWORKS) $(CLUSTER)) tests
PYTEST := $(RUN) pytest
# What the usual run leaves out, and says so at its end: further combinations, which take long.
USUAL := -m "not thorough"
# Files of tests that run at once: three for two processors, since they wait for servers and disks.
WORKERS ?= 3
PARALLEL := $(PYTEST) -n $(WORKERS) --dist loadfile
IN_ORDER := $(PARALLEL) --no-loadscope-reorder
HARNESS := PYTHONPATH=tests $(RUN) python -m cluster.harness

# uv trusts the authorities of this machine, as git and curl do, unless it is told whom to trust. The
# second name is that of uv before 0.11.
STORES := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
	/etc/ssl/ca-bundle.pem /etc/ssl/cert.pem)
ifneq ($(STORES),)
ifeq ($(SSL_CERT_FILE)$(SSL_CERT_DIR)$(UV_SYSTEM_CERTS)$(UV_NATIVE_TLS),)
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true
endif
endif

# Where this is set nothing keeps its bytecode, and each command is compiled anew at every start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo install examples resnet50 test test-thorough lint units servers kubernetes-api cluster cluster-down cluster-tests cluster-tests-oldest conformance formats docs base-packages bench-serving bench-formats bench-deploy bench-images bench-kubernetes bench-rollback bench-routing faults fuzz sync clean

help:
	@echo "make demo           a model from a registry to verified answers, on this machine"
	@echo "make install        the command cloche, for you alone"
	@echo "make examples       register the models that the README deploys, in examples/mlflow.db"
	@echo "make resnet50       register torchvision's ResNet-50 there as well; PyTorch is large"
	@echo "make test           everything that CI runs: lint, units, real servers"
	@echo "make test-thorough  further combinations, which make test leaves out and says so"
	@echo "make lint           ruff, mypy, import arrows"
	@echo "make units          tests that start no server"
	@echo "make servers        tests against real Triton, Envoy, MLflow and Kubernetes"
	@echo "make kubernetes-api build etcd, the API server of Kubernetes and kubeconform for tests, once"
	@echo "make cluster        a real Kubernetes on this machine, kept until make cluster-down"
	@echo "make cluster-tests  tests against it, or against one that they start and end"
	@echo "make cluster-tests-oldest  those of the API server against the oldest Kubernetes"
	@echo "make conformance    ONNX's whole backend suite on real Triton; writes docs/conformance.md"
	@echo "make formats        one model of each format on real Triton; writes docs/formats.md"
	@echo "make faults         what faults cost the clients of a service; docs/benchmarks/faults.md"
	@echo "make fuzz           100,000 mutated requests to the gateway with real Triton behind it"
	@echo "make docs           write the generated reference pages anew"
	@echo "make base-packages  pin the newest packages of Debian for Cloche's own base"
	@echo "make bench-serving  requests per second and latency beside other servers"
	@echo "make bench-formats  models as their libraries save them, beside MLServer and in process"
	@echo "make bench-deploy   from a file to the first verified answer"
	@echo "make bench-images   from a model to an image in a registry, beside other builders"
	@echo "make bench-routing  one more service among 200, until the gateway has its routes"
	@echo "make bench-kubernetes  a thousand services applied and planned, beside kubectl"
	@echo "make bench-rollback a rollback to a warm revision, on a cluster of two nodes"

demo: sync
	@$(RUN) cloche demo $(ARGS)

install: $(UV)
	$(UV) tool install --quiet --force .
	@bin=$$($(UV) tool dir --bin); echo "Installed $$bin/cloche."; \
	case ":$$PATH:" in *":$$bin:"*) ;; *) echo "Put it on your PATH: export PATH=\"$$bin:\$$PATH\"";; esac

examples: examples/mlflow.db

examples/mlflow.db: $(UV)
	@echo "Installing MLflow and scikit-learn for the examples, and training them …"
	@cd examples && $(UV) run --no-project --quiet register.py

resnet50: $(UV)
	@echo "Installing PyTorch and MLflow for the example, and training it …"
	@cd examples && $(UV) run --no-project --quiet resnet50.py

test: lint units servers

lint: sync
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports

units: sync
	$(PARALLEL) $(USUAL) $(UNITS)

servers: sync kubernetes-api
	$(IN_ORDER) $(USUAL) $(SERVERS)
	$(IN_ORDER) $(USUAL) $(STORY) $(CLUSTER)/api
	$(PARALLEL) $(USUAL) $(FRAMEWORKS)

# In the same groups, of which most have no such test: pytest then ends with 5.
test-thorough: sync kubernetes-api
	@for group in "$(UNITS)" "$(SERVERS)" "$(STORY) $(CLUSTER)/api" "$(FRAMEWORKS)"; do \
	$(PARALLEL) -m thorough $$group || [ $$? = 5 ] || exit 1; done

# Built once, in a few minutes. Where it cannot be, the tests that need it say so and are skipped.
kubernetes-api: sync
	-@$(HARNESS) build api checks

cluster: sync
	@$(HARNESS) up

cluster-down: sync
	@$(HARNESS) down

cluster-tests: sync
	@$(HARNESS) build api nodes gateway scaling
	$(PYTEST) tests/cluster/nodes

# Builds another API server, in minutes; it is kept.
cluster-tests-oldest: export CLOCHE_TEST_KUBERNETES := oldest
cluster-tests-oldest: sync
	@$(HARNESS) build api checks
	$(PYTEST) tests/cluster/api

formats: sync
	PYTHONPATH=tests $(RUN) python tests/frameworks/report.py $(ARGS)
	$(RUN) python docs/generate.py

conformance: sync
	PYTHONPATH=tests $(RUN) python tests/conformance/report.py

docs: sync
	$(RUN) python docs/generate.py
	$(RUN) python -m cloche.spec > docs/cloche.schema.json

# Needs dpkg, gpgv and debian-archive-keyring.
base-packages:
	$(PYTHON) .ci/debian_packages.py

bench-serving: sync
	$(RUN) python -m bench.serving $(ARGS)

bench-formats: sync
	$(RUN) python -m bench.formats $(ARGS)

bench-deploy: sync
	$(RUN) python -m bench.deploy $(ARGS)

bench-images: sync
	$(RUN) python -m bench.images $(ARGS)

bench-kubernetes: sync
	@$(HARNESS) build api
	PYTHONPATH=tests $(RUN) python -m bench.kubernetes $(ARGS)

bench-rollback: sync
	@$(HARNESS) build api nodes gateway
	PYTHONPATH=tests $(RUN) python -m bench.rollback $(ARGS)

bench-routing: sync
	PYTHONPATH=tests:tests/local $(RUN) python -m bench.routing $(ARGS)

faults: sync
	PYTHONPATH=tests $(RUN) python -m bench.faults $(ARGS)

fuzz: sync
	PYTHONPATH=tests:tests/local $(RUN) python -m gateway_fuzz $(ARGS)

# Says what it does only where there is something to do: that may take a minute.
sync: $(UV)
	@$(UV) sync --frozen --quiet --check 2>/dev/null || { \
	echo "Installing the packages of Cloche into .venv …"; $(UV) sync --frozen --quiet; }

$(TOOLS)/bin/uv:
	@echo "Fetching uv into $(TOOLS) …"
	@$(PYTHON) .ci/get_uv.py $(TOOLS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
