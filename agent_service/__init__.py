"""The agent: judges a draft and rewrites it where it is weak, under the judge's control; `python -m agent_service`."""
