"""Rows of requests under load: what the client saw, and what the proxy's processes spent on it."""

import resource
import statistics
import time
from dataclasses import dataclass

import harness
import subjects
from common import CLIENT, TARGET, Summary, run_wrk, spread


@dataclass(frozen=True)
class Goal:
    """`quantity` of Davenport divided by that of `against`, round by round: its median is at most this."""
    quantity: str
    at_most: float
    about: str


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
