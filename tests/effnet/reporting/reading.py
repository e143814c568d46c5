"""Reading a page: whether it is well formed, what it refers to, what it says."""

import re
from html.parser import HTMLParser

VOID = {"meta", "br"}
NAMESPACES = ("http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink")


class Page(HTMLParser):
    """What a page holds; raises `ValueError` where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.references, self.words = [], [], [], []
        self.rows, self.classes = [], []
        self.feed(text)
        self.close()
        if self.open:
            raise ValueError(f"never closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self._look(tag, dict(attrs))

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self._look(tag, dict(attrs))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise ValueError(f"unexpected end of {tag}")

    def handle_data(self, data):
        self.words.append(data)
        if self.open and self.open[-1] == "th" and self.row:
            self.rows.append(data)

    def _look(self, tag, attributes):
        self.row = attributes.get("scope") == "row"
        self.classes += (attributes.get("class") or "").split()
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset", "formaction"):
                self.references.append(value)
            self.references += re.findall(r"url\(([^)]*)\)", value or "")
            if name.startswith("on"):
                raise ValueError(f"a handler: {name}")

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def external(text):
    """References of a page to anything but itself."""
    found = [reference for reference in Page(text).references if not reference.startswith("#")]
    found += [reference for reference in re.findall(r"url\(([^)]*)\)", text) if not reference.startswith("#")]
    bare = text
    for namespace in NAMESPACES:
        bare = bare.replace(f'="{namespace}"', "")
    return found + re.findall(r"https?://[^\s\"'<]*|@import|//[a-z]+\.[a-z]+", bare)
