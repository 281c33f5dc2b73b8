"""Records conversations with a real salt-master: run by vectors.sh with the Python of the Salt that is recorded.

Usage: vectors.py DIRECTORY. Each case becomes DIRECTORY/<case>/ as minion/tests/vectors/README.md says. It is Python
because everything in it is Salt's own code: the minion's sign-in and its checks, its sealing, its decoder. What a stock
minion never sends (an unknown algorithm, an old version, a token of zeros) is made from what it does.
"""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import msgpack
import salt.config
import salt.crypt
import salt.payload
import zmq

logging.disable(logging.CRITICAL)

ID = "vecminion"
# One that nobody else uses: the ports are Salt's own, since recordings have them.
ADDRESS = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.77"
BIN = os.path.dirname(sys.executable)


class Master:
    def __init__(self, root):
        self.root = root
        self.pki = os.path.join(root, "pki")
        os.makedirs(root)
        with open(os.path.join(root, "master"), "w") as file:
            file.write(
                f"interface: {ADDRESS}\nroot_dir: {root}\npki_dir: {self.pki}\ncachedir: {root}/cache\n"
                f"sock_dir: {root}/sock\npidfile: {root}/pid\nlog_file: {root}/log\nuser: root\nid: vecmaster\n"
                "worker_threads: 3\nmaster_sign_pubkey: True\nauto_accept: False\n"
            )
        command = [os.path.join(BIN, "salt-master"), "-c", root, "-l", "quiet"]
        self.process = subprocess.Popen(command, start_new_session=True)

    def wait(self):
        """Until a worker answers."""
        ping = pack({"enc": "clear", "load": {"cmd": "ping"}, "version": 3})
        until(lambda: ask(ping, 2), "the master does not answer", 120)

    def move(self, source, target):
        os.makedirs(os.path.join(self.pki, target), exist_ok=True)
        os.replace(os.path.join(self.pki, source, ID), os.path.join(self.pki, target, ID))

    def read(self, name):
        with open(os.path.join(self.pki, name)) as file:
            return file.read()

    def publish(self, function):
        """Like `salt --async vecminion FUNCTION`."""
        command = [os.path.join(BIN, "salt"), "-c", self.root, "--async", ID, function]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        os.killpg(self.process.pid, 15)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()


class Minion:
    """Salt's own sign-in, with its files in a directory of its own."""

    def __init__(self, root, signing_key, **options):
        self.pki = os.path.join(root, "pki")
        os.makedirs(self.pki, exist_ok=True)
        with open(os.path.join(self.pki, "master_sign.pub"), "w") as file:
            file.write(signing_key)
        opts = salt.config.minion_config(None)
        opts.update(
            id=ID, pki_dir=self.pki, root_dir=root, cachedir=os.path.join(root, "cache"), master=ADDRESS, user="root",
            master_ip=ADDRESS, master_uri=f"tcp://{ADDRESS}:4506", verify_master_pubkey_sign=True, keysize=2048,
            __role="minion", **options,
        )
        self.opts = opts
        # Not shared with the minion of another case, as Salt would share it within a process.
        self.auth = object.__new__(salt.crypt.SAuth)
        self.auth.__singleton_init__(opts)
        self.creds = None

    def request(self, **changes):
        load = self.auth.minion_sign_in_payload()
        load.update(changes)
        return load

    def finish(self, load, reply):
        """Salt's own checks; the keys of an accepted sign-in."""
        self.creds = self.auth.handle_signin_response(load, unpack(reply))
        return self.creds

    def seal(self, load, key=None, token=None):
        """salt/channel/client.py, AsyncReqChannel._package_load."""
        nonce = uuid.uuid4().hex
        load = dict(load, nonce=nonce, ts=int(time.time()), tok=token or self.auth.gen_token(b"salt"))
        load["id"] = ID
        crypticle = salt.crypt.Crypticle(self.opts, key or self.creds["session"])
        request = {
            "enc": "aes", "load": crypticle.dumps(load), "version": 3, "id": ID,
            "enc_algo": self.opts["encryption_algorithm"], "sig_algo": self.opts["signing_algorithm"],
        }
        return pack(request), nonce


