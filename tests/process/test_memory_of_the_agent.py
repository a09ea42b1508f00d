"""What a box does not use it does not load."""

import subprocess
import sys

UNUSED = ("gpiozero", "paho", "cryptography", "requests", "rich", "babel", "openpyxl", "fastapi", "sqlalchemy")


def test_a_box_with_modbus_meters_and_without_a_network_loads_nothing_for_anything_else() -> None:
    modules = "cli.run", "service", "config", "notify", "drivers.modbus", "drivers.serial_text", "drivers.mock"
    imports = "; ".join(f"import instrument_agent.{name}" for name in modules)
    code = f"import sys; {imports}; print(*sorted(set(sys.modules) & set({UNUSED})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
