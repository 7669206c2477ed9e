"""A run's directory of results: written as the run goes, read back to report and compare."""
