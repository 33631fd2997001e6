"""What is measured: one entry of ROWS for each kind of work.

A row is a value with name, title and run(context), which gives a Summary. load.LoadRow serves every kind of
request that wrk can make, so most new rows are one more entry here.
"""

import subjects
from common import CLIENT
from goals import Goal
from idle import IdleRow
from latency import LatencyRow
from load import LoadRow
from traced import InstructionRow, SyscallRow

CLIENT_TLS, REGION_TLS, LOG = "client-tls", "region-tls", "log"
WITH_DIRECT = (*subjects.PROXIES, "direct")


def cpu(at_most, **more):
    return Goal("cpu_us", "CPU µs a request", at_most=at_most, **more)


def attachment(name, direction, size):
    """Down: the origin sends it. Up: the sink reads it."""
    up = direction == "up"
    return LoadRow(
        name=f"{direction}-{name}",
        title=f"{size >> 20} MiB attachment {direction}, plain to plain",
        method="PUT" if up else "GET", target=f"/attachments/{name}", origin="sink" if up else "origin",
        body_bytes=size if up else 0, attachment_bytes=size, connections=8 if size < 1 << 24 else 4,
        subjects=(*subjects.PROXIES, *(("davenport-unkept",) if up else ()), "relay", "direct"),
        goals=(Goal("cpu_ms_gib", "CPU ms a GiB", at_most=1.0, digits=0),))


def latency(name, words, share):
    return LatencyRow(
        name=name, title=f"Latency added at {words} of saturation, open loop, 250-byte JSON GET", share=share,
        goals=(Goal("added_p99_us", "p99 µs added", at_most=0.8, digits=0),))


ROWS = (
    LoadRow(
        name="get", title="250-byte JSON GET, keep-alive, plain to plain",
        subjects=(*subjects.PROXIES, "relay", "direct"),
        goals=(cpu(0.85), cpu(1.20, against=("relay",)))),
    LoadRow(
        name="get-tls-region", title="250-byte JSON GET, keep-alive, plain client to TLS region",
        flags=frozenset([REGION_TLS]), subjects=WITH_DIRECT, goals=(cpu(0.90),)),
    LoadRow(
        name="get-tls-both", title="250-byte JSON GET, keep-alive, TLS client to TLS region",
        flags=frozenset([CLIENT_TLS, REGION_TLS]), subjects=WITH_DIRECT, goals=(cpu(0.90),)),
    LoadRow(
        name="put", title="1 KiB PUT with body, keep-alive, plain to plain",
        method="PUT", body_bytes=1024, origin="sink", subjects=WITH_DIRECT, goals=(cpu(0.85),)),
    *(attachment(name, direction, size) for name, size in subjects.ATTACHMENTS.items()
      for direction in ("down", "up")),
    latency("latency", "half", 0.5),
    latency("latency-quarter", "a quarter", 0.25),
    IdleRow(
        name="idle", title="RSS growth with {clients} idle keep-alive clients, each after one request",
        goals=(Goal("bytes", "bytes a connection", at_most=0.5, digits=0),
               Goal("bytes", "bytes a connection, by itself", at_most=2048, against=(), digits=0))),
    LoadRow(
        name="close", title="250-byte JSON GET, a new connection for each (Connection: close), everybody on every CPU",
        headers=(*CLIENT, ("Connection", "close")), subjects=WITH_DIRECT, anywhere=True,
        goals=(Goal("rps", "requests/s", at_least=1.0, digits=0), cpu(1.0))),
    LoadRow(
        name="workers", title="Two workers against one, 250-byte JSON GET, everybody on every CPU",
        subjects=("davenport", "davenport-2", "direct"), anywhere=True,
        goals=(Goal("rps", "requests/s of two workers over one", at_least=1.7, subject="davenport-2",
                    against=("davenport",), digits=0,
                    instead=cpu(1.10, subject="davenport-2", against=("davenport",))),)),
    LoadRow(
        name="get-log", title="250-byte JSON GET with every request in an access log (JSON, httplog, combined)",
        flags=frozenset([LOG]), subjects=("davenport", "davenport-unlogged", "haproxy", "nginx"),
        goals=(cpu(0.85),)),
    SyscallRow(
        name="syscalls", title="System calls a request, 250-byte JSON GET, under strace -c",
        goals=tuple(Goal(key, f"{key} a request", at_most=2.1, against=())
                    for key in ("reads", "writes"))),
    InstructionRow(
        name="instructions",
        title="Instructions a request in user mode, 250-byte JSON GET, under callgrind"),
)
COUNTED_ROWS = ("syscalls", "instructions")
DEFAULT_ROWS = tuple(row.name for row in ROWS if row.name not in COUNTED_ROWS)
