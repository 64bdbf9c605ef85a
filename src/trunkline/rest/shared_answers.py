"""Who gets which answer: equal requests share one, from this task, or from the log of an earlier one.

answers = SharedAnswers(parts, standing, clean)
answers.known(part)                           # rows for which nothing has to be sent
answers.settle(outcome, part, row, entry)     # the answer of one row, for all who wait for it
"""

from __future__ import annotations

from collections.abc import Callable

from trunkline.http.message import Outcome, head_of
from trunkline.rest.answers import Answer, AnswerMemory, answer_of
from trunkline.rest.ask_log import AskLog
from trunkline.rest.entries import Entry
from trunkline.rest.parts import Part, Parts
from trunkline.rest.standing import Standing

# Answers remembered for equal requests to come take about so much, bytes.
_MOST_REMEMBERED = 64 * 1024 * 1024


class SharedAnswers:
    """The answers of one task's rows.

    Args:
        parts: Take them.
        standing: Hears of each that was asked for.
        clean: Cuts credentials out of texts.

    Attributes:
        log: Keeps them, and knows those of earlier attempts; None where there is none.
    """

    def __init__(self, parts: Parts, standing: Standing, clean: Callable[[str], str]) -> None:
        self.log: AskLog | None = None
        self._parts = parts
        self._standing = standing
        self._clean = clean
        self._remembered = AnswerMemory(_MOST_REMEMBERED)
        # What is asked for, by its key, and who else waits for it.
        self._flying: dict[bytes, list[tuple[Part, int]]] = {}

    def known(self, part: Part) -> list[int]:
        """The rows whose answers are known, and given, or on their way; the others are taken to be asked for now."""
        keys = part.keys
        rows = [row for row in range(len(part.chunk)) if row not in part.chunk.refused]
        logged = {} if self.log is None else self.log.find([keys[row] for row in rows])
        settled = []
        for row in rows:
            key = keys[row]
            answer = logged.get(key) or self._remembered.get(key)
            if answer is not None:
                settled.append(row)
                if self.log is not None and key not in logged:
                    self.log.share(part, row, answer)
                self._parts.answer(part, row, answer)
                self._heed(part, row, answer)
            elif key in self._flying:
                settled.append(row)
                self._flying[key].append((part, row))
            else:
                self._flying[key] = []
        return settled

    def settle(self, outcome: Outcome, part: Part, row: int, entry: Entry) -> None:
        """Make the answer of one row, write it down and give it to all who wait for it."""
        kind, status, reason, body, own = entry
        error = self._clean(reason) if reason else ""
        if kind != "accepted" and (head := head_of(body)):
            error = f"{error}: {self._clean(head)}" if error else self._clean(head)
        answer = answer_of(outcome, kind, status, error, body if own and outcome.exchange is not None else None)
        if self.log is not None and kind != "unsent":
            self.log.record(outcome.request, part, row, answer)
        self.give(part, row, answer)

    def give(self, part: Part, row: int, answer: Answer) -> None:
        """Give an answer to the row it was asked for and to all who wait for it."""
        key = part.keys[row]
        if answer.lasting:
            self._remembered.put(key, answer)
        self._parts.answer(part, row, answer)
        self._heed(part, row, answer)
        for other, place in self._flying.pop(key, ()):
            if self.log is not None and answer.kind != "unsent":
                self.log.share(other, place, answer)
            self._parts.answer(other, place, answer)

    def refuse(self, part: Part, row: int, reason: str) -> None:
        """A row that cannot become a request, and all who wait for it."""
        answer = Answer("rejected", error=self._clean(f"not sent: {reason}"))
        if self.log is not None:
            self.log.refuse(part, row, answer)
        self._parts.answer(part, row, answer)
        self._heed(part, row, answer)
        for other, place in self._flying.pop(part.keys[row], ()) if part.keys else ():
            self.refuse(other, place, reason)

    def _heed(self, part: Part, row: int, answer: Answer) -> None:
        self._standing.heed(answer, lambda: self._clean(part.named(row)))
