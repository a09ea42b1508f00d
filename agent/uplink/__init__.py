"""To the platforms: delivery of records, heartbeats, and what happens when a platform does not answer."""
