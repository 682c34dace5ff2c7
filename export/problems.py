"""Reasons why a network cannot be deployed exactly, collected so that `check` shows all of them at once."""

from dataclasses import dataclass, field

from flipflow.errors import FlipflowError


@dataclass(frozen=True)
class Problem:
    """One reason: catalogue code, the node or tensor it is about, what is wrong, and the remedy."""

    code: str
    where: str
    what: str
    fix: str

    def error(self) -> FlipflowError:
        """The same as an exception."""
        return FlipflowError(self.code, self.what, self.where, self.fix)


@dataclass
class Problems:
    """The problems of one file, in the order in which they were met."""

    found: list[Problem] = field(default_factory=list)

    def add(self, code: str, where: str, what: str, fix: str) -> None:
        """Note a problem and go on looking."""
        self.found.append(Problem(code, where, what, fix))

    def raise_first(self) -> None:
        """Raise the first problem, saying how many more there are; does nothing where there is none."""
        if not self.found:
            return
        first = self.found[0]
        more = len(self.found) - 1
        fix = first.fix if not more else f"{first.fix} (and {more} more: run `flipflow check` to see all)"
        raise FlipflowError(first.code, first.what, first.where, fix)
