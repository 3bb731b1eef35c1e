"""Runs one program so that it cannot outlive whoever started it.

    python -I -S tether.py USER SIGNAL GRACE ALONE COMMAND…

USER is the account the program runs as (`-`: ours), SIGNAL what asks it to stop, GRACE how many seconds
it then has. The tether stops the program when it is told to, and when its own parent dies, however
that dies: on Linux the kernel tells it (PR_SET_PDEATHSIG), elsewhere it looks once a second. It
then waits until nothing of the program is left, so that a restart never meets its own leftovers.
A second request is passed on as well: a program with work at hand then ends that, for which it has a few
seconds. A third kills at once. Where nobody is left for whom it runs, the second comes by itself after ALONE
seconds (0: never): neither its parent, nor who started all of this, whose process DATAELAN_RUN_BY names.

It runs as a script of its own and imports the standard library only: six of them must start quickly.
"""

import ctypes
import os
import pwd
import signal
import sys
from contextlib import suppress

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
HURRIED = 20
"""Seconds that a program has once it was asked twice."""
WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM}


def run(user: str, stop_signal: signal.Signals, grace: float, alone: float, command: list[str]) -> int:
    parent = os.getppid()
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    child = os.fork()
    if child == 0:
        become(user, stop_signal, command)
    if os.getppid() != parent:  # it died before the kernel knew whom to tell
        os.kill(os.getpid(), signal.SIGTERM)
    status = wait(child, stop_signal, grace, alone, parent)
    sweep(child, grace)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def prctl(option: int, value: int) -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def become(user: str, stop_signal: signal.Signals, command: list[str]) -> None:
    """In the child: turn into the program. The order matters, changing user clears the death signal."""
    tether = os.getppid()
    os.setpgid(0, 0)
    environment = dict(os.environ)
    if user != "-":
        account = pwd.getpwnam(user)
        os.initgroups(user, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.chdir("/")  # ours may be closed to it
        environment = {"PATH": os.environ.get("PATH", os.defpath)}  # another account gets none of our secrets
    prctl(PR_SET_PDEATHSIG, stop_signal)
    if os.getppid() != tether:
        os._exit(1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    os.closerange(3, 1024)  # the data directory's lock is ours to hold, not the program's
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr, flush=True)
        os._exit(127)


def wait(child: int, stop_signal: signal.Signals, grace: float, alone: float, parent: int) -> int:
    """Until the program has ended, by itself or because it was asked to."""
    asked, is_alone = 0, False
    if not LINUX:
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
    while True:
        received = signal.sigwait(WATCHED)
        if received == signal.SIGCHLD:
            status = reap(child)
            if status is not None:
                return status
            continue
        if received == signal.SIGALRM and not asked and os.getppid() == parent:
            continue
        is_over = received == signal.SIGALRM and not is_alone
        asked += 1
        if asked > 2 or (asked > 1 and is_over):
            kill_group(child)
            continue
        is_alone = asked == 1 and alone > 0 and is_left_alone(parent)
        with suppress(ProcessLookupError):
            os.kill(child, stop_signal)
        signal.setitimer(signal.ITIMER_REAL, alone if is_alone else HURRIED if asked > 1 else grace)


def is_left_alone(parent: int) -> bool:
    if os.getppid() != parent:
        return True
    try:
        os.kill(int(os.environ.get("DATAELAN_RUN_BY") or parent), 0)
    except ProcessLookupError:
        return True
    except (ValueError, PermissionError):
        pass
    return False


def reap(child: int) -> int | None:
    """Bury whoever died; the status, if our program was among them."""
    found = None
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return found
            if pid == child:
                found = status
    except ChildProcessError:
        return found


def kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody left, or only zombies (macOS)
        os.killpg(group, signal.SIGKILL)


def sweep(group: int, grace: float) -> None:
    """Kill what the program left in its group, and wait for what it left elsewhere."""
    kill_group(group)
    signal.setitimer(signal.ITIMER_REAL, grace)
    while True:
        reap(group)
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if signal.sigwait(WATCHED) == signal.SIGALRM:
            return


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], signal.Signals[sys.argv[2]], float(sys.argv[3]), float(sys.argv[4]), sys.argv[5:]))
