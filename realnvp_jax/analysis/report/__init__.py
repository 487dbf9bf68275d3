"""The report on a run: one page that says how far its flow can be trusted, and why."""
