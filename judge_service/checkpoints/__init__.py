"""Which checkpoint judges: the active one, and how another takes its place."""
