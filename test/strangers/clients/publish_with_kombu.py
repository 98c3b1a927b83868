"""Publishes with kombu, as Celery does or with one of its serializers: URL QUEUE WHICH."""
import sys

from kombu import Connection

url, queue, which = sys.argv[1:]
ID = "3149beef-be66-4b0e-ba47-2fc46e4edac3"
with Connection(url, transport_options={"confirm_publish": True}) as connection:
    producer = connection.Producer()
    if which == "celery":
        # celery/app/amqp.py, as_task_v2.
        producer.publish(
            ((2, 2), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}),
            routing_key=queue,
            serializer="json",
            correlation_id=ID,
            reply_to="1e8e1b4d-8a3f-3c3d-9c1a-1f0f3c1f0b52",
            headers={
                "lang": "py",
                "task": "proj.tasks.add",
                "id": ID,
                "shadow": None,
                "eta": None,
                "expires": None,
                "group": None,
                "group_index": None,
                "retries": 0,
                "timelimit": [None, None],
                "root_id": ID,
                "parent_id": None,
                "argsrepr": "(2, 2)",
                "kwargsrepr": "{}",
                "origin": "gen12345@worker",
                "ignore_result": False,
                "replaced_task_nesting": 0,
                "stamped_headers": None,
                "stamps": {},
            },
        )
    elif which == "msgpack":
        producer.publish({"a": 1}, routing_key=queue, serializer="msgpack")
    else:
        producer.publish({"a": 1}, routing_key=queue, serializer="pickle", compression="zlib")
