"""The API server of the harness: it answers, enforces rights, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster.harness import processes
from cluster.harness.api_server import ApiServer
from cluster.harness.daemon import Daemon
from cluster.harness.errors import HarnessError
from cluster.harness.waiting import wait_until

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: readers}]
"""


def test_it_keeps_objects_for_its_administrator(api_server):
    api_server.kubectl("create", "configmap", "kept", "--from-literal=key=value")
    try:
        found = api_server.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.key}")
        assert found == "value"
    finally:
        api_server.kubectl("delete", "configmap", "kept")


def test_it_gives_nobody_rights_that_were_not_granted(api_server):
    reader = api_server.kubectl_of("ann", "readers")
    assert "ann" in reader("auth", "whoami")
    with pytest.raises(HarnessError, match=r'Forbidden.*User "ann" cannot list'):
        reader("get", "configmaps")
    api_server.kubectl.apply(ROLE)
    try:
        reader("get", "configmaps")
        with pytest.raises(HarnessError, match="Forbidden"):
            reader("delete", "configmap", "kube-root-ca.crt")
    finally:
        api_server.kubectl("delete", "role,rolebinding", "reader")


def test_its_secrets_are_its_owners(api_server):
    for name in ("kubeconfig", "tokens.csv"):
        assert stat.S_IMODE((api_server.folder / name).stat().st_mode) == 0o600


def test_another_runs_beside_it_and_leaves_nothing(api_server):
    with ApiServer(api_server.programs) as other:
        processes = [other.api.process, other.etcd.process]
        other.kubectl("create", "namespace", "elsewhere")
        assert not api_server.kubectl.succeeds("get", "namespace", "elsewhere")
    assert not any(process.is_running() for process in processes)
    assert not other.folder.exists()
    for port in (other.addresses.port, other.addresses.etcd, other.addresses.etcd_peer):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_it_ends_with_a_run_that_is_killed(api_server):
    code = """
import os, signal
from cluster.harness.api_server import ApiServer
server = ApiServer().__enter__()
print(server.folder, server.etcd.process.pid, server.api.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    words = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    folder, *pids = done.stdout.split()
    shutil.rmtree(folder)
    assert len(pids) == 2, done.stderr
    wait_until(lambda: not any(map(running, pids)), "the end of both")


def running(pid):
    try:
        return processes.alive(psutil.Process(int(pid)))
    except psutil.NoSuchProcess:
        return False


def test_it_comes_back_with_all_that_it_kept(api_server):
    with ApiServer(api_server.programs) as other:
        other.kubectl("create", "namespace", "kept")
        other.api.stop()
        assert not other.kubectl.succeeds("get", "namespace", "kept")
        other.start()
        assert other.kubectl.succeeds("get", "namespace", "kept")


def test_a_daemon_that_ends_is_told_with_its_log(tmp_path):
    daemon = Daemon(tmp_path, "short")
    daemon.start(["/bin/sh", "-c", "echo no such thing; exit 3"], {})
    with pytest.raises(HarnessError, match="short ended:\nno such thing"):
        wait_until(lambda: False, "the start", daemons=(daemon,))
    daemon.stop()


def test_the_id_of_another_process_is_not_taken_for_a_daemon(tmp_path):
    daemon = Daemon(tmp_path, "sleeper")
    daemon.start(["/bin/sleep", "60"], {})
    process = daemon.process
    record = tmp_path / "sleeper.pid"
    right = record.read_text()
    record.write_text(f"{process.pid} 12")
    assert not daemon.running
    record.write_text(right)
    daemon.stop()
    assert not process.is_running()
