"""Rows of requests under load: what the client saw, and what the proxy's processes spent on it."""

import resource
import time
from dataclasses import dataclass

import harness
from common import Summary, Work, judge, run_wrk
from goals import ratios, spread, values_of, verdict_line


@dataclass(frozen=True)
class Quantity:
    """A column of the load table."""
    key: str
    heading: str
    digits: int


SMALL = (
    Quantity("rps", "requests/s", 0),
    Quantity("p50_ms", "p50 ms", 2),
    Quantity("p99_ms", "p99 ms", 2),
    Quantity("user_us", "user µs", 2),
    Quantity("kernel_us", "kernel µs", 2),
    Quantity("cpu_us", "CPU µs", 2),
    Quantity("busy_pct", "of its core %", 0),
    Quantity("rss_mib", "RSS MiB", 1),
)
LARGE = (
    Quantity("mib_s", "MiB/s", 0),
    Quantity("user_ms_gib", "user ms a GiB", 0),
    Quantity("kernel_ms_gib", "kernel ms a GiB", 0),
    Quantity("cpu_ms_gib", "CPU ms a GiB", 0),
    Quantity("busy_pct", "of its core %", 0),
    Quantity("rss_mib", "RSS MiB", 1),
)
COMPARED = {"rps": "requests/s", "user_us": "user CPU", "cpu_us": "CPU", "p99_ms": "p99", "mib_s": "MiB/s",
            "cpu_ms_gib": "CPU"}


@dataclass(frozen=True)
class LoadRow(Work):
    attachment_bytes: int = 0  # of each request or answer, where the row is about bytes
    connections: int = 0       # 0: as the run says

    def run(self, context):
        started = {}
        try:
            for subject in context.choose(self.subjects):
                started[subject.name] = harness.start(subject, self, context)
            for proxy in started.values():
                self.load(proxy, context, 1)
            rounds = context.take_turns(self.name, started, lambda proxy: self.measure(proxy, context))
        finally:
            for proxy in started.values():
                proxy.__exit__()
        return self.summarize(rounds, list(started))

    def load(self, proxy, context, seconds):
        return run_wrk(proxy, self, context, seconds, self.connections)

    def measure(self, proxy, context):
        """One cell: what the client saw, and what the proxy's processes spent on it."""
        ours = proxy.pids + context.origin.pids
        busy, own, proxy_start = harness.machine_busy_ns(), harness.cpu_of(ours), harness.cpu_of(proxy.pids)
        load, clock = children_cpu_s(), time.monotonic()
        result = self.load(proxy, context, context.seconds)
        wall_s = time.monotonic() - clock
        used = harness.cpu_of(proxy.pids).since(proxy_start)
        ours_s = harness.cpu_of(ours).since(own).total_ns / 1e9 + children_cpu_s() - load
        busy_s = (harness.machine_busy_ns() - busy) / 1e9
        requests = max(result["requests"], 1)
        took_s = result["duration_us"] / 1e6
        gib = requests * self.attachment_bytes / 2**30
        cell = {
            "rps": result["requests"] / took_s,
            "p50_ms": result["p50_us"] / 1e3,
            "p99_ms": result["p99_us"] / 1e3,
            "requests": result["requests"],
            "failed": result["failed"],
            "others": max(0.0, busy_s - ours_s) / wall_s / harness.cpu_count(),
            "machine_pct": busy_s * 100 / wall_s / harness.cpu_count(),
        }
        if gib:
            cell["mib_s"] = gib * 1024 / took_s
        if proxy.pids:
            user_ns, kernel_ns = used.split_ns()
            cell |= {
                "user_us": user_ns / requests / 1e3,
                "kernel_us": kernel_ns / requests / 1e3,
                "cpu_us": used.total_ns / requests / 1e3,
                "busy_pct": used.total_ns / 1e7 / wall_s,
                "rss_mib": harness.rss_kib(proxy.pids) / 1024,
            }
            if gib:
                cell |= {"user_ms_gib": user_ns / gib / 1e6, "kernel_ms_gib": kernel_ns / gib / 1e6,
                         "cpu_ms_gib": used.total_ns / gib / 1e6}
        return cell

    def summarize(self, rounds, names):
        quantities = LARGE if self.attachment_bytes else SMALL
        summary = Summary(self.name, self.title, ["", *(quantity.heading for quantity in quantities)], [],
                          judge(self.goals, rounds), rounds=rounds)
        for name in names:
            summary.lines.append([name, *(spread(values_of(rounds, name, quantity.key), quantity.digits)
                                          for quantity in quantities)])
        summary.notes += compare(rounds, names, [quantity.key for quantity in quantities])
        summary.notes += [verdict_line(verdict) for verdict in summary.verdicts]
        summary.notes += failures(rounds)
        others = [cell["others"] * 100 for cells in rounds for cell in cells.values()]
        summary.notes.append(f"CPU used meanwhile by what is no part of the run, % of the machine: "
                             f"{spread(others, 0)}")
        return summary


def compare(rounds, names, keys):
    """The first subject against each of the others, in the same round: medians of the rounds' ratios."""
    lines = []
    for name in names[1:]:
        parts = [f"{COMPARED[key]} {spread(values, 2)}" for key in keys if key in COMPARED
                 if (values := ratios(rounds, names[0], name, key))]
        if parts:
            lines.append(f"{names[0]} ÷ {name}: " + ", ".join(parts))
    return lines


def children_cpu_s():
    """CPU seconds of the children waited for: wrk, between two readings."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def failures(rounds):
    """A line for each cell in which a request failed: its numbers mean nothing."""
    lines = []
    for number, cells in enumerate(rounds, 1):
        for name, cell in cells.items():
            failed = {kind: count for kind, count in cell["failed"].items() if count}
            if failed:
                lines.append(f"FAILED REQUESTS: round {number}, {name}: {failed}")
    return lines or ["Failed requests (sockets, timeouts, statuses): none in any round"]
