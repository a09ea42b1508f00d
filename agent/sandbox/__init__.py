"""Simulated instruments, simulated meters at the wire, and the demo that plays them."""
