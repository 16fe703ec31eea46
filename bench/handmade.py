"""A model in FastAPI, as people write it by hand: unpickle, check with pydantic, `predict_proba`. Run by uvicorn.

The pickle is that of the same version that this server serves. Endpoints are `async def`: on one core that was faster than
`def`, which hands every request to a thread.
"""

import json
import os
from pathlib import Path
from typing import Literal

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

FOLDER = Path(os.environ["BENCH_MODEL"])
CLASSES: list[str] = json.loads((FOLDER / "manifest.json").read_text())["classes"]
CONTRACTS = {"monthly": 0, "one year": 1, "two years": 2}
PAYMENTS = {"card": 0, "invoice": 1, "transfer": 2}

model = joblib.load(FOLDER / "model.joblib")
app = FastAPI()


class Flower(BaseModel):
    """One row."""

    features: list[float]


class Flowers(BaseModel):
    """Several rows."""

    features: list[list[float]]


class Customer(BaseModel):
    """One row with categories."""

    age: float
    monthly_charges: float
    tenure_months: float
    support_calls: float
    contract: Literal["monthly", "one year", "two years"]
    payment: Literal["card", "invoice", "transfer"]


class Prediction(BaseModel):
    """The answer to one row."""

    prediction: str
    confidence: float
    probabilities: dict[str, float]


class Predictions(BaseModel):
    """The answer to several rows."""

    predictions: list[str]
    confidences: list[float]
    probabilities: list[dict[str, float]]


def answer(row: list[float]) -> Prediction:
    """Predict one row."""
    probabilities = model.predict_proba([row])[0]
    best = int(np.argmax(probabilities))
    return Prediction(
        prediction=CLASSES[best],
        confidence=probabilities[best],
        probabilities=dict(zip(CLASSES, probabilities.tolist(), strict=True)),
    )


@app.post("/predict")
async def predict(flower: Flower) -> Prediction:
    """Predict one flower."""
    return answer(flower.features)


@app.post("/predict/customer")
async def predict_customer(customer: Customer) -> Prediction:
    """Predict one customer."""
    return answer(
        [
            customer.age,
            customer.monthly_charges,
            customer.tenure_months,
            customer.support_calls,
            CONTRACTS[customer.contract],
            PAYMENTS[customer.payment],
        ]
    )


@app.post("/predict/many")
async def predict_many(flowers: Flowers) -> Predictions:
    """Predict several flowers."""
    probabilities = model.predict_proba(flowers.features)
    best = probabilities.argmax(axis=1)
    return Predictions(
        predictions=[CLASSES[index] for index in best],
        confidences=probabilities.max(axis=1).tolist(),
        probabilities=[dict(zip(CLASSES, row, strict=True)) for row in probabilities.tolist()],
    )
