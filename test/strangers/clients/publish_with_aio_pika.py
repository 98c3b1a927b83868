"""Publishes with aio-pika: URL QUEUE."""
import asyncio
import datetime
import sys

import aio_pika


async def main(url, queue):
    connection = await aio_pika.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    message = aio_pika.Message(
        b'{"order":1}',
        message_id="b0a3",
        type="order.created",
        timestamp=datetime.datetime(2025, 11, 24, 16, 0, 0, tzinfo=datetime.timezone.utc),
        expiration=60,
        headers={"retries": 2, "x-request-id": b"c0ffee", "ratio": 0.5, "flag": True},
    )
    await channel.default_exchange.publish(message, routing_key=queue)
    await connection.close()


asyncio.run(main(*sys.argv[1:]))
