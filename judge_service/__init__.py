"""The judge: scores a reply on seven dimensions. A thin, stateless front of vLLM.

Start it with `python -m judge_service`."""
