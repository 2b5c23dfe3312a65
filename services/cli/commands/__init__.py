"""One module a command or command group; each reads its input, asks, and shows."""
