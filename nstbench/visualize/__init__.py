"""Pictures of the inside: layers, filters, feature maps, and what a layer knows of a picture."""
