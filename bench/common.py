"""What the kinds of rows share: a client's request, two ways to send it, and what a row gives back."""

import json
import pathlib
import socket
import subprocess
from dataclasses import dataclass, field

import subjects
from harness import BenchError

HERE = pathlib.Path(__file__).resolve().parent

# A document and a client as they come: nano under Node.js, talking to CouchDB with a password.
TARGET = "/orders/order%3A2026-000123"
CLIENT = (
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "nano/10.1.4 (Node.js v18.20.4)"),
    ("Accept-Encoding", "deflate, gzip"),
    ("Authorization", "Basic b3JkZXJzOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ=="),
)


@dataclass(frozen=True)
class Work:
    """What rows of every kind have: a request, what it passes through, and who is measured."""
    name: str
    title: str
    method: str = "GET"
    target: str = TARGET
    headers: tuple = CLIENT
    body_bytes: int = 0
    flags: frozenset = frozenset()  # client-tls, region-tls, log: lines of the configurations
    origin: str = "origin"          # or sink
    subjects: tuple = subjects.PROXIES
    goals: tuple = ()
    anywhere: bool = False          # bound to no CPU


@dataclass
class Summary:
    """What a row found: a Markdown table, verdicts, notes under it, and the numbers behind them.

    rounds: [{subject: {quantity: value}}], from which everything else was made."""
    name: str
    title: str
    header: list
    lines: list
    verdicts: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    rounds: list = field(default_factory=list)


def judge(goals, rounds):
    return [verdict for goal in goals if (verdict := goal.judge(rounds))]


# wrk, for as many requests as can be -------------------------------------------------------------

def run_wrk(proxy, row, context, seconds, connections=None):
    """One run of wrk. Gives what report.lua says."""
    argv = ["wrk", "-t1", f"-c{connections or context.connections}", f"-d{seconds}s", "--timeout", "30s",
            "--latency", "-s", str(HERE / "report.lua")]
    for name, value in row.headers:
        argv += ["-H", f"{name}: {value}"]
    argv.append(f"http{'s' if proxy.tls else ''}://127.0.0.1:{proxy.port}{row.target}")
    argv += ["--", row.method, str(row.body_bytes)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 60,
                          preexec_fn=context.placement.prepare("load"))
    for line in done.stdout.split("\n"):
        if line.startswith("result "):
            return json.loads(line.removeprefix("result "))
    raise BenchError(f"wrk gave no result: {(done.stdout + done.stderr).strip()}")


# Clients of our own, for connections that are held and requests that are counted -----------------

ADDRESS_SHARE = 20000  # connections from one source address: fewer than it has ports
BATCH = 64             # requests under way at a time


def request_of(row, port):
    lines = [f"GET {row.target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in row.headers]
    return "\r\n".join(lines + ["", ""]).encode()


def ask(port, count, row):
    """Open connections, do one request on each, and give them back open. Batches, like so many clients."""
    request, clients = request_of(row, port), []
    try:
        while len(clients) < count:
            batch = []
            for _ in range(min(BATCH, count - len(clients))):
                client = socket.socket()
                clients.append(client)
                batch.append(client)
                client.settimeout(10)
                client.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
                client.bind((f"127.0.0.{1 + len(clients) // ADDRESS_SHARE}", 0))
                client.connect(("127.0.0.1", port))
                client.sendall(request)
            for client in batch:
                read_answer(client)
    except BaseException:
        close_all(clients)
        raise
    return clients


def ask_again(clients, port, times, row):
    """So many more requests on each of these connections, all of them at a time."""
    request = request_of(row, port)
    for _ in range(times):
        for client in clients:
            client.sendall(request)
        for client in clients:
            read_answer(client)


def read_answer(client):
    """One answer with a Content-Length, and nothing after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536) or fail_short(data)
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n")
                  if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += client.recv(65536) or fail_short(body)
    if not head.startswith(b"HTTP/1.1 200") or len(body) != length:
        raise BenchError(f"not the answer expected: {head[:100]!r}")


def fail_short(data):
    raise BenchError(f"closed after {len(data)} bytes of an answer")


def close_all(clients):
    for client in clients:
        client.close()
