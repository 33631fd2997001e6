"""Rows of what a request costs in things that can be counted: system calls and instructions."""

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import harness
from common import BATCH, CLIENT, TARGET, Summary, ask, ask_again, close_all, run_wrk
from harness import BenchError


def need(tool):
    if not shutil.which(tool):
        raise BenchError(f"this row needs {tool} (Debian: apt-get install {tool})")


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
        need("strace")
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
        strace = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True,
                                  preexec_fn=context.placement.prepare("load"))
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


@dataclass(frozen=True)
class InstructionRow:
    """Instructions in user mode, counted by callgrind: the same however busy the machine is. Two runs from
    start to end; what one has more than the other is the price of the requests it has more."""
    name: str
    title: str
    few: int = 20    # requests on each connection
    many: int = 220
    target: str = TARGET
    headers: tuple = CLIENT
    subjects: tuple = ("davenport", "haproxy", "nginx", "relay")
    against: str = "haproxy"

    def run(self, context):
        need("valgrind")
        costs = {}
        for subject in context.choose(self.subjects):
            few, many = (self.count(subject, times, context) for times in (self.few, self.many))
            costs[subject.name] = (many - few) / ((self.many - self.few) * BATCH)
            context.say(f"{self.name}: {subject.name} {costs[subject.name]:.0f}")
        base = costs.get(self.against)
        return Summary(
            self.name, self.title, ["", "instructions a request", f"÷ {self.against}"],
            [[name, f"{cost:,.0f}", f"{cost / base:.2f}" if base else "–"] for name, cost in costs.items()],
            numbers={"instructions": costs})

    def count(self, subject, times, context):
        """Instructions of a whole run with so many requests on each connection."""
        out = context.folder / f"callgrind.{subject.name}.{times}"
        out.mkdir()
        out.chmod(0o777)  # a worker of nginx gives up root before it writes
        wrap = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}/%p")
        with harness.start(subject, context.origin, context, wrap) as proxy:
            clients = ask(proxy.port, BATCH, self)
            try:
                ask_again(clients, proxy.port, times, self)
            finally:
                close_all(clients)
        totals = [int(line.split()[1]) for path in out.iterdir() for line in path.read_text().split("\n")
                  if line.startswith("totals:")]
        if not totals:
            raise BenchError(f"callgrind counted nothing of {subject.name}")
        return sum(totals)
