"""The pointer in Redis (or Valkey): one key, changed by scripts that the server runs whole.

Keys carry the base model's fingerprint, so judges of two models can share a server. None of them expires. Replica
reports age by the server's clock, so that skewed clocks of replicas do no harm.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from judge_service.checkpoints.pointer import AUDIT_KEPT, PointerUnavailable, Shared
from services.cache.redis import connection_pool
from services.contracts.checkpoints import AuditEntry, Pointer, ReplicaReport
from services.errors import Conflict

M = TypeVar("M", bound=BaseModel)
_FINGERPRINT_DIGITS: Final = 12
_REPORT_LIFE_S: Final = 15
"""A replica reports each second; one that is silent this long holds nothing any more."""

# KEYS: pointer, retired, audit. ARGV: generation built on, pointer, digest, audit entry, entries kept.
_ADVANCE: Final = """
local raw = redis.call('GET', KEYS[1])
local present = 0
if raw then present = cjson.decode(raw)['generation'] end
if present ~= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('SREM', KEYS[2], ARGV[3])
redis.call('LPUSH', KEYS[3], ARGV[4])
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[5]) - 1)
return 1
"""
# KEYS: pointer. ARGV: its generation, pointer.
_RESTORE: Final = """
local raw = redis.call('GET', KEYS[1])
if raw and cjson.decode(raw)['generation'] >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
# KEYS: reports, when they came. ARGV: replica, report, seconds that a report lives.
_EXCHANGE: Final = """
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
local stale = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[3]))
for _, replica in ipairs(stale) do
  redis.call('HDEL', KEYS[1], replica)
  redis.call('ZREM', KEYS[2], replica)
end
return redis.call('HVALS', KEYS[1])
"""


class RedisPointer:
    """The pointer store that replicas share."""

    name: Final = "redis"

    def __init__(self, url: str, fingerprint: str, *, timeout_s: float) -> None:
        """Connect on first use."""
        self._redis = Redis.from_pool(connection_pool(url, timeout_s))
        prefix = f"theraloop:judge:{fingerprint[:_FINGERPRINT_DIGITS]}"
        self._pointer, self._retired = f"{prefix}:pointer", f"{prefix}:retired"
        self._audit, self._reports, self._seen = f"{prefix}:audit", f"{prefix}:replicas", f"{prefix}:replicas:seen"

    async def read(self) -> Shared:
        """Return what replicas share now."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.get(self._pointer)
        pipeline.smembers(self._retired)
        raw, retired = await self._ask(pipeline.execute())
        pointer = None if raw is None else _parse(Pointer, raw)
        return Shared(pointer, frozenset(digest.decode() for digest in retired))

    async def advance(self, pointer: Pointer, entry: AuditEntry) -> None:
        """Replace the pointer if no other change came first; see the port."""
        keys = (self._pointer, self._retired, self._audit)
        values = (pointer.model_dump_json(), pointer.target.digest, entry.model_dump_json())
        done = await self._run(_ADVANCE, keys, pointer.generation - 1, *values, AUDIT_KEPT)
        if not done:
            raise Conflict("another change of the active checkpoint came first; look at it, then try again")

    async def restore(self, pointer: Pointer) -> bool:
        """Put back a pointer that the store has lost."""
        return bool(await self._run(_RESTORE, (self._pointer,), pointer.generation, pointer.model_dump_json()))

    async def retire(self, digest: str, entry: AuditEntry) -> None:
        """Note that an operator retired a content."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.sadd(self._retired, digest)
        pipeline.lpush(self._audit, entry.model_dump_json())
        pipeline.ltrim(self._audit, 0, AUDIT_KEPT - 1)
        await self._ask(pipeline.execute())

    async def exchange(self, report: ReplicaReport) -> Sequence[ReplicaReport]:
        """Leave this replica's report and return all fresh ones."""
        keys = (self._reports, self._seen)
        found = await self._run(_EXCHANGE, keys, report.replica, report.model_dump_json(), _REPORT_LIFE_S)
        return tuple(_parse(ReplicaReport, raw) for raw in found)

    async def audit(self, limit: int) -> Sequence[AuditEntry]:
        """Return the latest entries."""
        found = await self._ask(cast("Awaitable[list[bytes]]", self._redis.lrange(self._audit, 0, limit - 1)))
        return tuple(_parse(AuditEntry, raw) for raw in found)

    async def close(self) -> None:
        """Release connections."""
        await self._redis.aclose()

    async def _run(self, script: str, keys: Sequence[str], *arguments: str | int) -> Any:  # noqa: ANN401 - as _ask
        return await self._ask(self._redis.eval(script, len(keys), *keys, *map(str, arguments)))

    async def _ask(self, operation: Awaitable[Any]) -> Any:  # noqa: ANN401 - Redis replies vary
        try:
            return await operation
        except (RedisError, OSError, TimeoutError) as error:
            raise PointerUnavailable("the store of the active-checkpoint pointer does not answer") from error


def _parse(kind: type[M], raw: bytes) -> M:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise PointerUnavailable(f"the pointer store holds what is no {kind.__name__}; clear its keys") from error
