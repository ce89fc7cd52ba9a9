"""Inserts observations into a Redis Stream: one XADD at a time, or a thousand in flight.

Values are made before the clock begins. Prints how many were inserted in a second.
"""

import asyncio
import random
import sys
import time

import redis
import redis.asyncio

STREAM = "observations"
IN_FLIGHT = 1000


def observations(count):
    for number in range(count):
        station = b"station%d" % random.randint(1, 1000)
        value = (
            b'{"station":"%b","at":1767261600000,"celsius":%.1f,"pressure":%.1f,'
            b'"wind":%.1f,"humidity":%d}'
            % (
                station,
                random.uniform(-20, 40),
                random.uniform(980, 1040),
                random.uniform(0, 25),
                random.randint(15, 100),
            )
        )
        yield {"key": station, "payload": value}


def serial(port, entries):
    client = redis.Redis(port=port)
    client.ping()
    start = time.perf_counter()
    for entry in entries:
        client.xadd(STREAM, entry)
    return time.perf_counter() - start


async def pipelined(port, entries):
    client = redis.asyncio.Redis(port=port)
    await client.ping()
    start = time.perf_counter()
    for first in range(0, len(entries), IN_FLIGHT):
        pipe = client.pipeline(transaction=False)
        for entry in entries[first : first + IN_FLIGHT]:
            pipe.xadd(STREAM, entry)
        await pipe.execute()
    took = time.perf_counter() - start
    await client.aclose()
    return took


def main():
    way, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    entries = list(observations(count))
    if way == "serial":
        took = serial(port, entries)
    else:
        took = asyncio.run(pipelined(port, entries))
    print(count / took)


main()
