"""An operator at a running salt-master, without a new Python for every command.

Reads one JSON object a line and answers each with `answer <number> <JSON>`; every event of the master's
bus is a line `event <tag> <JSON>`. The calls are the ones behind `salt-key` and `salt`.
Usage: console.py CONFIG_DIR
"""

import json
import os
import sys

import salt.cache
import salt.client
import salt.config
import salt.utils.event
import salt.wheel

path = os.path.join(sys.argv[1], "master")
opts = salt.config.client_config(path)


def say(*words):
    # One write, so that the lines of two processes don't mix.
    os.write(1, (" ".join(words) + "\n").encode())


def text(value):
    return json.dumps(value, default=lambda other: other.decode("utf-8", "replace") if isinstance(other, bytes) else str(other))


def tell_events():
    bus = salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=True)
    bus.connect_pub(timeout=60)
    say("listening")
    for event in bus.iter_events(full=True, auto_reconnect=True):
        say("event", event["tag"], text(event["data"]))


def remember_grains(id, grains):
    cache = salt.cache.factory(salt.config.master_config(path))
    cache.store("grains", id, grains)  # 3007 and later
    cache.store("minions/" + id, "data", {"grains": grains})  # 3006


def wheel(fun, args):
    data = salt.wheel.WheelClient(salt.config.master_config(path)).cmd(fun, args, print_event=False)
    return data


def publish(tgt, tgt_type, fun, arg):
    return salt.client.LocalClient(mopts=opts).run_job(tgt, fun, arg, tgt_type=tgt_type)


if os.fork() == 0:
    tell_events()
    sys.exit()

ORDERS = {"wheel": wheel, "publish": publish, "remember_grains": remember_grains}
say("console")
for number, line in enumerate(sys.stdin):
    order = json.loads(line)
    try:
        answer = ORDERS[order.pop("do")](**order)
    except Exception as error:  # the test decides what it means
        answer = {"error": repr(error)}
    say("answer", str(number), text(answer))
