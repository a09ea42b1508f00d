"""What a technician does beside an instrument: look for meters, look at readings, record them."""
