"""Learning how an instrument is to be judged, from what was read of it; the judging itself is in core/."""
