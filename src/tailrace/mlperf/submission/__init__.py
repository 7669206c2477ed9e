"""A submission to MLPerf: where its files lie, and the machine as MLPerf wants it described."""
