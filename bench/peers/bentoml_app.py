"""The replaced handler under BentoML: bentoml serve bentoml_app:Replaced."""

# No annotations as text here: BentoML reads them.
import os

import bentoml
import replaced_handler as handler
from PIL.Image import Image


@bentoml.service(workers=int(os.environ["PEER_WORKERS"]))
class Replaced:
    def __init__(self) -> None:
        self.model = handler.model_fn(os.environ["PEER_MODEL_DIR"])

    @bentoml.api  # type: ignore[untyped-decorator]
    def classify(self, image: Image, /) -> list[list[float]]:
        scores: list[list[float]] = handler.predict_fn(image.convert("RGB"), self.model).tolist()
        return scores
