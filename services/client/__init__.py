"""The client library: how a partner app, the agent and the command line speak to the judge and to the agent.

`calls` says what is asked, `answers` reads what comes back, `attempts` decides on retries; `sync` and `asynchronous`
only send and wait. Imports no web framework and nothing of the services themselves.
"""

from services.client.asynchronous import AsyncTheraloopClient
from services.client.calls import Service
from services.client.config import ClientConfig
from services.client.sync import TheraloopClient

__all__ = ["AsyncTheraloopClient", "ClientConfig", "Service", "TheraloopClient"]
