"""Every answer that a master has to a sign-in."""

import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from case import Case
from parties import Minion

SHA224 = dict(signing_algorithm="PKCS1v15-SHA224", encryption_algorithm="OAEP-SHA224")


class Recorder:
    """Records sign-ins with one master."""

    def __init__(self, directory, root, master):
        self.directory, self.root, self.master = directory, root, master

    def minion(self, name, **options):
        return Minion(os.path.join(self.root, name), self.master.read("master_sign.pub"), **options)

    def record(self, name, minion, known=None, **how):
        case = Case(self.directory, name, self.master, minion)
        case.sign_in(**how)
        case.keys(known=known)
        return case


def strangers(recorder):
    """Before and while a key waits for an operator; returns the minion, whose key is then accepted."""
    minion = recorder.minion("minion")
    recorder.record("auth_pending", minion, accepted=False)
    recorder.record("auth_pending_again", minion, accepted=False)
    waiting = recorder.minion("waiting", id="waiting", **SHA224)
    recorder.record("auth_pending_sha224", waiting, accepted=False)
    own = {"uuid": "0-1", "role": None}
    grains = recorder.minion("grains", id="grains", autosign_grains=["uuid", "role"], grains=own)
    recorder.record("auth_pending_autosign_grains", grains, accepted=False)
    recorder.master.move("minions_pre", "minions")
    return minion


def accepted(recorder, minion):
    recorder.record("auth_accepted_first", minion)
    recorder.record("auth_accepted_token", minion)
    sha224 = recorder.minion("sha224", keys_of=minion, **SHA224)
    recorder.record("auth_sha224_first", sha224)
    recorder.record("auth_sha224", sha224)
    for bits in (3072, 4096):
        large = recorder.minion(f"of-{bits}", id=f"of-{bits}", keysize=bits)
        # Its key is made by its first request.
        recorder.record(f"auth_pending_minion_{bits}", large, accepted=False)
        recorder.master.move("minions_pre", "minions", large.id)
        recorder.record(f"auth_minion_{bits}", large)
    changed = recorder.minion("changed", keys_of=minion)
    former = other_key()
    changed.knows(former)
    recorder.record("auth_changed_master", changed, known=former)


def refused(recorder, minion):
    recorder.record("auth_bad_enc_algo", minion, accepted=False, enc_algo="OAEP-SHA512")
    recorder.record("auth_old_version", minion, version=2, accepted=False)
    recorder.record("auth_oldest_version", minion, version=0, accepted=False)
    recorder.record("auth_invalid_id", minion, accepted=False, id="../etc/x")
    recorder.record("auth_denied_other_key", recorder.minion("other"), accepted=False)


def last(recorder, minion):
    """These spoil the master: one takes the key away, one blocks a worker of 3006 and 3007 for good."""
    recorder.master.move("minions", "minions_rejected")
    recorder.record("auth_rejected", minion, accepted=False)
    recorder.record("auth_rejected_first", recorder.minion("rejected", keys_of=minion), accepted=False)
    sha224 = recorder.minion("rejected-sha224", keys_of=minion, **SHA224)
    recorder.record("auth_rejected_sha224", sha224, accepted=False)
    recorder.master.move("minions_rejected", "minions")
    recorder.record("auth_bad_sig_algo", minion, accepted=False, wait=8, sig_algo="PKCS1v15-SHA512")


def precomputed(recorder, minion):
    """A master that shows the file of `salt-key --gen-signature`, and is full."""
    recorder.record("auth_precomputed_first", recorder.minion("precomputed", keys_of=minion))
    recorder.record("auth_precomputed", minion)
    # The file is of SHA-1, whatever the minion asks for.
    recorder.record("auth_precomputed_sha224", recorder.minion("sha224-file", keys_of=minion, **SHA224), accepted=False)


def mode_2(recorder, minion):
    """The token would be inside `aes`; none of the three gets as far, and a worker of 3006 and 3007 is blocked."""
    recorder.record("auth_mode_2_first", recorder.minion("mode-2", keys_of=minion))
    recorder.record("auth_mode_2", minion, accepted=False, wait=8)


def full(recorder, minion):
    """With as many minions as it takes."""
    late = recorder.minion("late", id="late")
    recorder.record("auth_full", late, accepted=False)
    late.knows(recorder.master.read("master.pub").strip())
    recorder.record("auth_full_token", late, accepted=False)
    # Those who are there already are let in.
    recorder.record("auth_full_accepted", minion)


def other_key():
    """A public key that nobody has."""
    key = rsa.generate_private_key(65537, 2048).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode().strip()
