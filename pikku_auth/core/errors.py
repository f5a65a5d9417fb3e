"""How a rule says what breaks it: a sentence with blanks, for any language to fill in."""

from __future__ import annotations


class BrokenRule(ValueError):
    """``template`` filled in with ``values``: the text in English.

    Who knows the reader's language translates ``template``, and then fills it in.
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template)
        self.template = template
        self.values = values

    def __str__(self) -> str:
        return self.template % self.values


def gettext_noop(text: str) -> str:
    """``text`` as it is; Django's ``makemessages`` looks for this name."""
    return text
