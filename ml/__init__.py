"""Training: photos in, a deployable artifact out."""

import sys

# Else OpenVINO and NNCF report their use to Google Analytics, and fork for it. Without the package they do neither.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
