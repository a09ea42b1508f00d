"""Judges the health of a box: thin probes gather facts, pure functions judge them."""
