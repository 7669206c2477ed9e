"""Flask's trivial endpoint."""

from flask import Flask

app = Flask(__name__)


@app.get("/helloworld")
def helloworld() -> str:
    return "hello world"
