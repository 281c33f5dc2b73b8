"""The signing service as one would write it in an afternoon: FastAPI in front of PyKCS11.

It signs whatever key comes over mTLS and keeps the signature in memory: no operator, no proof of possession, no audit,
no durable answer. That makes it cheaper than it should be.
"""

import base64
import hashlib
import os
import threading

import PyKCS11
from fastapi import FastAPI, HTTPException
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

SHA1_PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")

library = PyKCS11.PyKCS11Lib()
library.load(os.environ["PEER_MODULE"])
session = library.openSession(library.getSlotList(tokenPresent=True)[0], PyKCS11.CKF_SERIAL_SESSION)
session.login(os.environ["PEER_PIN"])
key = session.findObjects([(PyKCS11.CKA_CLASS, PyKCS11.CKO_PRIVATE_KEY)])[0]
mechanism = PyKCS11.Mechanism(PyKCS11.CKM_RSA_PKCS, None)
one_at_a_time = threading.Lock()
signatures: dict[str, str] = {}
app = FastAPI()


class Presented(BaseModel):
    public_key: str


@app.put("/v1/signatures/{sha256}", status_code=201)
def sign(sha256: str, presented: Presented):
    text = presented.public_key.encode()
    if hashlib.sha256(text).hexdigest() != sha256:
        raise HTTPException(422)
    with one_at_a_time:
        signature = bytes(session.sign(key, SHA1_PREFIX + hashlib.sha1(text).digest(), mechanism))
    signatures[sha256] = base64.b64encode(signature).decode() + "\n"
    return {"signature": signatures[sha256]}


@app.get("/v1/signatures/{sha256}", response_class=PlainTextResponse)
async def show(sha256: str):
    if sha256 not in signatures:
        raise HTTPException(404)
    return signatures[sha256]
