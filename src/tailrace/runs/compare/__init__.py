"""Two or more runs, or the intervals of one, compared: the statistics, and the gate of a build."""
