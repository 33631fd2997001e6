"""Rows of what a request costs in things that can be counted: system calls and instructions."""

import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import harness
from common import BATCH, Summary, Work, ask, ask_again, close_all, judge, run_wrk
from goals import verdict_line
from harness import BenchError
from subjects import PROXIES


READS = ("read", "readv", "recvfrom", "recvmsg")
WRITES = ("write", "writev", "sendto", "sendmsg")


def need(tool):
    if not shutil.which(tool):
        raise BenchError(f"this row needs {tool} (Debian: apt-get install {tool})")


@dataclass(frozen=True)
class SyscallRow(Work):
    """A short run under strace -c. It slows the proxy, so that each wait finds more to do: the calls that
    carry bytes are exact, those that wait are fewer than without strace."""
    seconds: int = 3
    subjects: tuple = (*PROXIES, "relay")
    least: float = 0.005  # calls a request below which a name is left out

    def run(self, context):
        need("strace")
        chosen = context.choose(self.subjects)
        counts = {}
        for subject in chosen:
            with harness.start(subject, self, context) as proxy:
                run_wrk(proxy, self, context, 1)
                counts[subject.name] = self.trace(proxy, context)
        names = sorted({name for calls in counts.values() for name, count in calls.items()
                        if count >= self.least},
                       key=lambda name: -max(calls.get(name, 0) for calls in counts.values()))
        lines = [[name, *(f"{calls.get(name, 0):.2f}" for calls in counts.values())] for name in names]
        lines.append(["all", *(f"{sum(calls.values()):.2f}" for calls in counts.values())])
        rounds = [{name: {"reads": sum(calls.get(call, 0) for call in READS),
                          "writes": sum(calls.get(call, 0) for call in WRITES),
                          "waits": calls.get("epoll_wait", 0) + calls.get("epoll_pwait", 0), "calls": calls}
                   for name, calls in counts.items()}]
        lines += [[name, *(f"{cells[key]:.2f}" for cells in rounds[0].values())]
                  for name, key in (("of these reads", "reads"), ("writes", "writes"))]
        verdicts = judge(self.goals, rounds)
        return Summary(self.name, self.title, ["", *counts], lines, verdicts,
                       [verdict_line(verdict) for verdict in verdicts], rounds)

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
            requests = run_wrk(proxy, self, context, self.seconds)["requests"]
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
class InstructionRow(Work):
    """Instructions in user mode, counted by callgrind: the same however busy the machine is. Two runs from
    start to end; what one has more than the other is the price of the requests it has more."""
    few: int = 20    # requests on each connection
    many: int = 220
    subjects: tuple = (*PROXIES, "relay")

    def run(self, context):
        need("valgrind")
        costs = {}
        for subject in context.choose(self.subjects):
            few, many = (self.count(subject, times, context) for times in (self.few, self.many))
            costs[subject.name] = (many - few) / ((self.many - self.few) * BATCH)
            context.say(f"{self.name}: {subject.name} {costs[subject.name]:.0f}")
        rounds = [{name: {"instructions": cost} for name, cost in costs.items()}]
        base = costs.get("haproxy")
        verdicts = judge(self.goals, rounds)
        return Summary(
            self.name, self.title, ["", "instructions a request", "÷ haproxy"],
            [[name, f"{cost:,.0f}", f"{cost / base:.2f}" if base else "–"] for name, cost in costs.items()],
            verdicts, [verdict_line(verdict) for verdict in verdicts], rounds)

    def count(self, subject, times, context):
        """Instructions of a whole run with so many requests on each connection."""
        out = context.folder / f"callgrind.{subject.name}.{times}"
        out.mkdir()
        out.chmod(0o777)  # a worker of nginx gives up root before it writes
        wrap = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}/%p")
        with harness.start(subject, self, context, wrap) as proxy:
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
