"""A real master as a process of its own, and a minion that is Salt's own code in this one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import salt.client
import salt.config
import salt.crypt

from wire import ADDRESS, ask, pack

ID = "vecminion"
BIN = os.path.dirname(sys.executable)


class Master:
    """Started anew on the same `root` it has the same keys, another AES key and serials from one."""

    def __init__(self, root, **options):
        self.root = root
        self.pki = os.path.join(root, "pki")
        write_config(root, **options)
        command = [os.path.join(BIN, "salt-master"), "-c", root, "-l", "quiet"]
        with open(f"{root}/output", "ab") as output:
            self.process = subprocess.Popen(command, start_new_session=True, stdout=output, stderr=output)

    def wait(self):
        """Until a worker answers."""
        ping = pack({"enc": "clear", "load": {"cmd": "ping"}, "version": 3})
        try:
            until(lambda: ask(ping, 2), "the master does not answer", 120)
        except SystemExit:
            with open(f"{self.root}/output") as said:
                sys.stderr.write(said.read())
            raise

    def move(self, source, target, minion=ID):
        os.makedirs(os.path.join(self.pki, target), exist_ok=True)
        os.replace(os.path.join(self.pki, source, minion), os.path.join(self.pki, target, minion))

    def read(self, name):
        with open(os.path.join(self.pki, name)) as file:
            return file.read()

    def gen_signature(self):
        """What an operator types once the master has its key."""
        said = salt_key(self.root, "--gen-signature")
        if not os.path.exists(os.path.join(self.pki, "master_pubkey_signature")):
            raise SystemExit(f"vectors: salt-key has written no signature: {said}")

    def publish(self, function, arguments=(), target=ID, kind="glob", **more):
        """Like `salt --async TARGET FUNCTION ARGUMENT ...`."""
        client = salt.client.get_local_client(os.path.join(self.root, "master"))
        sent = client.run_job(target, function, arguments, kind, listen=False, **more)
        if not sent or not sent.get("jid"):
            raise SystemExit(f"vectors: {function} for {target} ({kind}) was not published: {sent}")
        return sent["jid"]

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            pass
        # Whoever of its children is left keeps the ports.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        until(lambda: not is_taken(), "the ports of the master that ended are still taken", 30)


class Minion:
    """Salt's own sign-in, with its files in a directory of its own."""

    def __init__(self, root, signing_key, id=ID, keys_of=None, **options):
        self.id = id
        self.pki = os.path.join(root, "pki")
        os.makedirs(self.pki, exist_ok=True)
        with open(os.path.join(self.pki, "master_sign.pub"), "w") as file:
            file.write(signing_key)
        if keys_of is not None:
            for name in ("minion.pem", "minion.pub"):
                shutil.copy(os.path.join(keys_of.pki, name), os.path.join(self.pki, name))
        opts = salt.config.minion_config(None)
        opts.update(
            id=id, pki_dir=self.pki, root_dir=root, cachedir=os.path.join(root, "cache"), master=ADDRESS, user="root",
            master_ip=ADDRESS, master_uri=f"tcp://{ADDRESS}:4506", verify_master_pubkey_sign=True, keysize=2048,
            __role="minion",
        )
        opts.update(options)
        self.opts = opts
        # Not shared with the minion of another case, as Salt would share it within a process.
        self.auth = object.__new__(salt.crypt.SAuth)
        self.auth.__singleton_init__(opts)
        self.creds = None

    def knows(self, key):
        """As if it had met a master of this key before."""
        with open(os.path.join(self.pki, "minion_master.pub"), "w") as file:
            file.write(key)

    def request(self, **changes):
        load = self.auth.minion_sign_in_payload()
        load.update(changes)
        return load

    def finish(self, load, reply):
        """Salt's own checks; the keys of an accepted sign-in."""
        self.creds = self.auth.handle_signin_response(load, reply)
        return self.creds

    def seal(self, load, key=None, token=None, outside=None, version=3):
        """salt/channel/client.py, AsyncReqChannel._package_load."""
        nonce = uuid.uuid4().hex
        load = dict(load, nonce=nonce, ts=int(time.time()), tok=token or self.auth.gen_token(b"salt"))
        load["id"] = self.id
        crypticle = salt.crypt.Crypticle(self.opts, key or self.creds["session"])
        request = {
            "enc": "aes", "load": crypticle.dumps(load), "version": version, "id": outside or self.id,
            "enc_algo": self.opts["encryption_algorithm"], "sig_algo": self.opts["signing_algorithm"],
        }
        return pack(request), nonce


def write_config(root, **options):
    """A master's configuration and its pillar."""
    os.makedirs(os.path.join(root, "pillar"), exist_ok=True)
    with open(os.path.join(root, "pillar", "top.sls"), "w") as file:
        file.write("base:\n  '*':\n    - data\n")
    with open(os.path.join(root, "pillar", "data.sls"), "w") as file:
        file.write("role: web\nnumbers: [1, -2, 3.5]\nnothing: null\nname: Zoë\n")
    settings = {
        "interface": ADDRESS, "root_dir": root, "pki_dir": f"{root}/pki", "cachedir": f"{root}/cache",
        "sock_dir": f"{root}/sock", "pidfile": f"{root}/pid", "log_file": f"{root}/log", "user": "root",
        "id": "vecmaster", "worker_threads": 3, "master_sign_pubkey": True, "auto_accept": False,
        "pillar_roots": {"base": [f"{root}/pillar"]}, "nodegroups": {"group1": f"L@{ID},other"},
        # 3008 would name it after the master's id.
        "master_pubkey_signature": "master_pubkey_signature",
    }
    settings.update(options)
    with open(os.path.join(root, "master"), "w") as file:
        json.dump(settings, file)  # which is YAML as well


def salt_key(root, *arguments):
    """What salt-key printed."""
    command = [os.path.join(BIN, "salt-key"), "-c", root, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


def is_taken():
    for port in (4505, 4506):
        with socket.socket() as probe:
            if probe.connect_ex((ADDRESS, port)) == 0:
                return True
    return False


def until(condition, problem, wait):
    end = time.monotonic() + wait
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"vectors: {problem}")
        time.sleep(0.1)
