"""The sender of the RabbitMQ tutorial for Python: send.py AMQP_URL QUEUE KIND"""
import sys

import pika

KINDS = {
    "quorum": {"durable": True, "arguments": {"x-queue-type": "quorum"}},
    "classic": {"durable": True},
    "transient": {},
}

url, queue, kind = sys.argv[1:]
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.queue_declare(queue=queue, **KINDS[kind])
channel.basic_publish(exchange="", routing_key=queue, body="Hello World!")
print(" [x] Sent 'Hello World!'")
connection.close()
