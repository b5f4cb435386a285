"""SVG documents, as matplotlib writes them, as elements of a page."""

from collections.abc import Mapping
from xml.etree import ElementTree

TIP = "tip:"
_SVG = "http://www.w3.org/2000/svg"


def inline(document: str, description: str, colours: Mapping[str, str]) -> str:
    """Return the element that a page holds in place of an SVG document, with ``description`` as its label.

    colours: what those of the document are called on the page, wherever a style names them. Text takes the page's font,
    and a group whose id begins with ``TIP`` the rest of it as its title.
    """
    root = ElementTree.fromstring(document)
    for element in list(root.iter()):
        element.tag = _local(element.tag)
        # nothing refers to groups, and pages hold several drawings
        group = element.attrib.pop("id", "") if element.tag == "g" else ""
        if group.startswith(TIP):
            element.insert(0, title := ElementTree.Element("title"))
            title.text = group.removeprefix(TIP)
        element.attrib = {_local(name): value for name, value in element.attrib.items()}
        if "style" in element.attrib:
            element.set("style", _restyled(element.attrib["style"], colours))
    root.attrib = {"role": "img", "aria-label": description, "xmlns": _SVG, **root.attrib}
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _restyled(style: str, colours: Mapping[str, str]) -> str:
    """Declarations in the page's colours, and of a font only its size."""
    kept = []
    for declaration in style.split(";"):
        name, _, value = map(str.strip, declaration.partition(":"))
        if name == "font":
            name, value = "font-size", next(word for word in value.split() if word.endswith("px"))
        if name and name != "font-family":
            kept.append(f"{name}: {colours.get(value, value)}")
    return "; ".join(kept)
