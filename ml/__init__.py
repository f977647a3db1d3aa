"""Training: photos in, a deployable artifact out."""
