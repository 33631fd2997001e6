"""What is measured: one entry of ROWS for each kind of work.

A row runs its subjects and gives its table. LoadRow covers every kind of request that wrk can make, so most
new rows are one more entry. All subjects of a row run from its beginning to its end; only one of them is
under load at a time, in turns whose order rotates from round to round.
"""

import json
import pathlib
import resource
import signal
import socket
import statistics
import subprocess
import time
from dataclasses import dataclass, field

import harness
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
class Goal:
    """`quantity` of Davenport divided by that of `against`, round by round: its median is at most this."""
    quantity: str
    at_most: float
    about: str


@dataclass
class Summary:
    """What a row found: a Markdown table, notes under it, and the numbers behind them."""
    name: str
    title: str
    header: list
    lines: list
    notes: list = field(default_factory=list)
    numbers: dict = field(default_factory=dict)


def spread(values, digits):
    """median (lowest–highest)"""
    if not values:
        return "–"
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


# Load --------------------------------------------------------------------------------------------

def run_wrk(port, row, context, seconds):
    """One run of wrk. Gives what report.lua says."""
    argv = ["wrk", "-t1", f"-c{context.connections}", f"-d{seconds}s", "--timeout", "10s", "--latency",
            "-s", str(HERE / "report.lua")]
    for name, value in row.headers:
        argv += ["-H", f"{name}: {value}"]
    argv.append(f"http://127.0.0.1:{port}{row.target}")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 30,
                          preexec_fn=harness.before_exec(context.placement.load))
    for line in done.stdout.split("\n"):
        if line.startswith("result "):
            return json.loads(line.removeprefix("result "))
    raise BenchError(f"wrk gave no result: {(done.stdout + done.stderr).strip()}")


@dataclass(frozen=True)
class Quantity:
    """A column of the load table."""
    key: str
    heading: str
    digits: int


QUANTITIES = (
    Quantity("rps", "requests/s", 0),
    Quantity("p50_ms", "p50 ms", 2),
    Quantity("p99_ms", "p99 ms", 2),
    Quantity("user_us", "user µs", 2),
    Quantity("kernel_us", "kernel µs", 2),
    Quantity("cpu_us", "CPU µs", 2),
    Quantity("busy_pct", "of its core %", 0),
    Quantity("rss_mib", "RSS MiB", 1),
)
COMPARED = (("rps", "requests/s"), ("user_us", "user CPU"), ("cpu_us", "CPU"), ("p99_ms", "p99"))


