"""`python -m judge_service`: read the settings, serve until told to stop."""

from judge_service.app import build_app
from judge_service.settings import JudgeSettings
from services.settings import load_settings
from services.telemetry.logs import configure_logging
from services.web.serve import serve


def main() -> None:
    """Serve the judge; unusable settings end the process with one line and status 2."""
    settings = load_settings(JudgeSettings)
    configure_logging("judge", settings.log_level)
    serve(build_app(settings), settings.bind)


if __name__ == "__main__":
    main()
