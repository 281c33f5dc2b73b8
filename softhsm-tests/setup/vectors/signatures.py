"""What `salt-key --gen-signature` writes."""

import os
import shutil

import salt.version

from parties import salt_key, write_config

FILES = ("master.pub", "master_sign.pub", "master_pubkey_signature")


def record(directory, root):
    version = salt.version.__version__
    settings = {"sha1": {}}
    if int(version.split(".")[0]) >= 3008:
        settings["sha224"] = {"publish_signing_algorithm": "PKCS1v15-SHA224"}
    for digest, options in settings.items():
        home = os.path.join(root, f"signature-{digest}")
        write_config(home, **options)
        pki = os.path.join(home, "pki")
        os.makedirs(pki, mode=0o700)
        command = ("--gen-signature", "--auto-create")
        # 3008 makes the master's key and says that there is none; 3006 and 3007 only say so.
        salt_key(home, *command)
        if not os.path.exists(os.path.join(pki, "master.pub")):
            salt_key(home, "--gen-keys=master", f"--gen-keys-dir={pki}")
        said = salt_key(home, *command)
        if not os.path.exists(os.path.join(pki, FILES[-1])):
            raise SystemExit(f"vectors: salt-key has written no signature: {said}")
        folder = os.path.join(directory, f"{version}-{digest}")
        os.makedirs(folder)
        for name in FILES:
            shutil.copyfile(os.path.join(pki, name), os.path.join(folder, name))
