"""The style-transfer core: pure functions of images and weights, on any Keras backend."""
