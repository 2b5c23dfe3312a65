"""How answers look: contract types in, rich renderables out. Nothing here writes."""
