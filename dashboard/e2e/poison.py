"""Publishes messages that no bridge can accept:  poison.py AMQP_URL"""

import json
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(sys.argv[1]))
channel = connection.channel()
channel.confirm_delivery()
event = {
    "specversion": "1.0",
    "id": "bad-1",
    "source": "/shops/berlin",
    "type": "order.completed.v1",
    "subject": "order-bad",
    "tenant": "morgenrot",
    "data": {"order_number": "bad"},
}
unknown = {**event, "id": "bad-2", "type": "order.forgotten.v9"}
for key, body in [
    ("order.completed.v1", json.dumps(event)),
    ("order.forgotten.v9", json.dumps(unknown)),
    ("order.completed.v1", "{ this is no JSON"),
]:
    properties = pika.BasicProperties(content_type="application/cloudevents+json", delivery_mode=2)
    channel.basic_publish("upshot.events", key, body.encode(), properties, mandatory=True)
connection.close()
