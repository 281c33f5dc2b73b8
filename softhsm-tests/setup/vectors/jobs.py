"""What a master publishes, and what comes back."""

import time

import salt.version
import zmq

from case import Case
from parties import ID
from wire import ADDRESS

# A job's name, its target and the kind of it.
TARGETS = (
    ("everybody", "*", "glob"),
    ("glob", "vec[l-n]ini?n", "glob"),
    ("list", [ID, "other"], "list"),
    ("pcre", "vec(minion|master)", "pcre"),
    ("grain", "roles:w*", "grain"),
    ("grain_pcre", "os:Deb.*", "grain_pcre"),
    ("compound", "G@os:Debian and not L@other or E@x", "compound"),
    ("nodegroup", "group1", "nodegroup"),
    ("pillar", "role:web", "pillar"),
    ("pillar_exact", "role:web", "pillar_exact"),
    ("pillar_pcre", "role:w.b", "pillar_pcre"),
    ("ipcidr", "127.0.0.0/8", "ipcidr"),
)
# A job's name, its function, its arguments, and what is said besides.
FUNCTIONS = (
    ("test.echo", "test.echo", ["Zoë → 東京 😀"], {}),
    ("test.arg", "test.arg", [1, -1, 2.5, True, None, "text", [1, [2]], {"a": {"b": "c"}}, 2**63], {"kwarg": {"x": 1}}),
    ("several", ["test.ping", "test.echo"], [[], ["a"]], {}),
    ("metadata", "test.ping", [], {"metadata": {"ticket": 7, "by": "op"}}),
    ("returner", "test.ping", [], {"ret": "syslog", "ret_config": "alternative", "ret_kwargs": {"a": "b"}}),
    ("own_jid", "test.ping", [], {"jid": "20260102030405060708"}),
    ("find_job", "saltutil.find_job", ["20260102030405060708"], {}),
    ("unknown", "no.such", ["x=1"], {}),
)
RESULTS = {
    "test.echo": "Zoë → 東京 😀", "several": {"test.ping": True, "test.echo": "a"}, "find_job": {},
    "test.arg": {"args": [1, -1, 2.5, True, None, "text", [1, [2]], {"a": {"b": "c"}}], "kwargs": {"x": 1}},
    "unknown": "'no.such' is not available.",
}


class Stream:
    """A subscription to the publications of the master that a case has signed in to."""

    def __init__(self, case, source):
        self.case = case
        self.sub = zmq.Context.instance().socket(zmq.SUB)
        self.sub.setsockopt(zmq.LINGER, 0)
        self.sub.setsockopt(zmq.IDENTITY, case.minion.id.encode())
        self.sub.setsockopt(zmq.SUBSCRIBE, b"")
        monitor = self.sub.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.sub.connect(f"tcp://{source}:0;{ADDRESS}:{case.minion.creds['publish_port']}")
        if not monitor.poll(20000):
            raise SystemExit("vectors: no connection to the publisher")
        self.sub.disable_monitor()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sub.close()

    def record(self, name, jid):
        """The publication of this job; others are passed over."""
        while True:
            if not self.sub.poll(20000):
                raise SystemExit(f"vectors: {name} was not published")
            body = self.sub.recv()
            load = self.case.opened(body)
            if load["jid"] == jid:
                self.case.frame(f"{name}.pub", body, "aes")
                return load


def job(directory, name, master, minion, source):
    """The life of a minion from its start to its second return."""
    case = Case(directory, name, master, minion)
    case.sign_in()
    with Stream(case, source) as stream:
        started = f"Minion {ID} started at {time.asctime()}"
        start = {"cmd": "_minion_event", "pretag": None, "data": started, "tag": f"salt/minion/{ID}/start"}
        case.call("start_event", start)
        for function, value in (("test.ping", True), ("test.version", salt.version.__version__)):
            load = stream.record(function, master.publish(function))
            case.call(f"{function}.return", result(load, value))
    case.keys()


def targets(directory, master, minion, source):
    case = Case(directory, "targets", master, minion)
    case.sign_in()
    with Stream(case, source) as stream:
        for name, target, kind in TARGETS:
            stream.record(name, master.publish("test.ping", target=target, kind=kind))
        stream.record("delimiter", master.publish("test.ping", target="os|Debian", kind="grain", delimiter="|"))
    case.keys()


def functions(directory, master, minion, source):
    case = Case(directory, "functions", master, minion)
    case.sign_in()
    with Stream(case, source) as stream:
        for name, function, arguments, more in FUNCTIONS:
            load = stream.record(name, master.publish(function, arguments, **more))
            if name in RESULTS or name == "metadata":
                case.call(f"{name}.return", result(load, RESULTS.get(name, True)))
    case.keys()


def result(load, value):
    """salt/minion.py, Minion._prepare_return_pub, of what a job gave."""
    several = isinstance(load["fun"], list)
    good = value != RESULTS["unknown"]
    retcode = 0 if good else 1
    returned = {
        "cmd": "_return", "id": ID, "jid": load["jid"], "fun": load["fun"], "fun_args": load["arg"], "return": value,
        "retcode": {name: retcode for name in load["fun"]} if several else retcode,
        "success": {name: good for name in load["fun"]} if several else good,
    }
    if load.get("metadata"):
        returned.update(user=load["user"], metadata=load["metadata"])
    return dict(returned, _stamp=time.strftime("%Y-%m-%dT%H:%M:%S.000000"))
