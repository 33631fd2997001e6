#!/usr/bin/env python3
"""Run a command in a terminal of its own and tell what it does there.

usage: pty.py ROWS COLUMNS COMMAND...

What the command writes comes out on stdout. Lines on stdin: "key TEXT" (backslash escapes), "size ROWS COLUMNS",
"signal NAME". When it has ended, the last line on stdout is JSON: {"code", "signal", "echo", "canonical"}: how it
ended, and what the terminal's settings are then.
"""
import fcntl
import json
import os
import resource
import select
import signal
import struct
import sys
import termios


def set_size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def obey(line, master, pid):
    word, _, rest = line.partition(" ")
    if word == "key":
        os.write(master, rest.encode().decode("unicode_escape").encode("latin-1"))
    elif word == "size":
        set_size(master, *map(int, rest.split()))
    elif word == "signal":
        os.kill(pid, getattr(signal, rest))


def start(slave, command):
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in range(3):
            os.dup2(slave, fd)
        os.closerange(3, 64)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a test may crash it on purpose
        os.execvp(command[0], command)
    return pid


def main():
    master, slave = os.openpty()
    set_size(master, int(sys.argv[1]), int(sys.argv[2]))
    pid = start(slave, sys.argv[3:])
    waiting = b""
    inputs = [master, 0]
    status = None
    while True:
        ready, _, _ = select.select(inputs, [], [], 0.05)
        if master in ready:
            os.write(1, os.read(master, 65536))
            continue
        if 0 in ready:
            got = os.read(0, 4096)
            if not got:
                inputs.remove(0)
            waiting += got
            *lines, waiting = waiting.split(b"\n")
            for line in lines:
                obey(line.decode(), master, pid)
            continue
        if status is not None:  # it had ended before this look at what it wrote
            break
        ended, how = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = how
    flags = termios.tcgetattr(slave)[3]
    end = {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else None,
        "echo": bool(flags & termios.ECHO),
        "canonical": bool(flags & termios.ICANON),
    }
    os.write(1, b"\n" + json.dumps(end).encode() + b"\n")


main()
