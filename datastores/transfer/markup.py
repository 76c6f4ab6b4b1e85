"""HTML and SVG as a tree: whatever a name or value holds, it is text in it and never markup."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from xml.etree import ElementTree as ET

from datastores.display import visible


def element(tag: str, *children: ET.Element | str, **attributes: object) -> ET.Element:
    """Return an element; `class_` is the attribute `class`, `stroke_width` is `stroke-width`."""
    named = {
        name.strip("_").replace("_", "-"): visible(f"{attributes[name]}") for name in attributes
    }
    made = ET.Element(tag, named)
    for child in children:
        if isinstance(child, ET.Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + visible(child)
        else:
            made.text = (made.text or "") + visible(child)
    return made


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[ET.Element | str]],
    *,
    numbers: Container[str] = (),
) -> ET.Element:
    """Return a table that scrolls where it is too large; the columns `numbers` stand to the right."""
    kinds = [{"class_": "number"} if name in numbers else {} for name in heads]

    def cells(tag: str, row: Sequence[ET.Element | str]) -> ET.Element:
        paired = zip(row, kinds, strict=True)
        return element("tr", *(element(tag, one, **kind) for one, kind in paired))

    head = element("thead", cells("th", heads))
    body = element("tbody", *(cells("td", row) for row in rows))
    return element("div", element("table", head, body), class_="scroll", tabindex=0)


def terms(pairs: Iterable[tuple[str, ET.Element | str]]) -> ET.Element:
    """Return names with what is to be said of each."""
    return element(
        "dl",
        *(element(tag, one) for pair in pairs for tag, one in zip(("dt", "dd"), pair, strict=True)),
    )


def page(title: str, style: str, *children: ET.Element) -> str:
    """Return a whole document that needs no other file."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
    )
    # Not through `element`, which shows line breaks as they are written.
    ET.SubElement(head, "style").text = style
    document = element("html", head, element("body", element("main", *children)), lang="en")
    return f"<!DOCTYPE html>\n{ET.tostring(document, encoding='unicode', method='html')}\n"
