"""What was promised, and whether it was kept: ratios within a round, medians over rounds, verdicts."""

import statistics
from dataclasses import dataclass

RIVALS = ("haproxy", "nginx")


def spread(values, digits):
    """median (lowest–highest)"""
    if not values:
        return "–"
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def values_of(rounds, name, key):
    return [cells[name][key] for cells in rounds if key in cells.get(name, {})]


def ratios(rounds, name, against, key):
    """One subject's quantity over another's of the same round, for every round that has both."""
    return [cells[name][key] / cells[against][key] for cells in rounds
            if key in cells.get(name, {}) and cells.get(against, {}).get(key)]


@dataclass(frozen=True)
class Goal:
    """A quantity of `subject`, divided by that of the better one of `against`, or as it is without one.

    It is at most `at_most` or at least `at_least`. `instead`: a goal that counts where this one can't be
    reached because the machine was full (`machine_pct` of a cell)."""
    quantity: str
    about: str
    at_most: float = None
    at_least: float = None
    against: tuple = RIVALS
    subject: str = "davenport"
    digits: int = 2
    instead: "Goal" = None

    def better(self, rounds):
        """Who of `against` did best, by the medians."""
        medians = {name: statistics.median(values) for name in self.against
                   if (values := values_of(rounds, name, self.quantity))}
        if not medians:
            return None
        pick = min if self.at_least is None else max
        return pick(medians, key=medians.get)

    def judge(self, rounds):
        """The verdict, or None where something to compare is missing in this run."""
        rival = self.better(rounds) if self.against else None
        if self.against and not rival:
            return None
        values = (ratios(rounds, self.subject, rival, self.quantity) if rival
                  else values_of(rounds, self.subject, self.quantity))
        if not values:
            return None
        value = statistics.median(values)
        met = value <= self.at_most if self.at_least is None else value >= self.at_least
        limit = f"≤ {self.at_most:g}" if self.at_least is None else f"≥ {self.at_least:g}"
        verdict = {
            "about": self.about, "limit": limit, "value": spread(values, 2), "met": met,
            "ours": spread(values_of(rounds, self.subject, self.quantity), self.digits),
            "theirs": f"{rival}: {spread(values_of(rounds, rival, self.quantity), self.digits)}" if rival else "–",
        }
        if not met and self.instead:
            busy = statistics.median(values_of(rounds, self.subject, "machine_pct"))
            if busy >= 90:
                verdict = self.instead.judge(rounds)
                verdict["about"] += (f" (counts because the machine was {busy:.0f} % full; "
                                     f"{self.about}: {value:.2f})")
        return verdict


def verdict_line(verdict):
    return (f"Goal: {verdict['about']} {verdict['limit']}: {verdict['value']}, "
            f"{'met' if verdict['met'] else 'MISSED'}")


def verdict_table(rows):
    """The table of all goals of a run: [(row's name, verdict)]."""
    out = ["| row | goal | davenport | the better other | ratio | |", "|---|---|---:|---:|---:|---|"]
    for name, verdict in rows:
        out.append(f"| {name} | {verdict['about']} {verdict['limit']} | {verdict['ours']} | {verdict['theirs']} | "
                   f"{verdict['value']} | {'met' if verdict['met'] else '**MISSED**'} |")
    return out
