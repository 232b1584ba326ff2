"""What a run is: the schema with its defaults, the reading of experiment files, the refusals; no torch."""
