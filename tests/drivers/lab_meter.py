"""The example driver out of the repository, and a meter for it to read."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[2] / "examples" / "smallest-driver"


def example() -> Any:
    """The module of the example, loaded from where it stands."""
    if "lab_meter_example" not in sys.modules:
        spec = importlib.util.spec_from_file_location("lab_meter_example", EXAMPLE / "lab_meter.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["lab_meter_example"] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    return sys.modules["lab_meter_example"]
