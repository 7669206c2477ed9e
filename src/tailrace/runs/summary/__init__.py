"""What a pipeline reads of a result: a summary, and the formats it is written in, one a file."""
