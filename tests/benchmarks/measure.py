"""Measuring: alternatives take turns in many short rounds, and their medians are compared."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: What one turn of an alternative takes, in seconds: short beside the time in which a machine changes its speed.
_TURN = 0.02


@dataclass
class Timing:
    """What one alternative took: seconds for each request, one figure for each round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        """The median CPU time of a request, in microseconds."""
        return statistics.median(self.cpu) * 1e6

    @property
    def wall_us(self) -> float:
        """The median time of a request by the clock, in microseconds."""
        return statistics.median(self.wall) * 1e6

    @property
    def rate(self) -> float:
        """Requests per second, one after the other."""
        return 1e6 / self.wall_us


def interleaved(
    cases: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    turn: float = _TURN,
    cpu: Callable[[], float] | None = None,
) -> dict[str, Timing]:
    """Let the cases take turns, in another order in each round: none always follows the same neighbour.

    The CPU time is that of the calling thread: what other processes do changes it little, and the clock more.

    Args:
        cases: each does one request.
        rounds: how many turns each gets.
        turn: how long a turn is, in seconds; at least one request.
        cpu: reads the CPU time; by default that of the thread.
    """
    cpu = cpu or time.thread_time
    timings = {name: Timing() for name in cases}
    order, shuffled = list(cases), random.Random(1)
    repeats = {name: _calibrated(case, turn) for name, case in cases.items()}
    gc.collect()
    gc.freeze()  # what the set-up left is no request's to look through
    try:
        for _ in range(rounds):
            shuffled.shuffle(order)
            for name in order:
                case, count = cases[name], repeats[name]
                wall, used = time.perf_counter(), cpu()
                for _ in range(count):
                    case()
                timings[name].cpu.append((cpu() - used) / count)
                timings[name].wall.append((time.perf_counter() - wall) / count)
    finally:
        gc.unfreeze()
    return timings


def _calibrated(case: Callable[[], object], turn: float) -> int:
    for _ in range(3):
        case()  # compiled statements and caches are there from the second request on
    start = time.perf_counter()
    case()
    return max(1, round(turn / max(time.perf_counter() - start, 1e-6)))


def latencies(cases: Mapping[str, Callable[[], object]], *, requests: int) -> dict[str, list[float]]:
    """Seconds by the clock of each single request, sorted; the cases take turns request by request."""
    found: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        for _ in range(20):
            case()
    gc.collect()
    for _ in range(requests):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            found[name].append(time.perf_counter() - start)
    return {name: sorted(times) for name, times in found.items()}


def percentile(ordered: list[float], share: float) -> float:
    """The value that ``share`` of the ``ordered`` ones do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Report:
    """The lines that are printed, and whether a mark that no noise can explain was missed."""

    def __init__(self) -> None:
        self.wrong = 0
        self.missed: list[str] = []

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}", flush=True)

    def note(self, text: str) -> None:
        """Say something that has no mark."""
        print(f"           {text}", flush=True)

    def timing(self, name: str, timing: Timing) -> None:
        """Say what an alternative took."""
        self.note(f"{name:<26}{timing.cpu_us:9.0f} us of CPU{timing.wall_us:9.0f} us{timing.rate:9.0f}/s")

    def mark(
        self,
        name: str,
        value: float,
        *,
        least: float | None = None,
        most: float | None = None,
        unit: str = "",
        beside: str = "",
    ) -> None:
        """Say a figure and whether it makes its mark.

        Args:
            name: what was measured.
            value: what came out.
            least: the mark, where more is better.
            most: the mark, where less is better.
            unit: of the value and the mark.
            beside: what else is worth knowing.
        """
        short = max(0.0, least - value if least is not None else value - (most or 0.0))
        bound = f"at least {least:g}" if least is not None else f"at most {most:g}"
        verdict = f"MISSED by {short:.3g}{unit}" if short else "met"
        if short:
            self.missed.append(name)
        print(f"{verdict:>20}  {name}: {value:.3g}{unit} ({bound}{unit}) {beside}".rstrip(), flush=True)

    def exact(self, name: str, holds: bool, text: str) -> None:
        """Say something that no noise can explain: the command fails where it does not hold."""
        if not holds:
            self.wrong += 1
        print(f"{'met' if holds else 'WRONG':>20}  {name}: {text}", flush=True)
