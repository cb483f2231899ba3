"""Signals that end a training."""

import signal
import threading

import pytest

from tinygrad_ckn.training.signals import Interrupted, signals_caught

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_a_signal_raises_at_once_and_handlers_are_restored(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught, signals_caught():
        signal.raise_signal(number)
    assert caught.value.signal == number
    assert signal.getsignal(number) is before


@BOTH
def test_a_deferred_signal_waits_for_the_step_and_a_second_does_not(number: signal.Signals) -> None:
    with signals_caught() as signals:
        signals.check()
        signals.deferred = True
        signal.raise_signal(number)
        with pytest.raises(Interrupted) as checked:
            signals.check()
        with pytest.raises(Interrupted) as raised:
            signal.raise_signal(signal.SIGINT)
    assert checked.value.signal == raised.value.signal == number


def test_another_thread_has_no_handlers() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen: list[bool] = []

    def work() -> None:
        with signals_caught() as signals:
            seen.append(signal.getsignal(signal.SIGTERM) is before and signals.received is None)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
