"""The pure heart: readings in, activity, intervals and records out.

Nothing here reads a clock, opens a file or starts a thread. Time arrives as integer nanoseconds of the boot
clock, values as numbers, and everything that must survive a crash is in frozen dataclasses that can be written
down at any point and read back.
"""
