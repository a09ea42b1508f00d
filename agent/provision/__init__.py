"""Configures a box from a file on a card or stick, on trial; makes such files for many boxes (docs/provisioning.md)."""
