"""The local stack: the engine, the cache, the judge and the agent as processes of one supervisor.

`preflight` says what is missing before anything starts, `plan` says which parts run with which settings, `supervisor`
keeps them running, `state` tells other commands where they are, `run` ties these together. Other places run the parts
by Compose or Kubernetes.
"""
