"""Run by a test as a process of its own: compute one remembered thing, counting computations in Redis itself."""

import asyncio
import sys

from pydantic import BaseModel, SecretStr
from redis.asyncio import Redis

from services.cache.memo import ComputeOnce
from services.cache.redis import RedisCache
from services.cache.sealed import SealedCache
from services.deadline import Deadline


class Answer(BaseModel):
    """What is computed."""

    made_by: int


async def main(url: str, key: str, number: int) -> None:
    """Wait until all processes are there, then ask for the same thing."""
    cache = RedisCache(url, timeout_s=5)
    memo = ComputeOnce(SealedCache(cache, SecretStr(key)), ttl_s=60)
    async with Redis.from_url(url) as redis:

        async def compute() -> Answer:
            await redis.incr("computations")
            # Long enough for the others to arrive while it runs.
            await redis.blpop(["nothing"], timeout=0.2)
            return Answer(made_by=number)

        await redis.rpush("ready", number)
        await redis.blpop([f"go-{number}"], timeout=60)
        result = await memo.get_or_compute("answer", ["question"], Answer, compute, Deadline.after(60))
    await cache.close()
    sys.stdout.write(f"{result.value.made_by} {result.cached}")


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
