import base64
import gzip
import re

from tailrace.report import bundle


def test_every_module_that_is_imported_is_there() -> None:
    modules = bundle.modules()
    assert bundle.ENTRY in modules
    imported = {
        name
        for source in modules.values()
        for name in re.findall(r'^(?:import|export) [^"]*?from "([^"]+)"', source, re.M)
    }
    assert imported
    assert imported <= set(modules)
    assert not [name for name in imported if name.startswith(".")]


def test_packed_text_comes_back_and_is_only_letters() -> None:
    text = "</script><script>alert('é')</script>" * 50
    packed = bundle.pack(text)
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", packed)
    assert gzip.decompress(base64.b64decode(packed)).decode() == text
    assert packed == bundle.pack(text)
