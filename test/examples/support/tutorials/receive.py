"""The receiver of the RabbitMQ tutorial for Python, which ends after one message: receive.py AMQP_URL QUEUE KIND"""
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


def callback(ch, method, properties, body):
    print(f" [x] Received {body.decode()}", flush=True)
    ch.stop_consuming()


channel.basic_consume(queue=queue, on_message_callback=callback, auto_ack=True)
print(" [*] Waiting for messages. To exit press CTRL+C", flush=True)
channel.start_consuming()
connection.close()
