"""Rows of latency at a fixed rate: an open loop, so that a request that had to wait says so."""

import json
import statistics
import subprocess
from dataclasses import dataclass

import harness
import subjects
from common import Summary, Work, judge, run_wrk
from goals import spread, values_of, verdict_line
from harness import BenchError
from load import failures


@dataclass(frozen=True)
class LatencyRow(Work):
    """Half of what the slowest proxy can do at most (wrk, closed loop) is asked of each, by davenport load. What
    a proxy adds is its percentile less that of the origin alone in the same round. The generator goes before the
    origin, with which it may share a CPU: else its own lateness is what is measured."""
    subjects: tuple = (*subjects.PROXIES, "direct")
    share: float = 0.5
    percentiles: tuple = ("p50_us", "p90_us", "p99_us", "p99.9_us")

    def run(self, context):
        started = {}
        try:
            for subject in context.choose(self.subjects):
                started[subject.name] = harness.start(subject, self, context)
            if "direct" not in started:
                raise BenchError(f"row {self.name} needs the subject direct: what a proxy adds is more than that")
            saturation = self.saturate(started, context)
            rate = self.share * min(saturation[name] for name in saturation if name != "direct")
            rounds = context.take_turns(self.name, started,
                                        lambda proxy: self.measure(proxy, rate, context), "p99_us", "µs")
        finally:
            for proxy in started.values():
                proxy.__exit__()
        for cells in rounds:
            for cell in cells.values():
                cell |= {f"added_{key}": cell[key] - cells["direct"][key] for key in self.percentiles}
        return self.summarize(rounds, list(started), saturation, rate)

    def saturate(self, started, context):
        """Requests/s of a closed loop: the median of three short runs each, in turn."""
        runs = {name: [] for name in started}
        for _ in range(3):
            for name, proxy in started.items():
                result = run_wrk(proxy, self, context, 1)
                runs[name].append(result["requests"] / result["duration_us"] * 1e6)
        return {name: statistics.median(values) for name, values in runs.items()}

    def measure(self, proxy, rate, context):
        headers = context.folder / "load.headers"
        headers.write_text("".join(f"{name}: {value}\n" for name, value in self.headers))
        argv = [subjects.path_of(subjects.LOAD, context.build), "load", "--json", "--rate", f"{rate:.0f}", "--warmup", "1",
                "--seconds", str(context.seconds), "--connections", str(context.connections), "--headers", str(headers),
                f"http://127.0.0.1:{proxy.port}{self.target}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=context.seconds + 60,
                              preexec_fn=context.placement.prepare("load", at_once=True))
        if done.returncode != 0:
            raise BenchError(f"davenport load: {done.stderr.strip()}")
        told = json.loads(done.stdout)
        if not told["ok"]:
            raise BenchError(f"davenport load: no request was answered well: {told['kinds']}")
        return {key: told[key.replace("_us", "_ms")] * 1e3 for key in (*self.percentiles, "lag_p99_us")} | {
            "failed": {name: count for kind in told["kinds"] for name, count in kind["failures"].items()}}

    def summarize(self, rounds, names, saturation, rate):
        header = ["", "saturates at requests/s", "generator late p99 µs", *(f"{key.removesuffix('_us')} µs" for key in self.percentiles),
                  *(f"added {key.removesuffix('_us')} µs" for key in self.percentiles)]
        lines = [[name, f"{saturation[name]:,.0f}", spread(values_of(rounds, name, "lag_p99_us"), 0),
                  *(spread(values_of(rounds, name, key), 0) for key in self.percentiles),
                  *(spread(values_of(rounds, name, f"added_{key}"), 0) if name != "direct" else "–"
                    for key in self.percentiles)] for name in names]
        verdicts = judge(self.goals, rounds)
        notes = [f"Rate: {rate:,.0f} requests/s, {self.share:.0%} of what the slowest proxy did in a closed loop",
                 *(verdict_line(verdict) for verdict in verdicts), *failures(rounds)]
        return Summary(self.name, self.title, header, lines, verdicts, notes, rounds)
