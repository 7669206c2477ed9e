"""The model behind Flask, as many copies as gunicorn has processes."""

from flask import Flask, Response, jsonify, request

from benchmarks.serving import detector

app = Flask(__name__)
model = detector.load()


@app.post("/predict")
def predict() -> Response:
    return jsonify(detector.detect(model, request.get_data(cache=False)))
