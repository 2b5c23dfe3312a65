"""The agent's HTTP routes: they parse, call the pipeline, and nothing else."""