@dataclass(frozen=True)
class LoadRow:
    name: str
    title: str
    target: str = TARGET
    headers: tuple = CLIENT
    subjects: tuple = tuple(subject.name for subject in subjects.SUBJECTS)
    against: str = "haproxy"
    goals: tuple = ()

    def run(self, context):
        started = {}
        try:
            for subject in context.choose(self.subjects):
                started[subject.name] = harness.start(subject, context.origin, context)
            for proxy in started.values():
                run_wrk(proxy.port, self, context, 1)
            rounds = []
            for number in range(context.rounds):
                turn = number % len(started)
                names = list(started)
                cells = {}
                for name in names[turn:] + names[:turn]:
                    harness.wait_for_quiet(context.patience)
                    cells[name] = self.measure(started[name], context)
                rounds.append(cells)
                context.say(f"{self.name}: round {number + 1} of {context.rounds}: " + ", ".join(
                    f"{name} {cell['rps']:.0f}/s" for name, cell in cells.items()))
        finally:
            for proxy in started.values():
                proxy.__exit__()
        return self.summarize(rounds, list(started))

    def measure(self, proxy, context):
        """One cell: what the client saw, and what the proxy's processes spent on it."""
        ours = proxy.pids + context.origin.pids
        busy, own, proxy_start = harness.machine_busy_ns(), harness.cpu_of(ours), harness.cpu_of(proxy.pids)
        load, clock = children_cpu_s(), time.monotonic()
        result = run_wrk(proxy.port, self, context, context.seconds)
        wall_s = time.monotonic() - clock
        used = harness.cpu_of(proxy.pids).since(proxy_start)
        ours_s = harness.cpu_of(ours).since(own).total_ns / 1e9 + children_cpu_s() - load
        busy_s = (harness.machine_busy_ns() - busy) / 1e9
        requests = max(result["requests"], 1)
        cell = {
            "rps": result["requests"] / (result["duration_us"] / 1e6),
            "p50_ms": result["p50_us"] / 1e3,
            "p99_ms": result["p99_us"] / 1e3,
            "requests": result["requests"],
            "failed": result["failed"],
            "others": max(0.0, busy_s - ours_s) / wall_s / harness.cpu_count(),
        }
        if proxy.pids:
            user_ns, kernel_ns = used.split_ns()
            cell |= {
                "user_us": user_ns / requests / 1e3,
                "kernel_us": kernel_ns / requests / 1e3,
                "cpu_us": used.total_ns / requests / 1e3,
                "busy_pct": used.total_ns / 1e7 / wall_s,
                "rss_mib": harness.rss_kib(proxy.pids) / 1024,
            }
        return cell

    def summarize(self, rounds, names):
        summary = Summary(self.name, self.title, ["", *(quantity.heading for quantity in QUANTITIES)], [])
        for name in names:
            cells = [cells[name] for cells in rounds]
            summary.lines.append([name, *(
                spread([cell[quantity.key] for cell in cells if quantity.key in cell], quantity.digits)
                for quantity in QUANTITIES)])
        summary.notes += self.ratios(rounds, names)
        summary.notes += self.verdicts(rounds, names)
        summary.notes += failures(rounds)
        others = [cell["others"] * 100 for cells in rounds for cell in cells.values()]
        summary.notes.append(f"CPU used meanwhile by what is no part of the run, % of the machine: "
                             f"{spread(others, 0)}")
        summary.numbers = {"rounds": rounds}
        return summary

    def ratios(self, rounds, names):
        """Against one of the subjects, in the same round: medians of the rounds' ratios."""
        if self.against not in names:
            return []
        lines = []
        for name in names:
            parts = []
            for key, what in COMPARED:
                values = ratio(rounds, name, self.against, key)
                if values:
                    parts.append(f"{what} {spread(values, 2)}")
            if name != self.against and parts:
                lines.append(f"{name} ÷ {self.against}: " + ", ".join(parts))
        return lines

    def verdicts(self, rounds, names):
        if "davenport" not in names or self.against not in names:
            return []
        lines = []
        for goal in self.goals:
            value = statistics.median(ratio(rounds, "davenport", self.against, goal.quantity))
            verdict = "met" if value <= goal.at_most else "MISSED"
            lines.append(f"Goal: {goal.about} at most {goal.at_most:.2f} of {self.against}'s: "
                         f"{value:.2f}, {verdict}")
        return lines