class Case:
    """The files of one conversation."""

    def __init__(self, directory, name, master, minion):
        self.folder = os.path.join(directory, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.master, self.minion = master, minion
        self.crypticles = {}

    def sign_in(self, version=3, expect=dict, wait=20, **changes):
        load = self.minion.request(**changes)
        request = pack({"enc": "clear", "load": load, "version": version})
        self.frame("auth.request", request)
        reply = ask(request, wait)
        if reply is None:
            return
        self.frame("auth.reply", reply)
        if expect is not dict:
            return
        creds = self.minion.finish(load, reply)
        if not isinstance(creds, dict):
            raise SystemExit(f"vectors.py: the sign-in of {self.folder} was not accepted: {creds}")
        for key in ("aes", "session"):
            self.crypticles[key] = salt.crypt.Crypticle(self.minion.opts, creds[key])

    def call(self, name, load, **how):
        request, nonce = self.minion.seal(load, **how)
        self.frame(f"{name}.request", request, "session")
        reply = ask(request, 20)
        if reply is None:
            raise SystemExit(f"vectors.py: no reply to {name}")
        self.frame(f"{name}.reply", reply, "session", nonce)

    def frame(self, name, frame, key=None, nonce=None):
        with open(os.path.join(self.folder, f"{name}.hex"), "w") as file:
            file.write(frame.hex() + "\n")
        outer = unpack(frame)
        shown = {"outer": outer}
        sealed = outer.get("load") if isinstance(outer, dict) else outer
        if isinstance(sealed, bytes) and key is None:
            shown["load_msgpack"] = unpack(sealed)
        elif isinstance(sealed, bytes):
            shown["decrypted_with"] = key
            plain = self.crypticles[key].decrypt(sealed) if self.opens(key, sealed) else None
            if plain is not None:
                shown["plaintext_hex"] = plain.hex()
                value = plain[len(b"pickle::") :]
                if nonce is None:
                    shown["load_msgpack"] = unpack(value)
                else:
                    assert value[:32].decode() == nonce
                    shown["nonce"] = nonce
                    shown["value_msgpack"] = unpack(value[32:])
        with open(os.path.join(self.folder, f"{name}.json"), "w") as file:
            json.dump(readable(shown), file, indent=1)
            file.write("\n")

    def opens(self, key, sealed):
        try:
            self.crypticles[key].decrypt(sealed)
        except salt.crypt.AuthenticationError:
            return False
        return True

    def keys(self, token=None):
        minion = lambda name: open(os.path.join(self.minion.pki, name)).read()
        keys = {
            "minion_pem": minion("minion.pem"), "minion_pub": minion("minion.pub").strip(),
            "minion_token": self.minion.auth.token.decode(),
            "tok_x931_of_salt_hex": (token or self.minion.auth.gen_token(b"salt")).hex(),
            "master_pem": self.master.read("master.pem"), "master_pub": self.master.read("master.pub"),
            "master_sign_pem": self.master.read("master_sign.pem"),
            "master_sign_pub": self.master.read("master_sign.pub"),
        }
        for key in self.crypticles:
            keys[key] = text(self.minion.creds[key])
        with open(os.path.join(self.folder, "keys.json"), "w") as file:
            json.dump(keys, file, indent=1)
            file.write("\n")


def pack(value):
    return salt.payload.dumps(value)


def unpack(frame):
    """Text where it is text: Salt's dialect does not tell the two apart."""
    return text(msgpack.unpackb(frame, raw=True, strict_map_key=False))


def text(value):
    if isinstance(value, dict):
        return {text(key): text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [text(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


def readable(value):
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def ask(request, wait):
    """One request on a socket of its own; None if no reply comes within `wait` seconds."""
    with zmq.Context.instance().socket(zmq.REQ) as req:
        req.setsockopt(zmq.LINGER, 0)
        req.connect(f"tcp://{ADDRESS}:4506")
        req.send(request)
        return req.recv() if req.poll(wait * 1000) else None


def until(condition, problem, wait):
    end = time.monotonic() + wait
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"vectors.py: {problem}")
        time.sleep(0.1)


def conversations(directory, root, master):
    signing_key = master.read("master_sign.pub")
    new = lambda name, **options: Minion(os.path.join(root, name), signing_key, **options)

    def record(name, minion, **how):
        case = Case(directory, name, master, minion)
        case.sign_in(**how)
        case.keys()
        return case

    minion = new("minion")
    record("auth_pending", minion, expect="pending")
    master.move("minions_pre", "minions")
    record("auth_accepted_first", minion)
    record("auth_accepted_token", minion)
    job(directory, master, minion)
    record("auth_bad_enc_algo", minion, expect="refused", enc_algo="OAEP-SHA512")
    record("auth_old_version", minion, version=2, expect="refused")
    record("auth_invalid_id", minion, expect="refused", id="../etc/x")
    record("auth_denied_other_key", new("other"), expect="denied")

    sha224 = dict(signing_algorithm="PKCS1v15-SHA224", encryption_algorithm="OAEP-SHA224")
    same = new("sha224", **sha224)
    for name in ("minion.pem", "minion.pub"):
        shutil.copy(os.path.join(minion.pki, name), os.path.join(same.pki, name))
    record("auth_sha224", new("sha224", **sha224))

    event = {"cmd": "_minion_event", "tag": "x", "data": "y"}
    for name, how in (
        ("bad_tok", {"token": bytes(256)}),
        ("wrong_session", {"key": salt.crypt.Crypticle.generate_key_string()}),
    ):
        case = Case(directory, name, master, minion)
        case.sign_in()
        case.call("call", event, **how)
        case.keys(how.get("token"))

    # These two spoil the master: one blocks a worker of 3006 and 3007 for good, one takes the key away.
    record("auth_bad_sig_algo", minion, expect="refused", wait=8, sig_algo="PKCS1v15-SHA512")
    master.move("minions", "minions_rejected")
    record("auth_rejected", minion, expect="rejected")


def job(directory, master, minion):
    case = Case(directory, "job", master, minion)
    case.sign_in()
    with zmq.Context.instance().socket(zmq.SUB) as sub:
        sub.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.IDENTITY, ID.encode())
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        monitor = sub.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        sub.connect(f"tcp://{ADDRESS}:{minion.creds['publish_port']}")
        if not monitor.poll(20000):
            raise SystemExit("vectors.py: no connection to the publisher")
        started = f"Minion {ID} started at {time.asctime()}"
        start = {"cmd": "_minion_event", "pretag": None, "data": started, "tag": f"salt/minion/{ID}/start"}
        case.call("start_event", start)
        for function, value in (("test.ping", True), ("test.version", salt.version.__version__)):
            master.publish(function)
            body = publication(case, sub, function)
            case.frame(f"{function}.pub", body, "aes")
            load = opened(case, body)
            case.call(f"{function}.return", {
                "cmd": "_return", "id": ID, "jid": load["jid"], "fun": function, "fun_args": [], "return": value,
                "retcode": 0, "success": True, "_stamp": time.strftime("%Y-%m-%dT%H:%M:%S.000000"),
            })
    case.keys()


def publication(case, sub, function):
    """The master publishes to find jobs as well; those are passed over."""
    while True:
        if not sub.poll(20000):
            raise SystemExit(f"vectors.py: {function} was not published")
        body = sub.recv()
        if opened(case, body)["fun"] == function:
            return body


def opened(case, body):
    plain = case.crypticles["aes"].decrypt(unpack(body)["load"])
    return unpack(plain[len(b"pickle::") :])


def main():
    directory = os.path.abspath(sys.argv[1])
    for port in (4505, 4506):
        with socket.socket() as probe:
            if probe.connect_ex((ADDRESS, port)) == 0:
                raise SystemExit(f"vectors.py: something listens on {ADDRESS}:{port}")
    root = tempfile.mkdtemp(prefix="vectors-")
    master = Master(os.path.join(root, "master"))
    try:
        master.wait()
        conversations(directory, root, master)
    finally:
        master.stop()
        shutil.rmtree(root, ignore_errors=True)
    print(f"vectors.py: {len(os.listdir(directory))} conversations with Salt {salt.version.__version__} in {directory}")


main()
