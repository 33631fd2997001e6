"""What compare says of goals: python3 bench/test_goals.py"""

import sys
import unittest

sys.dont_write_bytecode = True

import goals  # noqa: E402
import subjects  # noqa: E402


def rounds_of(**subjects_values):
    """Rounds from {subject: values of the quantity x, one a round}."""
    count = len(next(iter(subjects_values.values())))
    return [{name: {"x": values[n], "machine_pct": 99} for name, values in subjects_values.items()}
            for n in range(count)]


class Verdicts(unittest.TestCase):
    def test_is_against_the_better_of_the_two(self):
        rounds = rounds_of(davenport=[8, 9, 8], haproxy=[10, 10, 10], nginx=[20, 20, 20])
        verdict = goals.Goal("x", "x", at_most=0.85).judge(rounds)
        self.assertTrue(verdict["met"])
        self.assertEqual(verdict["value"], "0.80 (0.80–0.90)")
        self.assertTrue(verdict["theirs"].startswith("haproxy"))

    def test_more_can_be_better(self):
        rounds = rounds_of(davenport=[15], haproxy=[10], nginx=[20])
        verdict = goals.Goal("x", "x", at_least=1.0).judge(rounds)
        self.assertFalse(verdict["met"])
        self.assertTrue(verdict["theirs"].startswith("nginx"))

    def test_a_full_machine_is_judged_by_the_other_goal(self):
        rounds = rounds_of(two=[10], one=[10])
        other = goals.Goal("x", "flat", at_most=1.1, subject="two", against=("one",))
        verdict = goals.Goal("x", "faster", at_least=1.7, subject="two", against=("one",),
                             instead=other).judge(rounds)
        self.assertTrue(verdict["met"])
        self.assertIn("the machine was 99 % full", verdict["about"])

    def test_says_nothing_of_what_was_not_measured(self):
        self.assertIsNone(goals.Goal("x", "x", at_most=1).judge(rounds_of(davenport=[1])))


class Configurations(unittest.TestCase):
    def test_lines_of_flags(self):
        text = "a\n?tls b\n!tls c\n"
        self.assertEqual(subjects.choose_lines(text, {"tls"}), "a\n b\n")
        self.assertEqual(subjects.choose_lines(text, set()), "a\n c\n")


if __name__ == "__main__":
    unittest.main()
