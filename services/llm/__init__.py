"""How the services speak to a language model: the port, and the one adapter, vLLM's own server."""
