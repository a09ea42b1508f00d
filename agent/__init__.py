"""A box beside a scientific instrument that says honestly what the instrument did."""

__version__ = "0.1.0"