def children_cpu_s():
    """CPU seconds of the children waited for: wrk, between two readings."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def ratio(rounds, name, against, key):
    return [cells[name][key] / cells[against][key] for cells in rounds
            if key in cells[name] and cells[against].get(key)]


def failures(rounds):
    """A line for each cell in which a request failed: its numbers mean nothing."""
    lines = []
    for number, cells in enumerate(rounds, 1):
        for name, cell in cells.items():
            failed = {kind: count for kind, count in cell["failed"].items() if count}
            if failed:
                lines.append(f"FAILED REQUESTS: round {number}, {name}: {failed}")
    return lines or ["Failed requests (sockets, timeouts, statuses): none in any round"]


# Idle connections --------------------------------------------------------------------------------

ADDRESS_SHARE = 20000  # connections from one source address: fewer than it has ports
BATCH = 64             # requests under way at a time


def ask(port, count, row):
    """Open connections, do one request on each, and give them back open. Batches, like so many clients."""
    lines = [f"GET {row.target} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in row.headers]
    request = "\r\n".join(lines + ["", ""]).encode()
    clients = []
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


def still_open(clients):
    """How many of them the proxy has not closed."""
    count = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


def close_all(clients):
    for client in clients:
        client.close()


@dataclass(frozen=True)
class IdleRow:
    name: str
    title: str
    clients: int = 5000
    repeats: int = 3
    settle_s: float = 2.0
    target: str = TARGET
    headers: tuple = CLIENT
    subjects: tuple = ("davenport", "haproxy", "nginx")

    def run(self, context):
        chosen = context.choose(self.subjects)
        grown = {subject.name: [] for subject in chosen}
        start, end = {}, {}
        for number in range(self.repeats):
            for subject in chosen:
                with harness.start(subject, context.origin, context) as proxy:
                    before, after = self.measure(proxy)
                grown[subject.name].append((after - before) * 1024 / self.clients)
                start.setdefault(subject.name, []).append(before / 1024)
                end.setdefault(subject.name, []).append(after / 1024)
            context.say(f"{self.name}: repeat {number + 1} of {self.repeats}: " + ", ".join(
                f"{name} {values[-1]:.0f} B" for name, values in grown.items()))
        return Summary(
            self.name, self.title.format(clients=f"{self.clients:,}"),
            ["", "bytes a connection", "RSS MiB before", "RSS MiB with them"],
            [[name, spread(values, 0), spread(start[name], 1), spread(end[name], 1)]
             for name, values in grown.items()],
            numbers={"bytes_a_connection": grown, "before_mib": start, "after_mib": end})

    def measure(self, proxy):
        """RSS before and with the idle clients, after a warm-up that touches what every run touches."""
        for _ in range(4):
            close_all(ask(proxy.port, BATCH, self))
        time.sleep(self.settle_s)
        before = proxy.rss_kib()
        clients = ask(proxy.port, self.clients, self)
        try:
            time.sleep(self.settle_s)
            after = proxy.rss_kib()
            if still_open(clients) != self.clients:
                raise BenchError(f"{proxy.subject.name} closed idle connections: "
                                 f"{still_open(clients)} of {self.clients} are open")
        finally:
            close_all(clients)
        return before, after


# System calls ------------------------------------------------------------------------------------

@dataclass(frozen=True)
class SyscallRow:
    """A short run under strace -c. It slows the proxy, so that each wait finds more to do: the calls that
    carry bytes are exact, those that wait are fewer than without strace."""
    name: str
    title: str
    seconds: int = 3
    target: str = TARGET
    headers: tuple = CLIENT
    subjects: tuple = ("davenport", "haproxy", "nginx", "relay")
    least: float = 0.005  # calls a request below which a name is left out

    def run(self, context):
        chosen = context.choose(self.subjects)
        counts = {}
        for subject in chosen:
            with harness.start(subject, context.origin, context) as proxy:
                run_wrk(proxy.port, self, context, 1)
                counts[subject.name] = self.trace(proxy, context)
        names = sorted({name for calls in counts.values() for name, count in calls.items()
                        if count >= self.least},
                       key=lambda name: -max(calls.get(name, 0) for calls in counts.values()))
        lines = [[name, *(f"{calls.get(name, 0):.2f}" for calls in counts.values())] for name in names]
        lines.append(["all", *(f"{sum(calls.values()):.2f}" for calls in counts.values())])
        return Summary(self.name, self.title, ["", *counts], lines, numbers={"calls": counts})

    def trace(self, proxy, context):
        out = context.folder / "strace.txt"
        argv = ["strace", "-c", "-f", "-o", str(out)]
        for pid in proxy.pids:
            argv += ["-p", str(pid)]
        try:
            strace = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True,
                                      preexec_fn=harness.before_exec(context.placement.load))
        except FileNotFoundError:
            raise BenchError("the row of system calls needs strace (Debian: apt-get install strace)") from None
        try:
            said = strace.stderr.readline()
            if "attached" not in said:
                raise BenchError(f"strace does not trace: {said.strip()}")
            time.sleep(0.5)
            requests = run_wrk(proxy.port, self, context, self.seconds)["requests"]
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait()
            strace.stderr.close()
        return {name: count / requests for name, count in read_counts(out).items()}


def read_counts(path):
    """Calls by name from strace's table: % time, seconds, usecs/call, calls, [errors,] name."""
    counts = {}
    for line in path.read_text().split("\n"):
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            counts[words[-1]] = int(words[3])
    return counts


# The table of rows -------------------------------------------------------------------------------

ROWS = (
    LoadRow(
        name="get",
        title="250-byte JSON GET, keep-alive, plain to plain",
        goals=(Goal("user_us", 0.50, "user CPU a request"),
               Goal("cpu_us", 0.95, "CPU a request"))),
    IdleRow(
        name="idle",
        title="RSS growth with {clients} idle keep-alive clients, each after one request"),
    SyscallRow(
        name="syscalls",
        title="System calls a request, 250-byte JSON GET, under strace -c"),
)
DEFAULT_ROWS = ("get", "idle")
