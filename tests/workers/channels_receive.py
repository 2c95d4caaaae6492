"""Receives from a real channel layer: three channels of a group, a channel of one process and a common one. Each message is told as a line of JSON, with who got it.

channels_receive.py core|pubsub URL GROUP CHANNEL [OPTIONS AS JSON]"""

import asyncio
import json
import sys

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

kind, url, group, common, *more = sys.argv[1:]
layer_class = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}[kind]


def tell(**line):
    print(json.dumps(line), flush=True)


async def receive(layer, name, channel):
    while True:
        tell(to=name, message=await layer.receive(channel))


async def main():
    layer = layer_class(hosts=[url], **json.loads(more[0] if more else "{}"))
    members = [await layer.new_channel() for _ in range(3)]
    for member in members:
        await layer.group_add(group, member)
    own = await layer.new_channel()
    tell(own=own)
    receivers = [receive(layer, f"member {n}", member) for n, member in enumerate(members)]
    receivers += [receive(layer, "own", own), receive(layer, "common", common)]
    tasks = [asyncio.create_task(receiver) for receiver in receivers]
    if kind == "pubsub":
        # A common channel is subscribed to by the first that receives from it.
        await asyncio.sleep(0.5)
    tell(ready=True)
    await asyncio.gather(*tasks)


asyncio.run(main())
