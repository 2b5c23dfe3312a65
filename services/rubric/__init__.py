"""The rubric, the one prompt renderer that trainer and judge share, and the arithmetic of a verdict."""
