"""The explorer's page in Streamlit's AppTest, for the tests that look at it."""

import io
from urllib.parse import parse_qsl

import pyarrow as pa
from streamlit.testing.v1 import AppTest

from tests.conftest import ROOT

PAGE = str(ROOT / "scripts/explorer/page.py")


def open_page(address: str = "") -> AppTest:
    page = AppTest.from_file(PAGE, default_timeout=120)
    for name, value in parse_qsl(address):
        page.query_params[name] = value
    return run(page)


def run(element) -> AppTest:
    """Run the page after an element of it, or the page itself, was set."""
    page = element.run()
    assert [error.message for error in page.exception] == []
    return page


def errors(page) -> list[str]:
    """The sentences about mistakes, as they are read."""
    return [error.value.replace("\\", "") for error in page.error]


def rows(page, chart: int = 0) -> list[dict]:
    """The points that a chart was given."""
    data = page.get("vega_lite_chart")[chart].proto.data.data
    return pa.ipc.open_stream(io.BytesIO(data)).read_all().to_pylist()


def rates(page, curve: str = "c0") -> dict[int, float]:
    return {row["step"]: row["rate"] for row in rows(page) if row["curve"] == curve}


def line(page) -> str:
    return page.code[0].value


def control(elements, key: str):
    """The control of the curve that is edited, by the argument's dotted key."""
    return next(e for e in elements if e.key and e.key.split(" ", 1)[1].startswith(key))


def button(page, key: str):
    return next(b for b in page.button if b.key and key in b.key)
