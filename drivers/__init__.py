"""Everything that talks to a device. A driver reads; it never stores, retries, sleeps or stamps time."""
