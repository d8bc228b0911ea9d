# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
"""relay.py PORT HOST HOSTPORT: passes connections on, both ways."""
import asyncio
import sys


async def pump(reader, writer):
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


async def relay(reader, writer):
    try:
        to_host = await asyncio.open_connection(*sys.argv[2:4])
        await asyncio.gather(pump(reader, to_host[1]), pump(to_host[0], writer))
    except OSError:
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(relay, port=int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
