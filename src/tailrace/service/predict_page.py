"""The page of a model in a browser: drop a picture on it and see what is in it."""

from html import escape
from importlib.resources import files

from tailrace.models.model import Model

_PAGE = (files("tailrace.service") / "predict_page.html").read_text("utf-8")


def page(model: Model) -> str:
    """The page's HTML; it needs nothing but itself, and posts pictures to its own address."""
    return (
        _PAGE.replace("{{model}}", escape(model.spec.name))
        .replace("{{title}}", escape(model.spec.title))
        .replace("{{notice}}", escape(model.notice or ""))
    )
