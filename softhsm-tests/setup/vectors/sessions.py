"""Requests under a session key: what a stock minion asks, and what a master does not take."""

import contextlib
import os
import time

import salt.crypt

from case import Case
from jobs import Stream
from parties import ID

EVENT = {"cmd": "_minion_event", "tag": "x", "data": "y"}
# By these the master finds the minion when a job's target is a grain; nothing in it is of the machine that records.
GRAINS = {
    "id": ID, "os": "Debian", "roles": ["web", "db"], "numbers": {"one": 1, "half": 0.5, "minus": -7}, "none": None,
}


def requests(directory, master, minion, source):
    """Everything with a reply; `source` is the address that its connection to the publisher comes from."""
    case = Case(directory, "requests", master, minion)
    case.sign_in()
    case.clear("ping", {"cmd": "ping"})
    case.pillar("pillar", pillar(minion, source))
    case.call("legacy_start_event", event(minion, "minion_start", f"Minion {minion.id} started at {time.asctime()}"))
    case.call("minion_ping", event(minion, "minion_ping", f"minion_ping {minion.id}"))
    # What a stock minion asks besides; the replies are lists, maps and truth values.
    for name, load in (
        ("mine", {"cmd": "_mine", "data": {"network.ip_addrs": ["192.0.2.1"]}, "clear": True}),
        ("mine_get", {"cmd": "_mine_get", "tgt": "*", "fun": "network.ip_addrs", "tgt_type": "glob"}),
        ("mine_delete", {"cmd": "_mine_delete", "fun": "network.ip_addrs"}),
        ("mine_flush", {"cmd": "_mine_flush"}),
        ("master_tops", {"cmd": "_master_tops", "opts": {"saltenv": "base"}}),
        ("file_envs", {"cmd": "_file_envs"}),
        ("file_list", {"cmd": "_file_list", "saltenv": "base", "prefix": ""}),
        ("file_hash", {"cmd": "_file_hash", "path": "no/such/file", "saltenv": "base"}),
        ("serve_file", {"cmd": "_serve_file", "path": "no/such/file", "saltenv": "base", "loc": 0, "gzip": None}),
        ("symlink_list", {"cmd": "_symlink_list", "saltenv": "base", "prefix": ""}),
        ("unknown", {"cmd": "_no_such_command"}),
    ):
        case.call(name, load)
    case.keys()


@contextlib.contextmanager
def connected(root, master, minions, source):
    """Minions that the master counts: it knows their addresses from their grains, and they are subscribed."""
    with contextlib.ExitStack() as stack:
        for minion in minions:
            case = Case(os.path.join(root, "unrecorded"), minion.id, master, minion)
            case.sign_in()
            case.pillar("pillar", pillar(minion, source))
            stack.enter_context(Stream(case, source))
        yield


def pillar(minion, source):
    """salt/pillar/__init__.py, AsyncRemotePillar.compile_pillar."""
    return {
        "id": minion.id, "grains": dict(GRAINS, id=minion.id, ipv4=[source]), "saltenv": None, "pillarenv": None,
        "pillar_override": {}, "extra_minion_data": {}, "ver": "2", "cmd": "_pillar",
    }


def event(minion, tag, data):
    """salt/minion.py, Minion._fire_master."""
    return {"cmd": "_minion_event", "pretag": None, "data": data, "tag": tag}


def refused(directory, master, minion):
    for name, how in (
        ("bad_tok", {"token": bytes(256)}),
        ("wrong_session", {"key": salt.crypt.Crypticle.generate_key_string()}),
        ("other_id", {"outside": "other"}),
        ("old_version", {"version": 2}),
    ):
        case = Case(directory, name, master, minion)
        case.sign_in()
        if case.call("call", EVENT, **how) != "bad load":
            raise SystemExit(f"vectors: the request of {name} was not refused")
        case.keys(how.get("token"))

    case = Case(directory, "key_deleted", master, minion)
    case.sign_in()
    master.move("minions", "minions_pre")
    if case.call("call", EVENT) != "bad load":
        raise SystemExit("vectors: a request of a minion without a key was not refused")
    case.keys()
    master.move("minions_pre", "minions")
