"""What Salt makes of the configurations whose main files are the arguments, as JSON."""

import json
import sys

import salt.config
import salt.minion


def load(path):
    opts = dict(salt.config.minion_config(path))
    names = opts["master"] if isinstance(opts["master"], list) else [opts["master"]]
    masters = []
    for name in names:
        one = salt.minion.prep_ip_port({**opts, "master": name})
        masters.append([str(one["master"]), int(one.get("master_port", opts["master_port"]))])
    # Where minion.py and client.py look, for what has no value before.
    opts.setdefault("publish_port", 4506)
    opts["masters"] = masters
    return opts


print(json.dumps({path: load(path) for path in sys.argv[1:]}, default=str))
