"""How far a study is, within 80 columns: a bar, and a line for each trial that is better than all before."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

from ml.search_space import SearchSpace
from ml.tune.trials import TuningTrial

_WIDTH = 79
_OFTEN = 0.2  # seconds between two pictures of the epochs


class Progress:
    def __init__(
        self, space: SearchSpace, trials: int, best: TuningTrial | None, done: int, *, show: bool
    ) -> None:
        self._columns = [(name, max(len(name), _widest(space, name))) for name in space.parameters]
        widths = [5, 6, *(width for _, width in self._columns)]
        self._gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= _WIDTH else " "
        self._show = show
        self._best = best
        self._drawn = time.monotonic()
        self._bar = tqdm(
            total=trials,
            initial=min(done, trials),
            desc="tune",
            file=sys.stderr,
            ncols=_WIDTH,
            disable=None if show else True,
            bar_format="{desc} {bar:20} {n_fmt}/{total_fmt} [{elapsed}]{postfix}",
        )
        self._post()
        if done < trials:
            self._line("trial", "loss", {name: name for name in space.parameters})

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bar.close()

    def epoch(self, epoch: int) -> None:
        self._post(f"epoch {epoch}")
        if time.monotonic() - self._drawn > _OFTEN:
            self._bar.refresh()
            self._drawn = time.monotonic()

    def finished(self, trial: TuningTrial, best: TuningTrial | None) -> None:
        self._best = best
        self._post()
        self._bar.update()
        if trial is best:
            self._line(f"{trial.number}", f"{trial.value:.4f}", trial.params)

    def _post(self, doing: str = "") -> None:
        told = f"best {self._best.value:.4f} (trial {self._best.number})" if self._best else ""
        self._bar.set_postfix_str(", ".join(filter(None, (told, doing))), refresh=False)

    def _line(self, number: str, loss: str, params: Any) -> None:
        if self._show:
            cells = [f"{number:>5}", f"{loss:>6}"]
            cells += [f"{_text(params[name]):>{width}}" for name, width in self._columns]
            tqdm.write(self._gap.join(cells), file=sys.stderr)


def _widest(space: SearchSpace, name: str) -> int:
    return max(len(_text(value)) for value in space.parameters[name].edges)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
