"""`python -m agent_service`: read the settings, serve until told to stop."""

import sys

from agent_service.app import build_app
from agent_service.errors import DataInvalid
from agent_service.settings import AgentSettings
from services.settings import load_settings
from services.telemetry.logs import configure_logging
from services.web.serve import serve


def main() -> None:
    """Serve the agent; unusable settings or data files end the process with one line and status 2."""
    settings = load_settings(AgentSettings)
    configure_logging("agent", settings.log_level)
    try:
        app = build_app(settings)
    except DataInvalid as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from error
    serve(app, settings.bind)


if __name__ == "__main__":
    main()
