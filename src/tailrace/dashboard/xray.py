"""The X-ray of a tail, drawn in the browser by static/xray/."""

import msgspec
from nicegui.element import Element

from tailrace.load.xray import Xray


class XrayPanel(Element, component="static/xray/panel.js", esm={"tailrace-xray": "static/xray"}):
    """Where the time of the slowest 1 % went, in the current slot.

    `label` is its name; `none` is said where there is no X-ray.
    """

    def __init__(self, label: str | None = None, none: str | None = None) -> None:
        super().__init__()
        for name, text in (("label", label), ("none", none)):
            if text is not None:
                self.props[name] = text

    def show(self, xray: Xray | None) -> None:
        """Show this one, or that there is none."""
        told = msgspec.to_builtins(xray)
        if told != self.props.get("xray"):
            self.props["xray"] = told
            self.update()
