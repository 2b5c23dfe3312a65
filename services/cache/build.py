"""Which cache the settings ask for, sealed and metered;

said once in the log, since it decides what survives a restart.
"""

from typing import Final, NamedTuple

import structlog

from services.cache.memory import InProcessCache
from services.cache.metered import MeteredCache
from services.cache.port import Cache
from services.cache.redis import RedisCache
from services.cache.sealed import SealedCache
from services.settings import CacheSettings
from services.telemetry.metrics import PlatformMetrics

_MIB: Final = 2**20
_log = structlog.get_logger(__name__)


class BuiltCache(NamedTuple):
    """The cache as it is, to ping and close; and sealed, to use."""

    plain: Cache
    sealed: SealedCache


def build_cache(settings: CacheSettings, metrics: PlatformMetrics) -> BuiltCache:
    """Return the cache; it connects on first use."""
    cache: Cache
    if settings.redis_url is None:
        cache = InProcessCache(settings.memory_mib * _MIB)
        _log.info("cache_in_process", reason="no Redis URL is set", shared=False, memory_mib=settings.memory_mib)
    else:
        cache = RedisCache(settings.redis_url.get_secret_value(), timeout_s=settings.timeout_ms / 1000)
        _log.info("cache_in_redis", shared=True, timeout_ms=settings.timeout_ms)
    metered = MeteredCache(cache, metrics)
    return BuiltCache(metered, SealedCache(metered, settings.key))
