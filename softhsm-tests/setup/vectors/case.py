"""The files of one conversation."""

import json
import os
import shutil

import salt.crypt

from wire import ask, pack, readable, text, unpack


class Case:
    def __init__(self, directory, name, master, minion):
        self.folder = os.path.join(directory, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.master, self.minion = master, minion
        self.crypticles = {}

    def sign_in(self, version=3, accepted=True, wait=20, **changes):
        """One `_auth` and its answer. Salt's own minion must accept it, unless it is not meant to be accepted."""
        load = self.minion.request(**changes)
        request = pack({"enc": "clear", "load": load, "version": version})
        self.frame("auth.request", request)
        reply = ask(request, wait)
        if reply is None:
            return
        self.frame("auth.reply", reply)
        if not accepted:
            return
        creds = self.minion.finish(load, unpack(reply))
        if not isinstance(creds, dict):
            raise SystemExit(f"vectors: the sign-in of {self.folder} was not accepted: {creds}")
        for key in ("aes", "session"):
            self.crypticles[key] = salt.crypt.Crypticle(self.minion.opts, creds[key])

    def call(self, name, load, **how):
        """A request under the session key and its reply."""
        request, nonce = self.minion.seal(load, **how)
        self.frame(f"{name}.request", request, "session")
        reply = self.reply(name, request)
        self.frame(f"{name}.reply", reply, "session", nonce)
        return unpack(reply)

    def clear(self, name, load):
        """A request in clear and its reply."""
        request = pack({"enc": "clear", "load": load, "version": 3})
        self.frame(f"{name}.request", request)
        self.frame(f"{name}.reply", self.reply(name, request))

    def pillar(self, name, load):
        """A request whose reply is sealed by a key of its own (salt/channel/server.py, _encrypt_private)."""
        request, nonce = self.minion.seal(load)
        self.frame(f"{name}.request", request, "session")
        reply = self.reply(name, request)
        outer = unpack(reply)
        key = self.minion.auth.get_keys().decrypt(outer["key"], self.minion.opts["encryption_algorithm"])
        plain = salt.crypt.Crypticle(self.minion.opts, key).decrypt(outer["pillar"])
        sealed = unpack(plain[len(b"pickle::") :])
        data = unpack(sealed["data"].encode() if isinstance(sealed["data"], str) else sealed["data"])
        if data["nonce"] != nonce:
            raise SystemExit(f"vectors: the pillar of {self.folder} is not the one that was asked for")
        self.write(name + ".reply", reply, {
            "outer": outer, "pillar_key": text(key), "pillar_msgpack": sealed, "data_msgpack": data, "nonce": nonce,
        })

    def reply(self, name, request):
        reply = ask(request, 20)
        if reply is None:
            raise SystemExit(f"vectors: no reply to {name} of {self.folder}")
        return reply

    def frame(self, name, frame, key=None, nonce=None):
        outer = unpack(frame)
        shown = {"outer": outer}
        sealed = outer.get("load") if isinstance(outer, dict) else outer
        if isinstance(sealed, bytes) and key is None:
            shown["load_msgpack"] = unpack(sealed)
        elif isinstance(sealed, bytes):
            shown["decrypted_with"] = key
            plain = self.crypticles[key].decrypt(sealed) if self.opens(key, sealed) else None
            if plain is not None:
                value = plain[len(b"pickle::") :]
                if nonce is None:
                    shown["load_msgpack"] = unpack(value)
                else:
                    assert value[:32].decode() == nonce
                    shown["nonce"] = nonce
                    shown["value_msgpack"] = unpack(value[32:])
        self.write(name, frame, shown)

    def write(self, name, frame, shown):
        with open(os.path.join(self.folder, f"{name}.hex"), "w") as file:
            file.write(frame.hex() + "\n")
        with open(os.path.join(self.folder, f"{name}.json"), "w") as file:
            json.dump(readable(shown), file, indent=1)
            file.write("\n")

    def opens(self, key, sealed):
        try:
            self.crypticles[key].decrypt(sealed)
        except salt.crypt.AuthenticationError:
            return False
        return True

    def opened(self, publication):
        plain = self.crypticles["aes"].decrypt(unpack(publication)["load"])
        return unpack(plain[len(b"pickle::") :])

    def keys(self, token=None, known=None):
        """Who took part; `known` is the key that the minion knew of its master, where it is not the master's."""
        minion = lambda name: open(os.path.join(self.minion.pki, name)).read()
        keys = {
            "minion_id": self.minion.id,
            "minion_pem": minion("minion.pem"), "minion_pub": minion("minion.pub").strip(),
            "minion_token": self.minion.auth.token.decode(),
            "tok_x931_of_salt_hex": (token or self.minion.auth.gen_token(b"salt")).hex(),
            "master_pem": self.master.read("master.pem"), "master_pub": self.master.read("master.pub"),
            "master_sign_pem": self.master.read("master_sign.pem"),
            "master_sign_pub": self.master.read("master_sign.pub"),
        }
        if known is not None:
            keys["known_pub"] = known
        for key in self.crypticles:
            keys[key] = text(self.minion.creds[key])
        with open(os.path.join(self.folder, "keys.json"), "w") as file:
            json.dump(keys, file, indent=1)
            file.write("\n")
