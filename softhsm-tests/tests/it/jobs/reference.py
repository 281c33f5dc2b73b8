"""Runs jobs and matchers of the Salt that this Python belongs to, without a master.

Usage: reference.py CONFIG_DIR. Standard input: one JSON object a line, {"job": hex} with a publication's load, or
{"match": kind, "target": text or list, "id": text, "grains": hex, "delimiter": text}; maps are MessagePack in
hexadecimal. Standard output: for each line one, {"return": hex} with what the minion would send, or {"match": bool}.
"""

import json
import logging
import os
import sys
import types

import salt.config
import salt.loader
import salt.minion
import salt.payload

logging.disable(logging.CRITICAL)


def minion(config):
    opts = salt.config.minion_config(os.path.join(config, "minion"))
    opts["multiprocessing"] = False
    one = salt.minion.SMinion(opts)
    one.connected = True
    one.proc_dir = salt.minion.get_proc_dir(opts["cachedir"])
    one.gen_modules = lambda *_, **__: None
    one._return_retry_timer = lambda max=False: 1
    for name in ("_execute_job_function", "_prepare_return_pub"):
        setattr(one, name, types.MethodType(getattr(salt.minion.Minion, name), one))
    return one


def run(one, load):
    returned = []
    one._return_pub = lambda ret, *_, **__: returned.append(one._prepare_return_pub(ret))
    several = isinstance(load["fun"], (list, tuple))
    thread = salt.minion.Minion._thread_multi_return if several else salt.minion.Minion._thread_return
    thread(one, one.opts, load)
    (ret,) = returned
    return ret


def match(opts, case):
    kind = case["match"]
    module = __import__(f"salt.matchers.{kind}_match", fromlist=["match"])
    grains = salt.payload.loads(bytes.fromhex(case["grains"]))
    opts = dict(opts, id=case["id"], grains=grains)
    options = {"delimiter": case["delimiter"]} if kind == "grain" else {}
    try:
        return bool(module.match(case["target"], opts=opts, minion_id=case["id"], **options))
    except Exception:  # a target that Salt cannot judge is dropped by its minion, with a trace in the log
        return False


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints is no answer
    one = minion(sys.argv[1])
    for line in sys.stdin:
        case = json.loads(line)
        if "job" in case:
            ret = run(one, salt.payload.loads(bytes.fromhex(case["job"])))
            answer = {"return": salt.payload.dumps(ret).hex()}
        else:
            answer = {"match": match(one.opts, case)}
        print(json.dumps(answer), file=answers)
    answers.close()


main()
