"""The monthly report: what a box without a network hands over as a file, sealed, and what people read of it."""
