"""Publishes with pika, once without properties and once with every type of header that it encodes: URL QUEUE WHICH."""
import datetime
import sys

import pika

url, queue, which = sys.argv[1:]
plain = which == "plain"
# Older versions encode no floats.
floats = {"ratio": 0.1} if tuple(map(int, pika.__version__.split(".")[:2])) >= (1, 3) else {}
properties = None if plain else pika.BasicProperties(
    content_type="application/json",
    delivery_mode=2,
    timestamp=1764000000,
    app_id="example-publisher",
    headers={
        "flag": True,
        "small": 7,
        "large": 1764000000123456789,
        **floats,
        "when": datetime.datetime(2025, 11, 24, 16, 0, 0),
        "nothing": None,
        "raw": b"\xde\xad",
        "list": ["a", 1],
        "nested": {"key": "ключ", "値": 1},
    },
)
body = "Hello World!" if plain else '{"مفتاح":"قيمة"}'
connection = pika.BlockingConnection(pika.URLParameters(url))
channel = connection.channel()
channel.confirm_delivery()
channel.basic_publish(exchange="", routing_key=queue, body=body, properties=properties)
connection.close()
