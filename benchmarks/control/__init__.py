"""What the control room costs and how soon it acts; run as `python -m benchmarks.control.X`."""
