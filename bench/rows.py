"""What is measured: one entry of ROWS for each kind of work.

A row is a value with name, title and run(context), which gives a Summary. load.LoadRow serves every kind of
request that wrk can make, so most new rows are one more entry here.
"""

from idle import IdleRow
from load import Goal, LoadRow
from traced import InstructionRow, SyscallRow

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
    InstructionRow(
        name="instructions",
        title="Instructions a request in user mode, 250-byte JSON GET, under callgrind"),
)
DEFAULT_ROWS = ("get", "idle")
