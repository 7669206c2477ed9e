"""What is said with a probability, against simulated services whose truth is known exactly."""
