"""What a person sees while stages work: lines, progress bars, tables. All of it goes to stderr; results go to stdout."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flipflow.errors import FlipflowError


class ConsoleReporter:
    """Progress bars on a terminal, plain lines elsewhere, nothing at all when quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str] = {}
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def message(self, text: str) -> None:
        """One line worth reading."""
        # No markup: messages name keys such as [model], which are no tags.
        self._bars.console.print(text, soft_wrap=True, markup=False)

    def progress(self, task: str, done: float, total: float, note: str = "") -> None:
        """Move the bar `task`; without a terminal, one line when it starts and one when it ends."""
        if not self.console.is_terminal:
            self._plain(task, done, total, note)
            return
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, note=note)
        self._bars.update(self._tasks[task], completed=done, total=total, note=note)

    def _plain(self, task: str, done: float, total: float, note: str) -> None:
        state = "done" if done >= total else "started"
        if self._said.get(task) == state:
            return
        self._said[task] = state
        self.console.print(f"{task}: {state}{', ' + note if note and state == 'done' else ''}", markup=False)


def show_error(error: FlipflowError) -> None:
    """An error as a person reads it."""
    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]{error.code}[/] {escape(error.where)}", soft_wrap=True, markup=True)
    console.print(f"  {error.what}", soft_wrap=True, markup=False)
    console.print(f"  {error.fix}", soft_wrap=True, markup=False, style="green")
