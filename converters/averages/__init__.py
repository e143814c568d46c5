"""Moving averages of weights beside the weights: where they are kept, and which of both are taken."""
