"""From the device to the database: bus schedules, the wrapper around every driver, and the one who writes down."""
