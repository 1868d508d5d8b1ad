import errno
import threading
from pathlib import Path

import pytest

from cloche.targets.local import logs


@pytest.mark.parametrize(
    ("written", "lines", "last"),
    [
        (b"", 3, ()),
        (b"one\n", 3, ("one",)),
        (b"one\ntwo\nthree\n", 2, ("two", "three")),
        (b"one\nhalf a line", 1, ("half a line",)),
        (b"caf\xe9\r\n", 1, ("caf\ufffd",)),
        (b"x" * 200_000 + b"\nlast\n", 1, ("last",)),
        (b"one\n", 0, ()),
    ],
)
def test_tail(tmp_path: Path, written: bytes, lines: int, last: tuple[str, ...]) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(written)
    assert logs.tail(log, lines) == last


def test_tail_of_what_is_not_there(tmp_path: Path) -> None:
    assert logs.tail(tmp_path / "a.log", 10) == ()


def test_tail_since_an_offset(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("of an earlier start\n")
    start = logs.size(log)
    with log.open("a") as file:
        file.write("of this start\n")
    assert logs.tail(log, 10, start=start) == ("of this start",)


STARTS = """\
2026-11-26T23:50:58Z I 16356 model_lifecycle.cc:839] "successfully loaded 'm'"
2026-11-26T23:50:58Z I 16356 server.cc:604]\x20
+------------------+------+
| Repository Agent | Path |
+------------------+------+
+------------------+------+

2026-11-26T23:50:58Z I 16356 server.cc:674]\x20
+-------+---------+--------+
| Model | Version | Status |
+-------+---------+--------+
| m     | 1       | READY  |
+-------+---------+--------+

2026-11-26T23:50:58Z I 16356 tritonserver.cc:2598]\x20
+----------------------------------+----------------------+
| Option                           | Value                |
+----------------------------------+----------------------+
| server_id                        | m-r1-0               |
+----------------------------------+----------------------+

2026-11-26T23:50:58Z I 16356 grpc_server.cc:2558] "Started GRPCInferenceService"
"""
PRINTED = "+-----+\n| Option | Value |\n+-----+\n| of | the model |\n"


def test_the_tables_of_options_are_not_shown(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(STARTS + PRINTED)
    shown = logs.shown_tail(log, 100)
    loaded, model, *table = shown[:2] + shown[2:7]
    assert "successfully loaded" in loaded
    assert model.endswith("server.cc:674] ")
    assert table == STARTS.splitlines()[8:13]
    assert shown[7] == ""
    assert "Started GRPC" in shown[8]
    assert list(shown[9:]) == PRINTED.splitlines(), "what a model prints is shown as it is"
    for count in range(len(shown) + 2):
        assert logs.shown_tail(log, count) == shown[len(shown) - min(count, len(shown)) :]


def test_a_follower_is_not_shown_them_either(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("")
    lines = logs.follow(lambda: {"a": log}, lines=0, every=0.01)
    assert next(lines) == ("", "")
    with log.open("a") as file:
        for line in (STARTS + PRINTED + STARTS.splitlines()[1]).splitlines(keepends=True):
            file.write(line)
            file.flush()
        file.write("\n")
    found: list[str] = []
    while len(found) < 14:
        name, line = next(lines)
        found += [line] if name else []
    lines.close()
    assert found[:13] == list(logs.shown_tail(log, 14))[:13]
    assert found[13].endswith("server.cc:604] "), "what may begin a table comes when none does"


def test_last_words_are_not_hidden_by_tables(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("before\nE failed to load 'm'\n\n" + "+---+\n| a |\n+---+\n" * 50 + "end\n")
    assert logs.last_words(log, start=7) == ("E failed to load 'm'", "end")


def test_last_words_are_not_hidden_by_routine(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    routine = '2026-11-22T15:11:19Z I 62 server.cc:336] "All models are stopped"\n'
    log.write_text(routine * 30)
    assert len(logs.last_words(log, start=0)) == 20
    said = "2026-11-22T15:11:19Z E 62 model_lifecycle.cc:642] failed to load 'm'"
    log.write_text(f"{said}\n{routine * 30}")
    assert logs.last_words(log, start=0) == (said,)


def test_a_log_is_cut_while_its_server_holds_it(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as held:
        for number in range(100):
            held.write(b"line %d\n" % number)
        logs.bound(log, limit=10_000)
        assert not logs.older(log).exists()
        logs.bound(log, limit=100)
        assert log.stat().st_size == 0
        held.write(b"line 100\n")
    assert log.read_bytes() == b"line 100\n"
    assert logs.older(log).stat().st_size <= 1000
    assert logs.tail(log, 3) == ("line 98", "line 99", "line 100")


def test_on_a_full_disk_a_log_is_cut_without_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x" * 10_000)

    def full(_descriptor: int, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cloche.files.write_all", full)
    logs.bound(log, limit=1000)
    assert [each.name for each in tmp_path.iterdir()] == ["a.log"]
    assert log.stat().st_size == 0


def test_of_a_log_that_outgrew_its_limit_the_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"0123456789" * 100_000)
    logs.bound(log, limit=1000)
    assert logs.older(log).stat().st_size == 2000


def test_follow_reads_on_across_a_cut_and_finds_new_logs(tmp_path: Path) -> None:
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    first.write_text("early\n")
    known = {"a": first}
    lines = logs.follow(lambda: dict(known), lines=1, every=0.001)
    assert next(lines) == ("a", "early")

    def write() -> None:
        with first.open("a") as file:
            file.write("before the cut\n" * 3)
        logs.bound(first, limit=40)
        with first.open("a") as file:
            file.write("after\n")
        second.write_text("of another\n")
        known["b"] = second

    writer = threading.Thread(target=write)
    writer.start()
    found = [next(lines) for _ in range(5)]
    writer.join()
    lines.close()
    assert [line for name, line in found if name == "a"] == [*["before the cut"] * 3, "after"]
    assert ("b", "of another") in found


def test_a_follower_of_silent_logs_is_told_of_the_silence() -> None:
    lines = logs.follow(dict, lines=1, every=0.01)
    assert next(lines) == ("", "")
    lines.close()


def test_old_logs_go_and_those_in_use_stay(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / f"m-r{number}-0.log").write_text("x")
        logs.older(tmp_path / f"m-r{number}-0.log").write_text("x")
    (tmp_path / "gateway.log").write_text("x")
    logs.clean(tmp_path, {"m-r0-0"}, kept=2)
    left = {log.name for log in tmp_path.glob("*.log")}
    assert "m-r0-0.log" in left
    assert "gateway.log" in left
    assert len(left) == 4
    assert len(list(tmp_path.glob("*.log.1"))) == 3
