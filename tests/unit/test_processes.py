from __future__ import annotations

import subprocess
import sys

import psutil

from deploy.processes import wait
from tests.support.waiting import wait_for
from workers.runner.proc import read_stat

LEADER_ENDS = """
import ctypes, threading, time
threading.Thread(target=time.sleep, args=[60]).start()
print(flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def is_zombie(process: psutil.Process) -> bool:
    return process.status() == psutil.STATUS_ZOMBIE


def test_a_process_lives_until_its_last_thread_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", LEADER_ENDS], stdout=subprocess.PIPE) as child:
        try:
            process = psutil.Process(child.pid)
            wait_for(lambda: is_zombie(process))
            assert wait([process], 0.1) == [process]
            stat = read_stat(child.pid)
            assert stat is not None
            assert not stat.is_zombie
        finally:
            child.kill()


def test_a_zombie_without_threads_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        process = psutil.Process(child.pid)
        wait_for(lambda: is_zombie(process))
        assert wait([process], 0.1) == []
        stat = read_stat(child.pid)
        assert stat is not None
        assert stat.is_zombie
