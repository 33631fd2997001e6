"""Rows of connections that wait."""

import time
from dataclasses import dataclass

import harness
from common import BATCH, Summary, Work, ask, close_all, judge
from goals import spread, values_of, verdict_line
from harness import BenchError


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


@dataclass(frozen=True)
class IdleRow(Work):
    clients: int = 10000
    repeats: int = 3
    settle_s: float = 3.0

    def run(self, context):
        chosen = context.choose(self.subjects)
        rounds = []
        for number in range(self.repeats):
            cells = {}
            for subject in chosen:
                with harness.start(subject, self, context) as proxy:
                    before, after = self.measure(proxy)
                cells[subject.name] = {"bytes": (after - before) * 1024 / self.clients,
                                       "before_mib": before / 1024, "after_mib": after / 1024}
            rounds.append(cells)
            context.say(f"{self.name}: repeat {number + 1} of {self.repeats}: " + ", ".join(
                f"{name} {cell['bytes']:.0f} B" for name, cell in cells.items()))
        verdicts = judge(self.goals, rounds)
        return Summary(
            self.name, self.title.format(clients=f"{self.clients:,}"),
            ["", "bytes a connection", "RSS MiB before", "RSS MiB with them"],
            [[name, *(spread(values_of(rounds, name, key), digits)
                      for key, digits in (("bytes", 0), ("before_mib", 1), ("after_mib", 1)))]
             for name in (subject.name for subject in chosen)],
            verdicts, [verdict_line(verdict) for verdict in verdicts], rounds)

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
