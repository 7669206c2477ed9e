"""The machine this runs on: what a container lets it use, and what it is. Below everything else."""
