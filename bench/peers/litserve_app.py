"""The replaced handler under LitServe: python litserve_app.py MODEL_DIR PORT WORKERS."""

# No annotations as text here: LitServe reads them.
import sys
from typing import Annotated, Any

import litserve
import replaced_handler as handler
from fastapi import Body, Response


class Replaced(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:  # noqa: ARG002
        self.model = handler.model_fn(sys.argv[1])

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]) -> Any:
        return handler.input_fn(request)

    def predict(self, x: Any) -> Any:
        return handler.predict_fn(x, self.model)

    def encode_response(self, output: Any) -> Response:
        return Response(handler.output_fn(output), media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(Replaced(), accelerator="cpu", workers_per_device=int(sys.argv[3]))
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
