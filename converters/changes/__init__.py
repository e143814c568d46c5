"""Networks that are changed on the way: other channels, another classifier, normalisation folded."""
