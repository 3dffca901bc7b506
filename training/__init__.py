"""How a model bundle is made: recipes, readers, splits, training, evaluation, export."""
