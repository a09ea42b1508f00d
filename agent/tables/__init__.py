"""TOML files that people write: read, bound to dataclasses, and every mistake told at once with its line."""
