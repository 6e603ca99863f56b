"""Does a flood of openings hold honest clients up? 30 a second are opened on the local stack, and dropped at once."""

from __future__ import annotations

import asyncio
import time

from websockets.asyncio.client import connect

from tests import scratch
from tests.stack.deployed import LocalStack

A_SECOND = 30
SECONDS = 15
HONEST = 10
PATIENCE = 60
"""Seconds after which an honest client gives up."""

GOAL = 2.0


async def _opened(address: str) -> float:
    """How long a client waits for its open packet."""
    began = time.monotonic()
    async with connect(address, open_timeout=PATIENCE) as socket:
        frame = await asyncio.wait_for(socket.recv(), PATIENCE)
    if not str(frame).startswith("0{"):
        raise RuntimeError(f"no open packet: {frame!r}")
    return time.monotonic() - began


async def _dropped(address: str) -> None:
    socket = await connect(address, open_timeout=PATIENCE)
    socket.transport.abort()


async def _flooded(address: str) -> tuple[list[float], list[float]]:
    """How long honest clients wait before a flood, and in it."""
    before = [await _opened(address) for _ in range(HONEST)]
    async with asyncio.TaskGroup() as all_of_them:
        honest, began = [], time.monotonic()
        for n in range(A_SECOND * SECONDS):
            all_of_them.create_task(_dropped(address))
            if n % (A_SECOND * SECONDS // HONEST) == 0:
                honest.append(all_of_them.create_task(_opened(address)))
            await asyncio.sleep(began + (n + 1) / A_SECOND - time.monotonic())
    return before, [each.result() for each in honest]


def main() -> bool:
    """Print how long honest clients wait; whether none waits for longer than it should."""
    with scratch.directory() as home:
        stack = LocalStack(home)
        stack.start()
        try:
            address = f"{stack.base.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
            before, during = asyncio.run(_flooded(address))
        finally:
            stack.stop()
    waits = ", ".join(f"{wait:.2f}" for wait in during)
    print(f"a flood of openings: {A_SECOND} a second for {SECONDS} s on the local stack, each dropped at once")
    print(f"  open packets after {waits} s (goal < {GOAL:.0f}); before the flood after {min(before):.2f} s")
    return max(during) < GOAL
