"""Quiet while models are opened, in several threads at once."""

import os
import threading

from vidvton.people.hush import hush


def test_what_is_written_inside_goes_nowhere_and_what_comes_after_is_heard(capfd):
    with hush():
        os.write(2, b"chatter")
    os.write(2, b"sentence")
    assert capfd.readouterr().err == "sentence"


def test_threads_that_overlap_leave_stderr_as_it_was(capfd):
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first():
        with hush():
            first_is_in.set()
            second_is_in.wait(10)
        first_is_out.set()

    def second():
        first_is_in.wait(10)
        with hush():
            second_is_in.set()
            first_is_out.wait(10)
            os.write(2, b"chatter")

    threads = [threading.Thread(target=work) for work in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"sentence")
    assert capfd.readouterr().err == "sentence"


def test_an_error_inside_ends_the_quiet(capfd):
    try:
        with hush():
            raise RuntimeError
    except RuntimeError:
        os.write(2, b"sentence")
    assert capfd.readouterr().err == "sentence"
