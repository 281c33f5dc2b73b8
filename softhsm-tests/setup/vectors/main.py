"""Records conversations with a real salt-master: run by vectors.sh with the Python of the Salt that is recorded.

Usage: main.py WIRE SIGNATURES. Each conversation becomes WIRE/<case>/ as minion/tests/vectors/README.md says, and each
file of `salt-key --gen-signature` a folder of SIGNATURES. It is Python because everything in it is Salt's own code: the
minion's sign-in and its checks, its sealing, its decoder. What a stock minion never sends (an unknown algorithm, an old
version, a token of zeros) is made from what it does.
"""

import logging
import os
import shutil
import sys
import tempfile

import salt.version

import jobs
import sessions
import sign_ins
import signatures
from parties import ADDRESS, Master, is_taken
from sign_ins import Recorder

logging.disable(logging.CRITICAL)

# Where the connection to the publisher comes from: the master counts a minion if it has this address.
SOURCE = "127.0.0.9"


def conversations(directory, root):
    home = os.path.join(root, "master")
    with running(home) as master:
        recorder = Recorder(directory, root, master)
        minion = sign_ins.strangers(recorder)
        sign_ins.accepted(recorder, minion)
        jobs.job(directory, "job", master, minion, SOURCE)
        sessions.requests(directory, master, minion, SOURCE)
        jobs.targets(directory, master, minion, SOURCE)
        jobs.functions(directory, master, minion, SOURCE)
        sign_ins.refused(recorder, minion)
        sessions.refused(directory, master, minion)
        sign_ins.last(recorder, minion)
        master.gen_signature()

    # The same master after a restart, by other settings.
    with running(home, master_use_pubkey_signature=True, publish_signing_algorithm="PKCS1v15-SHA224") as master:
        recorder = Recorder(directory, root, master)
        sign_ins.precomputed(recorder, minion)
        jobs.job(directory, "job_sha224", master, minion, SOURCE)
    with running(home, auth_mode=2) as master:
        sign_ins.mode_2(Recorder(directory, root, master), minion)
    with running(home, max_minions=1) as master:
        recorder = Recorder(directory, root, master)
        neighbour = recorder.minion("of-3072", id="of-3072")
        with sessions.connected(root, master, [minion, neighbour], SOURCE):
            sign_ins.full(recorder, minion)
    with running(home, master_sign_pubkey=False) as master:
        recorder = Recorder(directory, root, master)
        recorder.record("auth_without_pub_sig", minion, accepted=False)

    with running(os.path.join(root, "large"), keysize=4096, auto_accept=True) as master:
        recorder = Recorder(directory, os.path.join(root, "of-large"), master)
        recorder.record("auth_master_4096", recorder.minion("minion"))


class running:
    """A master that answers."""

    def __init__(self, home, **settings):
        self.master = Master(home, **settings)

    def __enter__(self):
        try:
            self.master.wait()
        except BaseException:
            self.master.stop()
            raise
        return self.master

    def __exit__(self, *_):
        self.master.stop()


def main():
    wire, signed = (os.path.abspath(folder) for folder in sys.argv[1:])
    if is_taken():
        raise SystemExit(f"vectors: something listens on {ADDRESS}")
    root = tempfile.mkdtemp(prefix="vectors-")
    try:
        conversations(wire, root)
        signatures.record(signed, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    files = [name for _, _, names in os.walk(wire) for name in names]
    frames = sum(name.endswith(".hex") for name in files)
    print(f"vectors: {frames} frames of {len(os.listdir(wire))} conversations with Salt {salt.version.__version__}")


main()
