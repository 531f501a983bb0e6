# SPDX-License-Identifier: Apache-2.0
"""Runs a command in a pseudo-terminal: `python3 terminal.py COLUMNS COMMAND...`.

What the command writes goes to stdout, and stdin goes to the command as keys. The exit status is the
command's, or 128 and the number of the signal that ended it, as in a shell.
"""
import fcntl
import os
import pty
import select
import struct
import sys
import termios

pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])

sources = [fd, 0]
while fd in sources:
    for source in select.select(sources, [], [])[0]:
        try:
            data = os.read(source, 65536)
        except OSError:  # Linux: the command has closed the terminal
            data = b""
        if not data:
            sources.remove(source)
        elif source == fd:
            os.write(1, data)
        else:
            os.write(fd, data)
status = os.waitpid(pid, 0)[1]
sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
