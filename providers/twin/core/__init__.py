"""What every simulated managed object stands on: dispatch, properties, sessions, tasks, faults."""
