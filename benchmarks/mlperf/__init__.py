"""What MLPerf's script mode costs: our system against LoadGen alone, and HTTP against none."""
