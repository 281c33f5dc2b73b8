"""What Salt makes of the master configurations whose main files are the arguments, as JSON."""

import json
import sys

import salt.config

OPTIONS = [
    "cluster_id",
    "cluster_key_pass",
    "cluster_pki_dir",
    "id",
    "key_pass",
    "master_pubkey_signature",
    "master_sign_key_name",
    "master_sign_pubkey",
    "master_use_pubkey_signature",
    "pki_dir",
    "user",
]


def load(path):
    try:
        opts = salt.config.master_config(path, exit_on_config_errors=True)
    except (Exception, SystemExit):
        return None
    return {name: opts.get(name) for name in OPTIONS}


print(json.dumps({path: load(path) for path in sys.argv[1:]}, default=str))
