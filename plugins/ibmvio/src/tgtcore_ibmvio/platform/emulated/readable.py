"""Waiting for a socket on the event loop, without taking anything out of it."""

import asyncio
import socket


async def readable(link: socket.socket) -> None:
    """Until there is something to receive, or the other side has hung up."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(link, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(link)
