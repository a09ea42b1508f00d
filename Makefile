# Everything a developer or a visitor needs; `make` alone prints this menu.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := menu
.PHONY: menu demo test test-systemd faults soak lint bench fleet deb catalogue pictures clean

menu: ## print this menu
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/demo-ready ## the product at work: simulated instruments, agent, platform (60 s, no hardware)
	$(BIN)/instrument-agent demo

# Most tests wait for processes of their own: several at a time take much less. A file stays in one hand.
test: $(VENV)/dev-ready ## all tests (under 6 minutes)
	$(BIN)/python -m pytest --numprocesses=3 --dist=loadfile

test-systemd: $(VENV)/dev-ready ## the package and its service in a Debian of their own (as root; needs systemd-nspawn, mmdebstrap)
	INSTRUMENT_AGENT_UNDER_SYSTEMD=1 $(BIN)/python -m pytest -s --timeout=900 tests/package

faults: $(VENV)/dev-ready ## kill -9 at 1,000 random moments (KILLS=1000 SEED=1), 500 flipped bits, 100,000 damaged frames, 10,000 spoilt configs
	KILLS=$(or $(KILLS),1000) BIT_FLIPS=$(or $(BIT_FLIPS),500) \
		$(BIN)/python -m pytest -s --timeout=3600 tests/faults tests/buffer/test_bit_flips.py \
		tests/uplink/test_mqtt_cluster.py
	FUZZ_FRAMES=$(or $(FUZZ_FRAMES),100000) \
		$(BIN)/python -m pytest --timeout=3600 tests/drivers/test_modbus_fuzzed_frames.py
	BACKLOG=$(or $(BACKLOG),100000) $(BIN)/python -m pytest --timeout=3600 tests/uplink/test_live_before_backlog.py
	CONFIG_MUTANTS=$(or $(CONFIG_MUTANTS),10000) \
		$(BIN)/python -m pytest --timeout=3600 tests/config/test_config_mutants.py
	CUTS_EVERY=1 $(BIN)/python -m pytest --timeout=3600 tests/provision/test_power_cut_while_provisioning.py

soak: $(VENV)/dev-ready ## months of one box with all faults, on an injected clock (SEEDS=1-200)
	$(BIN)/python tests/soak/months.py $(or $(SEEDS),1-200)

lint: $(VENV)/dev-ready ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/lib build/lint
	$(PIP) install --no-deps --target build/lint .
	cd build/lint && ../../$(BIN)/mypy --config-file ../../setup.cfg -p instrument_agent
	PYTHONPATH=build/lint $(BIN)/lint-imports --no-cache

bench: $(VENV)/dev-ready ## speed and memory, as ratios against a floor measured in the same run
	$(BIN)/python benchmarks/replay_speed.py
	$(BIN)/python benchmarks/modbus_tcp.py
	$(BIN)/python benchmarks/modbus_rtu.py
	$(BIN)/python benchmarks/card_writes.py
	$(BIN)/python benchmarks/long_life.py
	$(BIN)/python benchmarks/drain.py
	$(BIN)/python benchmarks/change_delay.py

fleet: $(VENV)/dev-ready ## 100,000 boxes and one platform: its worst second after an outage, a power cut, a midnight (BOXES=)
	$(BIN)/python benchmarks/fleet.py $(BOXES)

deb: $(VENV)/bin/python ## the Debian package for every Raspberry Pi and PC, in dist/
	@$(BIN)/python systemd/deb/build.py

catalogue: $(VENV)/dev-ready ## collect the sentences for people and compile the Chinese catalogue
	@mkdir -p build
	$(BIN)/pybabel --quiet extract --no-wrap --sort-by-file --omit-header --add-location=file --keyword=_ \
		--output-file=build/messages.pot agent drivers buffer
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --no-wrap --ignore-obsolete --ignore-pot-creation-date \
		--input-file=build/messages.pot --output-dir=agent/locale --domain=instrument_agent --locale=zh_CN
	$(BIN)/pybabel compile --directory=agent/locale --domain=instrument_agent --statistics

pictures: $(VENV)/dev-ready ## take the pictures of the demo in docs/ again
	$(BIN)/python docs/take_pictures.py docs/demo.svg
	LANGUAGE=zh_CN $(BIN)/python docs/take_pictures.py docs/demo.zh-CN.svg

clean: ## remove everything that was made here
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Could not make a virtual environment. On Debian: sudo apt install python3-venv"; exit 1; }

$(VENV)/demo-ready: $(VENV)/bin/python setup.cfg
	@echo "Setting up in $(VENV) (once, about a minute) ..."
	@$(PIP) install --editable '.[platform]'
	@touch $@

$(VENV)/dev-ready: $(VENV)/bin/python setup.cfg
	@echo "Setting up in $(VENV) (once, about a minute) ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/demo-ready
